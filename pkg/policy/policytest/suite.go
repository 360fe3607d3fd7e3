package policytest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// patience is the longest an engine may leave a transaction alone that nothing else will ever wake.
const patience = 24 * time.Hour

// rounds bounds a conversation with an engine.
const rounds = 64

// Run runs the suite. factory returns an engine with default settings; it may return the same one each time.
func Run(t *testing.T, factory func() policy.Engine) {
	t.Helper()
	e := factory()
	t.Run("a ready transaction is submitted", func(t *testing.T) { testReady(t, e) })
	t.Run("a tracked one is looked at again, and resubmitted in the end", func(t *testing.T) { testTracked(t, e) })
	t.Run("an open one is neither replaced nor given up", func(t *testing.T) { testOpen(t, e) })
	t.Run("after a failed send it waits, and then tries again", func(t *testing.T) { testBackOff(t, e) })
	t.Run("a used nonce is reconciled, not sent again", func(t *testing.T) { testNonceTooLow(t, e) })
	t.Run("what ended is failed or prepared afresh", func(t *testing.T) { testEnded(t, e) })
	t.Run("a block that may change is left alone", func(t *testing.T) { testInBlock(t, e) })
	t.Run("pure", func(t *testing.T) { testPure(t, e) })
	t.Run("any state is survived", func(t *testing.T) { testForeignState(t, e) })
	t.Run("what the chain lost is sent again in time", func(t *testing.T) { testLost(t, e) })
	t.Run("any life keeps the rules", func(t *testing.T) { testRandom(t, e) })
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func view(phase policy.Phase) policy.View {
	v := policy.View{
		Tx: policy.Tx{
			ID: "tx-1", From: "alice", To: "assets", Created: start,
			Phase: phase, Attempt: 1, Replaceable: phase == policy.Ready || phase == policy.Ended,
		},
		Now: start.Add(time.Second),
	}
	if phase != policy.Ready {
		v.Tx.Sends, v.Tx.FirstSubmit, v.Tx.LastSubmit = 1, v.Now, v.Now
	}
	return v
}

// ask calls the engine and checks what holds for every answer.
func ask(t require.TestingT, e policy.Engine, v policy.View) policy.Decision {
	d := e.Decide(v)
	require.Contains(t, []policy.Do{policy.Submit, policy.Prepare, policy.Wait, policy.Reconcile, policy.Fail}, d.Do)
	require.True(t, d.State == nil || json.Valid(d.State), "state is JSON: %q", d.State)
	require.True(t, d.Fee == nil || json.Valid(d.Fee), "fee is JSON: %q", d.Fee)
	if d.Do == policy.Fail {
		require.NotEmpty(t, d.Reason, "a failure has a reason")
	}
	if !d.Until.IsZero() {
		require.True(t, d.Until.After(v.Now) || d.Do == policy.Submit, "Until %s lies in the past of %s", d.Until, v.Now)
		require.LessOrEqual(t, d.Until.Sub(v.Now), patience)
	}
	return d
}

// converse follows the engine's waits until it wants something else, and returns that with the time that passed.
func converse(t *testing.T, e policy.Engine, v policy.View) (policy.Decision, time.Duration) {
	t.Helper()
	began := v.Now
	for range rounds {
		d := ask(t, e, v)
		if d.Do != policy.Wait {
			return d, v.Now.Sub(began)
		}
		require.False(t, d.Until.IsZero(), "a wait without an end, while nothing else will wake it")
		v.Now, v.State = d.Until, d.State
	}
	require.Fail(t, "the engine waits for ever")
	return policy.Decision{}, 0
}

func testReady(t *testing.T, e policy.Engine) {
	d, waited := converse(t, e, view(policy.Ready))
	require.Equal(t, policy.Submit, d.Do)
	require.Zero(t, waited, "nothing speaks against the first send")
}

func testTracked(t *testing.T, e policy.Engine) {
	for _, heard := range []bool{true, false} {
		v := view(policy.Tracking)
		v.Tx.Heard = heard
		d, waited := converse(t, e, v)
		require.Contains(t, []policy.Do{policy.Submit, policy.Reconcile}, d.Do)
		require.Positive(t, waited, "a chain needs time to make a block")
	}
	// Without limit: an orderer that lost the transaction fifty times may take it the next time.
	v := view(policy.Tracking)
	v.Tx.Heard = true
	for range rounds {
		d, waited := converse(t, e, v)
		require.Contains(t, []policy.Do{policy.Submit, policy.Reconcile}, d.Do)
		v.State, v.Now = d.State, v.Now.Add(waited)
		if d.Do == policy.Reconcile {
			v.Now = later(v.Now, d.Until)
		} else {
			v.Tx.Sends++
			v.Tx.LastSubmit = v.Now
		}
	}
	require.Greater(t, v.Tx.Sends, 1, "never sent again")
}

func testOpen(t *testing.T, e policy.Engine) {
	for _, phase := range []policy.Phase{policy.Unknown, policy.Tracking} {
		for _, kind := range kinds {
			for _, sends := range []int{1, 2, 50, 5000} {
				v := view(phase)
				v.Tx.Sends = sends
				v.Tx.Heard = true
				v.LastError = &ffcapi.Error{Kind: kind, Sent: ffcapi.SentMaybe, Message: "boom"}
				v.Now = v.Now.Add(patience)
				d := ask(t, e, v)
				require.NotContains(t, []policy.Do{policy.Prepare, policy.Fail}, d.Do, "%s after %s", phase, kind)
			}
		}
	}
}

func testBackOff(t *testing.T, e policy.Engine) {
	for _, phase := range []policy.Phase{policy.Ready, policy.Unknown} {
		for _, kind := range []ffcapi.Kind{ffcapi.Unavailable, ffcapi.Timeout, ffcapi.RateLimited, ffcapi.Internal} {
			v := view(phase)
			v.Tx.Sends, v.Tx.FirstSubmit, v.Tx.LastSubmit = 1, v.Now, v.Now
			v.LastError = &ffcapi.Error{Kind: kind, Sent: sentOf(phase), Message: "boom", RetryAfter: 3 * time.Second}
			d, waited := converse(t, e, v)
			require.Contains(t, []policy.Do{policy.Submit, policy.Reconcile}, d.Do, "%s after %s", phase, kind)
			require.GreaterOrEqual(t, waited+until(d, v), 3*time.Second, "the node asked for a pause")
		}
	}
}

func testNonceTooLow(t *testing.T, e policy.Engine) {
	v := view(policy.Unknown)
	nonce := uint64(7)
	v.Tx.Nonce = &nonce
	v.LastError = &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}
	d, _ := converse(t, e, v)
	require.Equal(t, policy.Reconcile, d.Do)
	require.False(t, d.Until.IsZero(), "it is looked for more than once")
}

