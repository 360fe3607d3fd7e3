package sink

import (
	"errors"
	"fmt"
	"time"
)

// ErrNobody says that the batch was not delivered because no receiver took it or the receiver went away. It is no failure of the
// batch: the engine sends it again as soon as a receiver is there.
var ErrNobody = errors.New("no receiver")

// ErrClosed is what done gets when the sink is closed under a batch.
var ErrClosed = errors.New("sink is closed")

// Permanent marks a refusal by the receiver: the same batch will be refused again.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanent
	return errors.As(err, &p)
}

type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

// RetryAfter is an error that says when to try again; the engine waits an hour at most.
type RetryAfter struct {
	After time.Duration
	Err   error
}

func (r *RetryAfter) Error() string { return fmt.Sprintf("%v (retry after %s)", r.Err, r.After) }

// Unwrap returns the cause.
func (r *RetryAfter) Unwrap() error { return r.Err }
