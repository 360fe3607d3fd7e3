package fabric

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// Config is the section policies.fabric.
type Config struct {
	RetryConflicts   bool          `json:"retryConflicts"`
	MaxAttempts      int           `json:"maxAttempts"`      // that lost a race, until the transaction fails
	ConflictBackoff  pace.Backoff  `json:"conflictBackoff"`  // before a fresh preparation
	ResubmitInterval time.Duration `json:"resubmitInterval"` // in which what was sent should be in a block
	Backoff          pace.Backoff  `json:"backoff"`          // after a call that failed
}

// DefaultConfig is what is not set.
func DefaultConfig() Config {
	return Config{
		RetryConflicts: true, MaxAttempts: 5, ConflictBackoff: pace.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second},
		ResubmitInterval: 10 * time.Second, Backoff: pace.Backoff{Initial: 250 * time.Millisecond, Max: 30 * time.Second},
	}
}

// Engine is the policy.
type Engine struct {
	pace        pace.Pace
	conflict    retry.Backoff
	maxAttempts int
}

// New makes the policy. Numbers and times that are not above 0 take the defaults.
func New(c Config) *Engine {
	d := DefaultConfig()
	e := &Engine{
		pace: pace.Pace{
			Resubmit: pace.Positive(c.ResubmitInterval, d.ResubmitInterval),
			Backoff:  c.Backoff.Or(d.Backoff.Initial, d.Backoff.Max),
		},
		conflict:    c.ConflictBackoff.Or(d.ConflictBackoff.Initial, d.ConflictBackoff.Max),
		maxAttempts: c.MaxAttempts,
	}
	switch {
	case !c.RetryConflicts:
		e.maxAttempts = 1
	case e.maxAttempts <= 0:
		e.maxAttempts = d.MaxAttempts
	}
	return e
}

// Parse makes the policy from its section of the configuration.
func Parse(raw json.RawMessage) (*Engine, error) {
	c := DefaultConfig()
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("policies.fabric: %w", err)
		}
	}
	return New(c), nil
}

// state is what the engine remembers of a transaction.
type state struct {
	pace.State
	Lost    int  `json:"lost,omitempty"`    // attempts that lost a race
	Loser   int  `json:"loser,omitempty"`   // number of the newest of them
	Replace int  `json:"replace,omitempty"` // number of the attempt for which another is to be prepared
	Asked   bool `json:"asked,omitempty"`   // and that was asked for: LastError is the answer
	Sought  int  `json:"sought,omitempty"`  // sends of the newest attempt when it was last looked for
	Vain    int  `json:"vain,omitempty"`    // attempts in a row that could not be sent as they were
}

// Decide implements policy.Engine.
func (e *Engine) Decide(v policy.View) policy.Decision {
	s := pace.Parse[state](v.State)
	if s.Replace != 0 && s.Replace != v.Tx.Attempt { // it was replaced
		s = state{Lost: s.Lost, Loser: s.Loser, Vain: s.Vain}
	}
	var d policy.Decision
	switch v.Tx.Phase {
	case policy.Ended:
		d = e.ended(v, &s)
	case policy.Tracking:
		d = e.tracking(v, &s)
	case policy.Unknown:
		d = e.open(v, &s)
	default:
		d = e.ready(v, &s)
	}
	d.State = pace.Encode(s)
	return d
}

// ended prepares afresh what lost a race, and fails the rest.
func (e *Engine) ended(v policy.View, s *state) policy.Decision {
	switch {
	case !v.Tx.Replaceable: // another attempt is not at its end
		return policy.Decision{Do: policy.Wait, Until: v.Now.Add(e.pace.Resubmit)}
	case v.Outcome == nil:
		return e.lost(v, s, "it can no longer be on the ledger")
	case v.Outcome.Retryable:
		return e.lost(v, s, outcome(v))
	default:
		return policy.Decision{Do: policy.Fail, Reason: outcome(v)}
	}
}

// lost counts an attempt that lost a race, and has another one prepared if there may be one.
func (e *Engine) lost(v policy.View, s *state, why string) policy.Decision {
	if s.Loser != v.Tx.Attempt {
		*s = state{Lost: max(s.Lost, 0) + 1, Loser: v.Tx.Attempt}
		s.Pause(v, e.conflict.Delay(s.Lost, pace.Jitter(v, s.Lost)))
	}
	if s.Lost < e.maxAttempts {
		return e.prepare(v, s)
	}
	if e.maxAttempts > 1 {
		why = fmt.Sprintf("%s, attempt %d of %d", why, s.Lost, e.maxAttempts)
	}
	return policy.Decision{Do: policy.Fail, Reason: why}
}

