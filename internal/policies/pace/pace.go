// Package pace is what policies have in common: when a transaction that was prepared is sent, and when it is sent again.
//
//	a send failed ─▶ Fail ─▶ wait: doubling, full jitter, at least what the node asked for
//	a node took it ─▶ Due ─▶ the same bytes again, jittered, without limit
//
// Everything is pure: waits are drawn from the transaction's id and counts, so that the same view has the same answer, and a thousand
// transactions that fail together come back spread out.
package pace

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// silence is how many resubmit intervals pass before a transaction is sent again although no block arrived: a chain that makes
// blocks only when there are transactions makes none for one that it lost.
const silence = 3

// Backoff is the section of a configuration that bounds the waits after failures: they double from Initial to Max.
type Backoff struct {
	Initial time.Duration `json:"initial"`
	Max     time.Duration `json:"max"`
}

// Or fills in what is not set.
func (b Backoff) Or(initial, longest time.Duration) retry.Backoff {
	return retry.Backoff{Initial: Positive(b.Initial, initial), Max: Positive(b.Max, longest), Factor: 2, Jitter: true}
}

// Pace says when to send.
type Pace struct {
	Resubmit time.Duration // time in which what a node took should be in a block
	Backoff  retry.Backoff // after a call that failed
}

// State is what is remembered of a transaction's failures. A policy that remembers more embeds it.
type State struct {
	Failures int       `json:"failures,omitempty"` // calls in a row that failed
	After    time.Time `json:"after,omitzero"`     // no call before
}

// Answered reports whether the failure of the newest send is the one that s already waits out.
func (s *State) Answered(v policy.View) bool {
	return !s.After.IsZero() && s.After.After(v.Tx.LastSubmit)
}

// Waits reports whether it is too early for the next call.
func (s *State) Waits(v policy.View) bool { return s.After.After(v.Now) }

// Fail begins the wait that a failed call, v.LastError, asks for.
func (p *Pace) Fail(v policy.View, s *State) {
	s.Failures++
	// Half of the first wait is a floor: full jitter may draw almost nothing, and the call would be repeated at once.
	s.Pause(v, max(p.Backoff.Delay(s.Failures, Jitter(v, s.Failures)), p.Backoff.Initial/2, v.LastError.RetryAfter))
}

// Pause begins a wait.
func (s *State) Pause(v policy.View, wait time.Duration) {
	s.After = v.Now.Add(max(wait, time.Millisecond)).Truncate(time.Microsecond) // as exact as LastSubmit is stored
}

// Due is when what a node took, and no block holds, is to be sent again.
func (p *Pace) Due(v policy.View) time.Time {
	// A tenth of jitter: what was sent together is not sent again together.
	wait := p.Resubmit + time.Duration(Jitter(v, v.Tx.Sends)()*float64(p.Resubmit)/10)
	if v.LastError != nil {
		wait = max(wait, v.LastError.RetryAfter)
	}
	due := v.Tx.LastSubmit.Add(wait)
	if !v.Tx.Heard && !v.Now.Before(due) {
		due = v.Tx.LastSubmit.Add(silence * wait)
	}
	return due
}

// Late says for how long what is due has been in no block.
func Late(v policy.View) string {
	return "not in a block after " + v.Now.Sub(v.Tx.LastSubmit).Round(time.Millisecond).String()
}

// Jitter draws from the transaction's id and a count.
func Jitter(v policy.View, count int) func() float64 {
	return func() float64 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%s/%d/%d", v.Tx.ID, v.Tx.Attempt, count) // a hash cannot fail
		x := h.Sum64()
		x ^= x >> 32 // FNV mixes its low bits best
		x *= 0x9e3779b97f4a7c15
		return float64(x>>11) / (1 << 53)
	}
}

// Parse reads a policy's own state; anything else counts as none.
func Parse[S any](raw json.RawMessage) S {
	var s, none S
	if len(raw) > 0 && json.Unmarshal(raw, &s) != nil {
		return none
	}
	return s
}

// Encode writes a policy's own state; the zero state is none.
func Encode[S comparable](s S) json.RawMessage {
	var none S
	if s == none {
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil // a year beyond 9999: the wait starts anew
	}
	return raw
}

// Positive is d, or if that is not set, something else.
func Positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
