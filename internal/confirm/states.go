package confirm

import (
	"cmp"
	"slices"

	"github.com/pyralis-io/pyralis/internal/metrics"
)

// States tells how far the ledgers that are followed are, in order of their names.
func (e *Engine) States() []metrics.LedgerState {
	e.mu.Lock()
	var followed []*follower
	for _, f := range e.ledgers {
		if f.begun {
			followed = append(followed, f)
		}
	}
	e.mu.Unlock()
	states := make([]metrics.LedgerState, len(followed))
	for i, f := range followed {
		states[i] = f.state()
	}
	slices.SortFunc(states, func(a, b metrics.LedgerState) int { return cmp.Compare(a.Ledger, b.Ledger) })
	return states
}

func (f *follower) state() metrics.LedgerState {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := metrics.LedgerState{Ledger: f.ledger, Final: f.safe.Number, Reorganisations: f.reorganisations, Failed: f.alarm != nil}
	if f.view != nil {
		s.Head = f.view.Head().Number
	}
	return s
}
