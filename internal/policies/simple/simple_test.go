package simple_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/policy/policytest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	policytest.Run(t, func() policy.Engine { return simple.New(simple.Config{}) })
}

func TestSuiteWithMaxAttempts(t *testing.T) {
	t.Parallel()
	policytest.Run(t, func() policy.Engine { return simple.New(simple.Config{MaxAttempts: 3}) })
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ready(id string, err *ffcapi.Error) policy.View {
	return policy.View{
		Tx:        policy.Tx{ID: id, Phase: policy.Ready, Attempt: 1, Replaceable: true, LastSubmit: now},
		LastError: err,
		Now:       now,
	}
}

func TestBackOffGrowsAndSpreads(t *testing.T) {
	t.Parallel()
	e := simple.New(simple.Config{Backoff: pace.Backoff{Initial: time.Second, Max: 8 * time.Second}})
	waits := map[time.Duration]bool{}
	for i := range 100 {
		v := ready(fmt.Sprintf("tx-%d", i), ffcapi.Errorf(ffcapi.Unavailable, "away"))
		for failure, ceiling := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
			d := e.Decide(v)
			require.Equal(t, policy.Wait, d.Do)
			wait := d.Until.Sub(v.Now)
			require.GreaterOrEqual(t, wait, time.Second/2)
			require.LessOrEqual(t, wait, ceiling, "failure %d", failure+1)
			waits[wait] = true

			v.State, v.Now = d.State, d.Until
			d = e.Decide(v)
			require.Equal(t, policy.Submit, d.Do, "the wait is over")
			v.State, v.Tx.LastSubmit = d.State, v.Now
		}
	}
	require.Greater(t, len(waits), 250, "waits are spread")
}

func TestMaxAttempts(t *testing.T) {
	t.Parallel()
	e := simple.New(simple.Config{MaxAttempts: 2})
	v := ready("tx", ffcapi.Errorf(ffcapi.Unavailable, "away"))
	d := e.Decide(v)
	require.Equal(t, policy.Wait, d.Do)
	v.Now, v.State = d.Until, d.State
	d = e.Decide(v)
	require.Equal(t, policy.Submit, d.Do)
	v.State, v.Tx.LastSubmit = d.State, v.Now

	kept := v
	kept.Tx.Replaceable = false
	require.Equal(t, policy.Wait, e.Decide(kept).Do, "what may be on its way is not given up")
	d = e.Decide(v)
	require.Equal(t, policy.Fail, d.Do)
	require.Equal(t, "away", d.Reason)
}

func TestFinalErrorFailsWhatNeverLeft(t *testing.T) {
	t.Parallel()
	e := simple.New(simple.Config{})
	v := ready("tx", ffcapi.Errorf(ffcapi.Unauthorized, "not you"))
	require.Equal(t, policy.Fail, e.Decide(v).Do)
	v.Tx.Replaceable = false // it holds a nonce
	d := e.Decide(v)
	require.Equal(t, policy.Wait, d.Do)
	require.Equal(t, "not you", d.Reason)
}

// What the connector says is too old to be sent is prepared afresh, if nothing of it has left.
func TestConflictBeforeTheSend(t *testing.T) {
	t.Parallel()
	e := simple.New(simple.Config{Backoff: pace.Backoff{Initial: time.Second, Max: 8 * time.Second}})
	v := ready("tx", ffcapi.Errorf(ffcapi.Conflict, "too old"))
	longest := time.Duration(0)
	for attempt := range 20 {
		d := e.Decide(v)
		require.Equal(t, policy.Wait, d.Do, "who is told so again and again is not prepared in a loop")
		longest = max(longest, d.Until.Sub(v.Now))
		open := v
		open.Tx.Replaceable, open.Now, open.State = false, d.Until, d.State
		require.Equal(t, policy.Submit, e.Decide(open).Do, "what may have left is sent again, as it is")

		v.State, v.Now = d.State, d.Until
		d = e.Decide(v)
		require.Equal(t, policy.Prepare, d.Do)
		v.State = d.State
		require.Equal(t, policy.Prepare, e.Decide(restarted(v)).Do, "a restart forgets the answer, not the question")

		gone := v // it is refused for good
		gone.LastError = ffcapi.Errorf(ffcapi.Reverted, "no")
		require.Equal(t, policy.Fail, e.Decide(gone).Do)
		v.LastError = ffcapi.Errorf(ffcapi.Unavailable, "away") // or for now
		d = e.Decide(v)
		require.Equal(t, policy.Wait, d.Do)
		v.State, v.Now = d.State, d.Until
		d = e.Decide(v)
		require.Equal(t, policy.Prepare, d.Do)
		v.State = d.State

		v.Tx.Attempt = attempt + 2
		v.LastError = nil
		d = e.Decide(v)
		require.Equal(t, policy.Submit, d.Do, "the new one is sent")
		v.State, v.Tx.LastSubmit, v.LastError = d.State, v.Now, ffcapi.Errorf(ffcapi.Conflict, "too old")
	}
	require.Greater(t, longest, 4*time.Second)
	require.Equal(t, policy.Fail, simple.New(simple.Config{MaxAttempts: 1}).Decide(ready("tx", ffcapi.Errorf(ffcapi.Conflict, "too old"))).Do)
}

func restarted(v policy.View) policy.View {
	v.LastError = nil
	return v
}

func TestResubmitAfterInterval(t *testing.T) {
	t.Parallel()
	e := simple.New(simple.Config{ResubmitInterval: 10 * time.Second})
	v := policy.View{Tx: policy.Tx{ID: "tx", Phase: policy.Tracking, Attempt: 1, Sends: 1, LastSubmit: now, Heard: true}, Now: now}
	d := e.Decide(v)
	require.Equal(t, policy.Wait, d.Do)
	require.WithinRange(t, d.Until, now.Add(10*time.Second), now.Add(11*time.Second))

	v.Now = d.Until
	require.Equal(t, policy.Submit, e.Decide(v).Do)
	silent := v
	silent.Tx.Heard = false
	d = e.Decide(silent)
	require.Equal(t, policy.Wait, d.Do, "no block arrives: the chain is slow, not the transaction")
	silent.Now = d.Until
	require.Equal(t, policy.Submit, e.Decide(silent).Do, "but a chain may make no block without a transaction")
	require.WithinRange(t, d.Until, now.Add(30*time.Second), now.Add(33*time.Second))
}

func TestParse(t *testing.T) {
	t.Parallel()
	e, err := simple.Parse(json.RawMessage(`{"resubmitInterval":1000000000,"maxAttempts":0,"backoff":{"initial":1000000,"max":2000000}}`))
	require.NoError(t, err)
	v := policy.View{Tx: policy.Tx{Phase: policy.Tracking, LastSubmit: now, Heard: true}, Now: now}
	require.WithinRange(t, e.Decide(v).Until, now.Add(time.Second), now.Add(1100*time.Millisecond))
	_, err = simple.Parse(nil)
	require.NoError(t, err)
	_, err = simple.Parse(json.RawMessage(`{"maxAttempts":"many"}`))
	require.ErrorContains(t, err, "policies.simple")
}