// prepare asks for a fresh preparation, once the time has come, and again when that failed for now.
func (e *Engine) prepare(v policy.View, s *state) policy.Decision {
	if s.Replace == v.Tx.Attempt && s.Asked && v.LastError != nil {
		if v.LastError.Kind.Final() {
			return policy.Decision{Do: policy.Fail, Reason: refused(v)}
		}
		s.Asked = false
		e.pace.Fail(v, &s.State)
	}
	s.Replace = v.Tx.Attempt
	if s.Waits(v) {
		return policy.Decision{Do: policy.Wait, Until: s.After}
	}
	s.Asked = true
	return policy.Decision{Do: policy.Prepare}
}

// ready sends what never left, or gives it up, or has it prepared afresh.
func (e *Engine) ready(v policy.View, s *state) policy.Decision {
	conflict := v.LastError != nil && v.LastError.Kind == ffcapi.Conflict
	switch {
	case v.Tx.Replaceable && conflict && s.Replace != v.Tx.Attempt: // the connector knows that it would fail: no race was lost
		s.Vain++
		s.Pause(v, e.pace.Backoff.Delay(s.Vain, pace.Jitter(v, s.Vain)))
		return e.prepare(v, s)
	case v.Tx.Replaceable && (v.Tx.Outdated || s.Replace == v.Tx.Attempt):
		return e.prepare(v, s)
	case v.LastError == nil, s.Answered(v):
		if s.Waits(v) {
			return policy.Decision{Do: policy.Wait, Until: s.After}
		}
		return policy.Decision{Do: policy.Submit}
	case v.Tx.Replaceable && v.LastError.Kind.Final():
		return policy.Decision{Do: policy.Fail, Reason: v.LastError.Error()}
	default:
		e.pace.Fail(v, &s.State)
		return policy.Decision{Do: policy.Wait, Until: s.After, Reason: v.LastError.Error()}
	}
}

// open looks for what may have left, and sends it again.
func (e *Engine) open(v policy.View, s *state) policy.Decision {
	if v.LastError != nil && !s.Answered(v) {
		e.pace.Fail(v, &s.State)
		if v.LastError.Kind == ffcapi.Timeout { // it may well have been taken: its block is given time to come
			s.Pause(v, max(s.After.Sub(v.Now), e.pace.Resubmit+e.spread(v)))
		}
	}
	switch {
	case s.Waits(v):
		return policy.Decision{Do: policy.Wait, Until: s.After}
	case s.Sought != v.Tx.Sends:
		s.Sought = v.Tx.Sends
		return policy.Decision{Do: policy.Reconcile, Until: v.Now.Add(e.pace.Backoff.Initial)}
	default:
		return policy.Decision{Do: policy.Submit}
	}
}

// spread is up to a tenth of the resubmit interval.
func (e *Engine) spread(v policy.View) time.Duration {
	return time.Duration(pace.Jitter(v, v.Tx.Sends)() * float64(e.pace.Resubmit) / 10)
}

// tracking waits for the block, and sends the same envelope again when it does not come.
func (e *Engine) tracking(v policy.View, s *state) policy.Decision {
	*s = state{Lost: s.Lost, Loser: s.Loser}
	if v.Outcome != nil {
		return policy.Decision{Do: policy.Wait}
	}
	if due := e.pace.Due(v); v.Now.Before(due) {
		return policy.Decision{Do: policy.Wait, Until: due}
	}
	return policy.Decision{Do: policy.Submit, Reason: pace.Late(v)}
}

// outcome says why the newest attempt failed, and where.
func outcome(v policy.View) string {
	why := v.Outcome.Reason
	if why == "" {
		why = "the ledger refused it"
	}
	return fmt.Sprintf("%s in block %d", why, v.Outcome.Block.Number)
}

// refused says why no other attempt could be prepared.
func refused(v policy.View) string {
	if v.Outcome == nil {
		return v.LastError.Error()
	}
	return fmt.Sprintf("%s (prepared again after %s)", v.LastError.Error(), outcome(v))
}