func testEnded(t *testing.T, e policy.Engine) {
	for _, retryable := range []bool{true, false} {
		v := view(policy.Ended)
		v.Outcome = &policy.Outcome{Block: ffcapi.BlockRef{Number: 3, Hash: "h"}, Reason: "conflict", Retryable: retryable, Final: true}
		d, _ := converse(t, e, v)
		require.Contains(t, []policy.Do{policy.Prepare, policy.Fail}, d.Do)
		if !retryable {
			require.Equal(t, policy.Fail, d.Do, "a fresh preparation cannot help")
		}
	}
	v := view(policy.Ended) // dead without a block: expired, or shut out by another attempt
	d, _ := converse(t, e, v)
	require.Contains(t, []policy.Do{policy.Prepare, policy.Fail}, d.Do)
}

func testInBlock(t *testing.T, e policy.Engine) {
	for _, success := range []bool{true, false} {
		v := view(policy.Tracking)
		v.Tx.Heard = true
		v.Outcome = &policy.Outcome{Block: ffcapi.BlockRef{Number: 3, Hash: "h"}, Success: success, Retryable: !success}
		v.Now = v.Now.Add(patience)
		require.Contains(t, []policy.Do{policy.Wait, policy.Reconcile}, ask(t, e, v).Do)
	}
}

func testPure(t *testing.T, e policy.Engine) {
	views := corpus()
	want := make([]policy.Decision, len(views))
	for i, v := range views {
		before := clone(v)
		want[i] = e.Decide(v)
		require.Equal(t, before, v, "the view was changed")
	}
	var wg sync.WaitGroup
	got := make([][]policy.Decision, 4)
	for g := range got {
		wg.Go(func() {
			for _, v := range views {
				got[g] = append(got[g], e.Decide(v))
			}
		})
	}
	wg.Wait()
	for g := range got {
		require.Equal(t, want, got[g], "the same view, another decision")
	}
}

func testForeignState(t *testing.T, e policy.Engine) {
	for _, state := range []string{`null`, `[]`, `"x"`, `{"failures":"many"}`, `{"failures":-1}`, `{`, `{"failures":1e99}`} {
		for _, v := range corpus() {
			v.State = json.RawMessage(state)
			ask(t, e, v)
		}
	}
}

var kinds = []ffcapi.Kind{
	ffcapi.InvalidInput, ffcapi.Unauthorized, ffcapi.NotFound, ffcapi.Reverted, ffcapi.Endorsement, ffcapi.InsufficientFunds,
	ffcapi.Unsupported, ffcapi.NonceTooLow, ffcapi.Underpriced, ffcapi.KnownTransaction, ffcapi.Conflict, ffcapi.RateLimited,
	ffcapi.Unavailable, ffcapi.Timeout, ffcapi.Internal,
}

// corpus is a set of views that differ in everything an engine may look at.
func corpus() []policy.View {
	var views []policy.View
	for _, phase := range []policy.Phase{policy.Ready, policy.Unknown, policy.Tracking, policy.Ended} {
		plain := view(phase)
		views = append(views, plain)
		late := view(phase)
		late.Now = late.Now.Add(time.Hour)
		late.Tx.Heard = true
		views = append(views, late)
		for _, kind := range kinds {
			v := view(phase)
			v.LastError = &ffcapi.Error{Kind: kind, Sent: sentOf(phase), Message: "boom"}
			views = append(views, v)
		}
	}
	return views
}

func clone(v policy.View) policy.View {
	v.State, v.Fee, v.Tx.Fee = slices.Clone(v.State), slices.Clone(v.Fee), slices.Clone(v.Tx.Fee)
	if v.Tx.Nonce != nil {
		nonce := *v.Tx.Nonce
		v.Tx.Nonce = &nonce
	}
	if v.Outcome != nil {
		o := *v.Outcome
		v.Outcome = &o
	}
	if v.LastError != nil {
		e := *v.LastError
		v.LastError = &e
	}
	return v
}

func sentOf(phase policy.Phase) ffcapi.Sent {
	if phase == policy.Ready {
		return ffcapi.SentNo
	}
	return ffcapi.SentMaybe
}

// until is how long after the view d lets pass before anything is sent.
func until(d policy.Decision, v policy.View) time.Duration {
	if d.Do != policy.Reconcile || d.Until.IsZero() {
		return 0
	}
	return d.Until.Sub(v.Now)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
