package simple

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// silence is how many resubmit intervals pass before a transaction is sent again although no block arrived: a chain that makes
// blocks only when there are transactions makes none for one that it lost.
const silence = 3

// Config is the section policies.simple. Zero fields take the defaults.
type Config struct {
	ResubmitInterval time.Duration `json:"resubmitInterval"` // 10 s
	MaxAttempts      int           `json:"maxAttempts"`      // sends in a row that did not leave, until it fails; 0: no limit
	Backoff          Backoff       `json:"backoff"`
	Bump             Bump          `json:"bump"`
}

// Backoff is the wait after a failed send: it doubles from Initial to Max.
type Backoff struct {
	Initial time.Duration `json:"initial"` // 250 ms
	Max     time.Duration `json:"max"`     // 30 s
}

// Engine is the policy.
type Engine struct {
	resubmit    time.Duration
	maxAttempts int
	backoff     retry.Backoff
	bump        bump
}

// New makes the policy without Config.Bump, which has to be parsed.
func New(c Config) *Engine {
	return &Engine{
		resubmit:    positive(c.ResubmitInterval, 10*time.Second),
		maxAttempts: max(c.MaxAttempts, 0),
		backoff: retry.Backoff{
			Initial: positive(c.Backoff.Initial, 250*time.Millisecond),
			Max:     positive(c.Backoff.Max, 30*time.Second),
			Factor:  2,
			Jitter:  true,
		},
	}
}

// Parse makes the policy from its section of the configuration.
func Parse(raw json.RawMessage) (*Engine, error) {
	var c Config
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("policies.simple: %w", err)
		}
	}
	b, err := newBump(c.Bump)
	if err != nil {
		return nil, err
	}
	e := New(c)
	e.bump = b
	return e, nil
}

// state is what the engine remembers of a transaction.
type state struct {
	Failures int       `json:"failures,omitempty"` // sends in a row that failed
	After    time.Time `json:"after,omitzero"`     // no send before
}

// Decide implements policy.Engine.
func (e *Engine) Decide(v policy.View) policy.Decision {
	s := parse(v.State)
	switch v.Tx.Phase {
	case policy.Ended:
		if !v.Tx.Replaceable { // its nonce is not used yet
			return policy.Decision{Do: policy.Wait, Until: v.Now.Add(e.resubmit), State: s.encode()}
		}
		return policy.Decision{Do: policy.Fail, Reason: endedReason(v)}
	case policy.Tracking:
		return e.tracking(v)
	default:
	}
	if v.LastError == nil || answered(v, s) {
		return e.afterWait(v, s)
	}
	return e.failed(v, s)
}

// answered reports whether the failure in v is the one that s already waits out.
func answered(v policy.View, s state) bool {
	return !s.After.IsZero() && s.After.After(v.Tx.LastSubmit)
}

// failed begins the wait that a failed send asks for.
func (e *Engine) failed(v policy.View, s state) policy.Decision {
	s.Failures++
	if e.givesUp(v, s) {
		return policy.Decision{Do: policy.Fail, Reason: v.LastError.Error(), State: s.encode()}
	}
	// Half of the first wait is a floor: full jitter may draw almost nothing, and the send would be repeated at once.
	wait := max(e.backoff.Delay(s.Failures, jitter(v, s.Failures)), e.backoff.Initial/2, v.LastError.RetryAfter)
	s.After = v.Now.Add(max(wait, time.Millisecond)).Truncate(time.Microsecond) // as exact as LastSubmit is stored
	do := policy.Wait
	if v.LastError.Kind == ffcapi.NonceTooLow {
		do = policy.Reconcile
	}
	return policy.Decision{Do: do, Until: s.After, Reason: v.LastError.Error(), State: s.encode()}
}

// givesUp: only what is known not to be anywhere may be given up.
func (e *Engine) givesUp(v policy.View, s state) bool {
	if !v.Tx.Replaceable {
		return false
	}
	return v.LastError.Kind.Final() || (e.maxAttempts > 0 && s.Failures >= e.maxAttempts)
}

// afterWait sends once the wait is over.
func (e *Engine) afterWait(v policy.View, s state) policy.Decision {
	if s.After.After(v.Now) {
		return policy.Decision{Do: policy.Wait, Until: s.After, State: s.encode()}
	}
	if v.LastError != nil && v.LastError.Kind == ffcapi.NonceTooLow {
		return e.failed(v, s)
	}
	return policy.Decision{Do: policy.Submit, Fee: e.bump.fee(v, false), State: s.encode()}
}

// tracking waits for the block, and sends the same bytes again when it does not come, or for a higher fee.
func (e *Engine) tracking(v policy.View) policy.Decision {
	if v.Outcome != nil {
		return policy.Decision{Do: policy.Wait}
	}
	// A tenth of jitter: what was sent together is not sent again together.
	wait := e.resubmit + time.Duration(jitter(v, v.Tx.Sends)()*float64(e.resubmit)/10)
	if v.LastError != nil {
		wait = max(wait, v.LastError.RetryAfter)
	}
	fee := e.bump.fee(v, true)
	if underpriced(v) && fee != nil {
		return e.outbid(v, fee)
	}
	due := v.Tx.LastSubmit.Add(wait)
	if !v.Tx.Heard && !v.Now.Before(due) {
		due = v.Tx.LastSubmit.Add(silence * wait)
	}
	if v.Now.Before(due) {
		return policy.Decision{Do: policy.Wait, Until: due}
	}
	return policy.Decision{
		Do: policy.Submit, Fee: fee, Reason: "not in a block after " + v.Now.Sub(v.Tx.LastSubmit).Round(time.Millisecond).String(),
	}
}

// outbid replaces what a node refused as underpriced. No block has to be waited for, but the node is given a moment.
func (e *Engine) outbid(v policy.View, fee json.RawMessage) policy.Decision {
	wait := max(e.backoff.Delay(1, jitter(v, v.Tx.Sends)), e.backoff.Initial/2, v.LastError.RetryAfter)
	if due := v.Tx.LastSubmit.Add(wait); v.Now.Before(due) {
		return policy.Decision{Do: policy.Wait, Until: due, Reason: v.LastError.Error()}
	}
	return policy.Decision{Do: policy.Submit, Fee: fee, Reason: v.LastError.Error()}
}

func endedReason(v policy.View) string {
	switch {
	case v.Outcome != nil && v.Outcome.Reason != "":
		return v.Outcome.Reason
	case v.LastError != nil:
		return v.LastError.Error()
	default:
		return "it can no longer be on the ledger"
	}
}

// jitter draws from the transaction's id and a count, so that Decide stays pure.
func jitter(v policy.View, count int) func() float64 {
	return func() float64 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%s/%d/%d", v.Tx.ID, v.Tx.Attempt, count) // a hash cannot fail
		x := h.Sum64()
		x ^= x >> 32 // FNV mixes its low bits best
		x *= 0x9e3779b97f4a7c15
		return float64(x>>11) / (1 << 53)
	}
}

// parse reads the engine's own state; anything else counts as none.
func parse(raw json.RawMessage) state {
	var s state
	if len(raw) > 0 && json.Unmarshal(raw, &s) != nil {
		return state{}
	}
	s.Failures = max(s.Failures, 0)
	return s
}

func (s state) encode() json.RawMessage {
	if s == (state{}) {
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil // a year beyond 9999: the wait starts anew
	}
	return raw
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
