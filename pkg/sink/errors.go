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

// The errors of done, from the mildest to the hardest. What is marked by none of them (a broken connection, a timeout, a receiver that is
// overloaded) says nothing about the batch: it is tried again for as long as it takes, whatever the stream's errorHandling.
//
//	ErrNobody   no receiver: sent again as soon as one is there
//	RetryAfter  not now: sent again then
//	Refused     the receiver got the batch and said no, and may be mistaken: a negative acknowledgement, most answers 4xx and 500
//	Permanent   no, and it will be no again: the content is at fault
//	Gone        the receiver wants nothing any more: the stream is suspended
//
// With errorHandling "skip" the engine finds the event that is at fault by cutting the batch in halves, and sets it aside as a dead letter: at
// once if the refusal is Permanent; if it is Refused, once retryTimeout has passed and another event has got through meanwhile, since a
// receiver that refuses everything has another fault than its events.

// Refused marks a refusal by the receiver that may be overcome by trying again.
func Refused(err error) error { return &refused{err} }

// IsRefused reports whether err was marked by Refused or Permanent.
func IsRefused(err error) bool {
	var r *refused
	return errors.As(err, &r) || IsPermanent(err)
}

type refused struct{ err error }

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// Gone marks the wish of the receiver not to be sent anything any more. The engine suspends the stream and shows err as the reason.
func Gone(err error) error { return &gone{err} }

// IsGone reports whether err was marked by Gone.
func IsGone(err error) bool {
	var g *gone
	return errors.As(err, &g)
}

type gone struct{ err error }

func (g *gone) Error() string { return g.err.Error() }
func (g *gone) Unwrap() error { return g.err }

// Partial is an error for some events of a batch; all others are durable at the receiver. The engine sends only those that failed again, in
// their order.
type Partial struct {
	Failed map[int]error // by index in Batch.Events; never empty
}

func (p *Partial) Error() string {
	first := -1
	for i := range p.Failed {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Sprintf("%d events failed, the first of them (%d): %v", len(p.Failed), first, p.Failed[first])
}

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
