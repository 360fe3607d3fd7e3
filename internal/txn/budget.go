package txn

import (
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

const (
	// maxRetryAfter bounds what a node may ask to wait for: it must not be able to put a transaction off for ever.
	maxRetryAfter = time.Minute
	// lookAgain is how soon a transaction is tried again that found nobody free to look for it.
	lookAgain = 250 * time.Millisecond
)

// refusal is the error of a call of the connector, with a bound on the wait that it asks for.
func refusal(err error) *ffcapi.Error {
	e := ffcapi.AsError(err)
	if e == nil || e.RetryAfter <= maxRetryAfter {
		return e
	}
	bounded := *e
	bounded.RetryAfter = maxRetryAfter
	return &bounded
}

// looking takes one of the slots for looking for transactions on the chain. There are half as many as workers, so that a node that is slow
// to find what waits for its block cannot keep them all from sending. A transaction that gets none has its turn again soon, from the
// beginning: what is in doubt is looked for before it is sent again.
func (m *Manager) looking(j *job) bool {
	select {
	case m.looks <- struct{}{}:
		return true
	default:
		j.effects = txstate.Effects{}
		j.it.resume, j.it.doubt = true, true
		j.verdict.due = m.opts.Now().Add(lookAgain)
		return false
	}
}
