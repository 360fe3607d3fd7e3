package stream

import (
	"errors"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// verdict is what becomes of a batch that failed.
type verdict int

const (
	again   verdict = iota // it goes again when its time has come
	cut                    // it goes again in halves, to find the event that is at fault
	suspect                // it is a refused event, and nothing shows yet that the receiver would take another
	aside                  // it is an event that becomes a dead letter
	gone                   // the receiver wants nothing any more
)

// circumstances are what a verdict depends on, besides the error.
type circumstances struct {
	events  int
	skip    bool // what the receiver refuses may be set aside
	replay  bool // it is a dead letter already
	overdue bool // it has been refused for retryTimeout
	through bool // another event has got through since its first refusal
}

// judge says what becomes of a batch. Only a refusal is ever held against an event: a receiver that is absent, asks for time or cannot be
// reached has said nothing about it.
func judge(err error, c circumstances) verdict {
	var later *sink.RetryAfter
	permanent := sink.IsPermanent(err)
	switch {
	case sink.IsGone(err):
		return gone
	case !c.skip && !c.replay, !sink.IsRefused(err):
		return again
	case !permanent && errors.As(err, &later):
		return again
	case !permanent && !c.replay && !c.overdue:
		return again
	case c.events > 1:
		return cut
	case permanent || c.replay || c.through:
		return aside
	default:
		return suspect
	}
}

// trouble is what is known of the failures of a batch. What is cut out of the batch inherits it.
type trouble struct {
	failures int       // in a row; a missing receiver is none
	first    time.Time // of the first
	refused  time.Time // of the first refusal; zero: there was none
	before   uint64    // how many events had got through at that time
	due      time.Time // when it goes again
	blocked  bool      // it has been failing for retryTimeout
	last     error
}

// count notes a failure.
func (t *trouble) count(err error, now time.Time, through uint64) {
	if t.failures++; t.failures == 1 {
		t.first = now
	}
	if sink.IsRefused(err) && t.refused.IsZero() {
		t.refused, t.before = now, through
	}
	t.last = err
}

// absent leaves time without a receiver out of account: nobody refused anything then.
func (t *trouble) absent(d time.Duration) {
	t.first = t.first.Add(d)
	if !t.refused.IsZero() {
		t.refused = t.refused.Add(d)
	}
}

// circumstances of a batch with this trouble, as far as they are known from it.
func (t *trouble) circumstances(p *policy, now time.Time, through uint64) circumstances {
	return circumstances{
		skip: p.skip, overdue: !t.refused.IsZero() && now.Sub(t.refused) >= p.retryTimeout, through: through > t.before,
	}
}

// sendBackoff spaces the attempts of a batch inside the retry timeout.
var sendBackoff = retry.Backoff{Initial: 250 * time.Millisecond, Max: 30 * time.Second, Factor: 2, Jitter: true}

const (
	// nobodyDelay keeps a sink that cannot say when a receiver comes from being asked in a loop.
	nobodyDelay = 100 * time.Millisecond
	// maxRetryAfter bounds what a receiver may ask for: a mistaken header must not end a stream.
	maxRetryAfter = time.Hour
)

// delay says when a batch goes again. hopeless: it would fail whoever is asked.
func (t *trouble) delay(p *policy, err error, now time.Time, hopeless bool) {
	var after *sink.RetryAfter
	t.blocked = now.Sub(t.first) >= p.retryTimeout || hopeless
	switch {
	case errors.As(err, &after) && after.After > 0:
		t.due = now.Add(min(after.After, maxRetryAfter))
	case t.blocked:
		t.due = now.Add(p.blockedDelay)
	default:
		t.due = now.Add(sendBackoff.Delay(t.failures, nil))
	}
}
