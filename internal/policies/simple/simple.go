package simple

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// Config is the section policies.simple. Zero fields take the defaults.
type Config struct {
	ResubmitInterval time.Duration `json:"resubmitInterval"` // 10 s
	MaxAttempts      int           `json:"maxAttempts"`      // sends in a row that did not leave, until it fails; 0: no limit
	Backoff          pace.Backoff  `json:"backoff"`          // after a failed send: 250 ms to 30 s
	Bump             Bump          `json:"bump"`
}

// Engine is the policy.
type Engine struct {
	pace        pace.Pace
	maxAttempts int
	bump        bump
}

// New makes the policy without Config.Bump, which has to be parsed.
func New(c Config) *Engine {
	return &Engine{
		pace: pace.Pace{
			Resubmit: pace.Positive(c.ResubmitInterval, 10*time.Second),
			Backoff:  c.Backoff.Or(250*time.Millisecond, 30*time.Second),
		},
		maxAttempts: max(c.MaxAttempts, 0),
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
	pace.State
	Stale int  `json:"stale,omitempty"` // number of the attempt that cannot be sent as it is
	Asked bool `json:"asked,omitempty"` // another one was asked for: LastError is the answer
}

// Decide implements policy.Engine.
func (e *Engine) Decide(v policy.View) policy.Decision {
	s := pace.Parse[state](v.State)
	s.Failures = max(s.Failures, 0)
	if s.Stale != v.Tx.Attempt {
		s.Stale, s.Asked = 0, false
	}
	switch v.Tx.Phase {
	case policy.Ended:
		if !v.Tx.Replaceable { // its nonce is not used yet
			return policy.Decision{Do: policy.Wait, Until: v.Now.Add(e.pace.Resubmit), State: pace.Encode(s)}
		}
		return policy.Decision{Do: policy.Fail, Reason: endedReason(v)}
	case policy.Tracking:
		return e.tracking(v)
	default:
	}
	switch {
	case s.Stale != 0 && v.Tx.Replaceable:
		return e.afresh(v, s)
	case v.LastError == nil, s.Answered(v):
		return e.afterWait(v, s)
	default:
		return e.failed(v, s)
	}
}

// failed begins the wait that a failed send asks for.
func (e *Engine) failed(v policy.View, s state) policy.Decision {
	if e.givesUp(v, s.Failures+1) {
		s.Failures++
		return policy.Decision{Do: policy.Fail, Reason: v.LastError.Error(), State: pace.Encode(s)}
	}
	e.pace.Fail(v, &s.State)
	do := policy.Wait
	switch {
	case v.LastError.Kind == ffcapi.NonceTooLow:
		do = policy.Reconcile
	case v.LastError.Kind == ffcapi.Conflict && v.Tx.Replaceable:
		s.Stale = v.Tx.Attempt
	}
	return policy.Decision{Do: do, Until: s.After, Reason: v.LastError.Error(), State: pace.Encode(s)}
}

// givesUp: only what is known not to be anywhere may be given up.
func (e *Engine) givesUp(v policy.View, failures int) bool {
	if !v.Tx.Replaceable {
		return false
	}
	return v.LastError.Kind.Final() || (e.maxAttempts > 0 && failures >= e.maxAttempts)
}

// afresh has the transaction prepared afresh once the wait is over, and again when that failed for now.
func (e *Engine) afresh(v policy.View, s state) policy.Decision {
	if s.Asked && v.LastError != nil {
		s.Asked = false
		return e.failed(v, s)
	}
	if s.Waits(v) {
		return policy.Decision{Do: policy.Wait, Until: s.After, State: pace.Encode(s)}
	}
	s.Asked = true
	return policy.Decision{Do: policy.Prepare, State: pace.Encode(s)}
}

// afterWait sends once the wait is over.
func (e *Engine) afterWait(v policy.View, s state) policy.Decision {
	if s.Waits(v) {
		return policy.Decision{Do: policy.Wait, Until: s.After, State: pace.Encode(s)}
	}
	if v.LastError != nil && v.LastError.Kind == ffcapi.NonceTooLow {
		return e.failed(v, s)
	}
	return policy.Decision{Do: policy.Submit, Fee: e.bump.fee(v, false), State: pace.Encode(s)}
}

// tracking waits for the block, and sends the same bytes again when it does not come, or for a higher fee.
func (e *Engine) tracking(v policy.View) policy.Decision {
	if v.Outcome != nil {
		return policy.Decision{Do: policy.Wait}
	}
	fee := e.bump.fee(v, true)
	if underpriced(v) && fee != nil {
		return e.outbid(v, fee)
	}
	if due := e.pace.Due(v); v.Now.Before(due) {
		return policy.Decision{Do: policy.Wait, Until: due}
	}
	return policy.Decision{Do: policy.Submit, Fee: fee, Reason: pace.Late(v)}
}

// outbid replaces what a node refused as underpriced. No block has to be waited for, but the node is given a moment.
func (e *Engine) outbid(v policy.View, fee json.RawMessage) policy.Decision {
	b := e.pace.Backoff
	wait := max(b.Delay(1, pace.Jitter(v, v.Tx.Sends)), b.Initial/2, v.LastError.RetryAfter)
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
