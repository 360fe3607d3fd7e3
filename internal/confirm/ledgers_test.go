package confirm_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// ledgers is store.Ledgers in memory. An attempt is in flight from the moment it is tracked.
type ledgers struct {
	mu       sync.Mutex
	state    map[string]*store.LedgerState
	attempts map[string]*store.Attempt // by hash
	own      map[string]int            // confirmations that transactions asked for, by hash
	writes   []store.Advance           // carried out
	given    []store.Advance           // all that were not refused
	fails    []failure                 // of the next Advances
	tries    int
}

// failure is a write that goes wrong. done: it was carried out all the same.
type failure struct {
	err  error
	done bool
}

var fence = store.Fence{Lease: "test", Generation: 1}

func newLedgers() *ledgers {
	return &ledgers{state: map[string]*store.LedgerState{}, attempts: map[string]*store.Attempt{}, own: map[string]int{}}
}

// track puts an attempt in flight.
func (l *ledgers) track(hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[hash] = &store.Attempt{Tx: hash, Number: 1, State: store.AttemptSubmitting, Hash: hash}
}

// want has an attempt's transaction ask for a number of confirmations.
func (l *ledgers) want(hash string, confirmations int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own[hash] = confirmations
}

func (l *ledgers) fail(f ...failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = append(l.fails, f...)
}

// outcome returns a copy of what is known of an attempt, nil if nothing is.
func (l *ledgers) outcome(hash string) *store.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.attempts[hash].Outcome; o != nil {
		c := *o
		return &c
	}
	return nil
}

func (l *ledgers) position() ffcapi.BlockRef {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.state[""]; s != nil {
		return s.Position
	}
	return ffcapi.BlockRef{}
}

func (l *ledgers) move(to ffcapi.BlockRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state[""] = &store.LedgerState{ID: "genesis", Position: to}
}

func (l *ledgers) written() []store.Advance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]store.Advance(nil), l.writes...)
}

func (l *ledgers) Ledger(_ context.Context, name string) (*store.LedgerState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.state[name]; s != nil {
		c := *s
		return &c, nil
	}
	return nil, fmt.Errorf("ledger %q: %w", name, store.ErrNotFound)
}

// OpenBlocks gives them in twos, so that asking again is tried, too.
func (l *ledgers) OpenBlocks(_ context.Context, _ string, upTo uint64) ([]ffcapi.BlockRef, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var blocks []ffcapi.BlockRef
	for _, at := range l.attempts {
		if o := at.Outcome; o != nil && !o.Final && o.Block.Number <= upTo && !slices.Contains(blocks, o.Block) {
			blocks = append(blocks, o.Block)
		}
	}
	slices.SortFunc(blocks, func(a, b ffcapi.BlockRef) int { return cmp.Compare(b.Number, a.Number) })
	return blocks[:min(2, len(blocks))], nil
}

func (l *ledgers) InFlight(_ context.Context, _ string, listed []ffcapi.TxOutcome) (mine []ffcapi.TxOutcome, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tx := range listed {
		if l.attempts[tx.Hash] != nil {
			mine = append(mine, tx)
		}
	}
	return mine, nil
}

func (l *ledgers) UseLedger(_ context.Context, f store.Fence, s store.LedgerState) (*store.LedgerState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f != fence {
		return nil, store.ErrFenced
	}
	if l.state[s.Name] == nil {
		l.state[s.Name] = &s
	}
	c := *l.state[s.Name]
	return &c, nil
}

func (l *ledgers) Advance(_ context.Context, f store.Fence, a *store.Advance, rule store.OutcomeRule) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	var fails *failure
	if len(l.fails) > 0 {
		fails, l.fails = &l.fails[0], l.fails[1:]
		if !fails.done {
			return false, fails.err
		}
	}
	s := l.state[a.Ledger]
	switch {
	case f != fence:
		return false, store.ErrFenced
	case s == nil:
		return false, store.ErrNotFound
	case s.Position != a.From:
		return false, fmt.Errorf("position is %v: %w", s.Position, store.ErrConflict)
	}
	l.given = append(l.given, *a)
	if !l.apply(a, rule) && a.Lazy {
		return false, nil
	}
	s.Position = a.To
	l.writes = append(l.writes, *a)
	if fails != nil {
		return false, fails.err
	}
	return true, nil
}

// apply reports whether anything of ours changed.
func (l *ledgers) apply(a *store.Advance, rule store.OutcomeRule) (ours bool) {
	touch := func(at *store.Attempt) {
		ours = true
		rule(&store.Tx{ID: at.Tx}, []*store.Attempt{at}, 0)
	}
	for _, at := range l.attempts {
		if o := at.Outcome; a.Rewind != nil && o != nil && !o.Final && o.Block.Number > *a.Rewind {
			at.Outcome = nil
			touch(at)
		}
	}
	for _, b := range a.Blocks {
		for _, tx := range b.Outcomes {
			if at := l.attempts[tx.Hash]; at != nil && at.Outcome == nil {
				at.Outcome = &store.Outcome{Block: b.Block, Index: tx.Index, Success: tx.Success}
				if n, own := l.own[tx.Hash]; own && a.Head != nil {
					at.Outcome.Required = &n
				}
				touch(at)
			}
		}
	}
	for _, at := range l.attempts {
		o := at.Outcome
		if o == nil || o.Final {
			continue
		}
		final := a.HasFinal && o.Block.Number <= a.Final
		if o.Required != nil {
			final = a.Head != nil && o.Block.Number+uint64(*o.Required) <= *a.Head
		}
		if final {
			o.Final = true
			touch(at)
		}
	}
	return ours
}
