package fabric_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/policy/policytest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	policytest.Run(t, func() policy.Engine { return fabric.New(fabric.DefaultConfig()) })
}

func TestSuiteWithoutRetries(t *testing.T) {
	t.Parallel()
	policytest.Run(t, func() policy.Engine { return fabric.New(fabric.Config{}) })
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// loser is an attempt that lost a race in a final block.
func loser(id string, attempt int) policy.View {
	return policy.View{
		Tx: policy.Tx{ID: id, Phase: policy.Ended, Attempt: attempt, Sends: 1, LastSubmit: now, Replaceable: true},
		Outcome: &policy.Outcome{
			Block: ffcapi.BlockRef{Number: 7, Hash: "h"}, Reason: "MVCC_READ_CONFLICT", Retryable: true, Final: true,
		},
		Now: now,
	}
}

// next is v a moment later, with another attempt in the same place.
func next(v policy.View, d policy.Decision, attempt int) policy.View {
	w := loser(v.Tx.ID, attempt)
	w.State, w.Now = d.State, v.Now.Add(time.Second)
	return w
}

// overcome follows the waits of a view to the decision after them, and returns how long they were.
func overcome(t *testing.T, e policy.Engine, v *policy.View) (policy.Decision, time.Duration) {
	t.Helper()
	began := v.Now
	for range 3 {
		d := e.Decide(*v)
		if v.State = d.State; d.Do != policy.Wait {
			return d, v.Now.Sub(began)
		}
		v.Now = d.Until
	}
	require.Fail(t, "it waits for ever")
	return policy.Decision{}, 0
}

func TestLosersArePreparedAfreshUpToALimit(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	v := loser("tx", 1)
	for attempt := 1; attempt < 5; attempt++ {
		d, _ := overcome(t, e, &v)
		require.Equal(t, policy.Prepare, d.Do, "attempt %d", attempt)
		v = next(v, d, attempt+1)
	}
	d := e.Decide(v)
	require.Equal(t, policy.Fail, d.Do)
	require.Equal(t, "MVCC_READ_CONFLICT in block 7, attempt 5 of 5", d.Reason)
}

// What was replaced before it was sent has lost no race.
func TestOnlyLostRacesCount(t *testing.T) {
	t.Parallel()
	c := fabric.DefaultConfig()
	c.MaxAttempts = 2
	e := fabric.New(c)
	v := loser("tx", 8)
	d, _ := overcome(t, e, &v)
	require.Equal(t, policy.Prepare, d.Do)

	outdated := next(v, d, 9)
	outdated.Tx.Phase, outdated.Outcome, outdated.Tx.Sends, outdated.Tx.Outdated = policy.Ready, nil, 0, true
	d = e.Decide(outdated)
	require.Equal(t, policy.Prepare, d.Do, "at once")
	v = next(outdated, d, 10)
	require.Equal(t, policy.Fail, e.Decide(v).Do, "the second that lost")
	v.Tx.Phase, v.Outcome, v.Tx.Outdated = policy.Ready, nil, false
	require.Equal(t, policy.Submit, e.Decide(v).Do)
}

func TestRetriesOff(t *testing.T) {
	t.Parallel()
	e, err := fabric.Parse(json.RawMessage(`{"retryConflicts":false}`))
	require.NoError(t, err)
	d := e.Decide(loser("tx", 1))
	require.Equal(t, policy.Fail, d.Do)
	require.Equal(t, "MVCC_READ_CONFLICT in block 7", d.Reason)
}

func TestConflictsThatNothingCanCure(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	v := loser("tx", 1)
	v.Outcome.Retryable, v.Outcome.Reason = false, "ENDORSEMENT_POLICY_FAILURE"
	d := e.Decide(v)
	require.Equal(t, policy.Fail, d.Do)
	require.Equal(t, "ENDORSEMENT_POLICY_FAILURE in block 7", d.Reason)
	v = loser("tx", 1)
	v.Tx.Replaceable = false
	require.Equal(t, policy.Wait, e.Decide(v).Do, "another attempt is on its way")
}

func TestConflictBackoffGrowsAndSpreads(t *testing.T) {
	t.Parallel()
	c := fabric.DefaultConfig()
	c.MaxAttempts = 100
	e := fabric.New(c)
	waits, longest := map[time.Duration]bool{}, map[int]time.Duration{}
	for i := range 100 {
		v := loser(fmt.Sprintf("tx-%d", i), 1)
		for attempt, ceiling := 1, 100*time.Millisecond; attempt < 10; attempt, ceiling = attempt+1, min(2*ceiling, 5*time.Second) {
			d, waited := overcome(t, e, &v)
			require.Equal(t, policy.Prepare, d.Do)
			require.LessOrEqual(t, waited, ceiling)
			waits[waited], longest[attempt] = true, max(longest[attempt], waited)
			v = next(v, d, attempt+1)
		}
	}
	require.Greater(t, len(waits), 800, "spread")
	require.Greater(t, longest[9], 4*time.Second, "grown")
	require.Less(t, longest[1], 100*time.Millisecond)
}

// A preparation that fails for now is tried again and is no attempt; one that is refused ends the transaction.
func TestFreshPreparationFails(t *testing.T) {
	t.Parallel()
	for _, ready := range []bool{false, true} {
		e := fabric.New(fabric.DefaultConfig())
		v := loser("tx", 1)
		want := "asset a already exists (prepared again after MVCC_READ_CONFLICT in block 7)"
		if ready {
			v.Tx.Phase, v.Outcome, v.Tx.Sends, v.Tx.LastSubmit, v.Tx.Outdated = policy.Ready, nil, 0, time.Time{}, true
			want = "asset a already exists"
		}
		for range 20 {
			d, _ := overcome(t, e, &v)
			require.Equal(t, policy.Prepare, d.Do)
			v.LastError = &ffcapi.Error{Kind: ffcapi.RateLimited, Message: "slow down", RetryAfter: 40 * time.Second}
			d = e.Decide(v)
			require.Equal(t, policy.Wait, d.Do)
			require.False(t, d.Until.Before(v.Now.Add(40*time.Second)), "it asked for a pause")
			v.State = d.State
			v.Tx.Outdated = false // nobody says it twice
		}
		d, _ := overcome(t, e, &v)
		require.Equal(t, policy.Prepare, d.Do)
		if ready {
			replaced := v
			replaced.Tx.Attempt, replaced.LastError, replaced.State = 2, nil, d.State
			sent := e.Decide(replaced)
			require.Equal(t, policy.Submit, sent.Do)
			require.Nil(t, sent.State, "the failures of before are no failures of the new attempt")
		}
		v.LastError = ffcapi.Errorf(ffcapi.Reverted, "asset a already exists")
		d = e.Decide(v)
		require.Equal(t, policy.Fail, d.Do)
		require.Equal(t, want, d.Reason)
	}
}

// What the last send was answered says nothing about a preparation that has not been made.
func TestAnswerOfASendIsNotThatOfAPreparation(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	v := loser("tx", 1)
	v.LastError = &ffcapi.Error{Kind: ffcapi.Unauthorized, Sent: ffcapi.SentMaybe, Message: "not you"}
	d, _ := overcome(t, e, &v)
	require.Equal(t, policy.Prepare, d.Do)
	v.LastError = nil // a restart
	require.Equal(t, policy.Prepare, e.Decide(v).Do)
}

// The connector may know before a send that it would be in vain. Nobody has lost a race then, so it is no attempt, and conflicts need not be retried.
func TestConflictBeforeTheSend(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.Config{RetryConflicts: false})
	v := policy.View{Now: now, Tx: policy.Tx{ID: "tx", Phase: policy.Ready, Attempt: 1, Sends: 1, LastSubmit: now, Replaceable: true}}
	longest := time.Duration(0)
	for attempt := 1; attempt < 30; attempt++ {
		v.LastError = ffcapi.Errorf(ffcapi.Conflict, "too old")
		d, waited := overcome(t, e, &v)
		require.Equal(t, policy.Prepare, d.Do)
		require.LessOrEqual(t, waited, 30*time.Second)
		longest = max(longest, waited)
		v.LastError, v.Tx.Attempt = nil, attempt+1
		d = e.Decide(v)
		require.Equal(t, policy.Submit, d.Do)
		v.State, v.Tx.LastSubmit = d.State, v.Now
	}
	require.Greater(t, longest, 10*time.Second, "who is told so again and again asks less often")

	v.Tx.Phase, v.Tx.Sends = policy.Tracking, 1
	d := e.Decide(v)
	require.Nil(t, d.State, "it was taken")
	v = loser("tx", v.Tx.Attempt)
	require.Equal(t, policy.Fail, e.Decide(v).Do, "this one lost")
}

// An envelope whose fate is open is looked for by its id and then sent again, sooner when somebody said that he did not take it.
func TestOpenFate(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	open := func(kind ffcapi.Kind) policy.View {
		return policy.View{
			Tx:        policy.Tx{ID: "tx", Phase: policy.Unknown, Attempt: 1, Sends: 1, LastSubmit: now},
			LastError: &ffcapi.Error{Kind: kind, Sent: ffcapi.SentMaybe, Message: "lost"}, Now: now,
		}
	}
	v := open(ffcapi.Timeout)
	for range 10 { // without limit
		d, waited := overcome(t, e, &v)
		require.Equal(t, policy.Reconcile, d.Do)
		require.True(t, d.Until.After(v.Now))
		require.GreaterOrEqual(t, waited, 10*time.Second)
		d = e.Decide(v)
		require.Equal(t, policy.Submit, d.Do)
		v.State, v.Tx.LastSubmit, v.Tx.Sends = d.State, v.Now, v.Tx.Sends+1
	}
	v = open(ffcapi.Unavailable)
	d, waited := overcome(t, e, &v)
	require.Equal(t, policy.Reconcile, d.Do)
	require.Less(t, waited, time.Second)

	v.Tx.Phase, v.Tx.Heard, v.LastError, v.State = policy.Tracking, true, nil, nil
	d = e.Decide(v)
	require.Equal(t, policy.Wait, d.Do)
	require.WithinRange(t, d.Until, now.Add(10*time.Second), now.Add(11*time.Second))
	v.Now = d.Until
	require.Equal(t, policy.Submit, e.Decide(v).Do)
}

func TestEndorsementFailureIsFinal(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	v := policy.View{
		Tx: policy.Tx{ID: "tx", Phase: policy.Ready, Attempt: 1, Sends: 1, LastSubmit: now, Replaceable: true}, Now: now,
		LastError: &ffcapi.Error{
			Kind: ffcapi.Endorsement, Sent: ffcapi.SentNo, Stage: "endorse", Message: "refused",
			Peers: []ffcapi.PeerError{{Address: "peer0:7051", MSP: "Org1MSP", Message: "no"}, {Address: "peer1:7051", Message: "never"}},
		},
	}
	d := e.Decide(v)
	require.Equal(t, policy.Fail, d.Do)
	require.Equal(t, "endorse: refused; peer0:7051 (Org1MSP): no; peer1:7051: never", d.Reason)
	v.Tx.Replaceable = false
	require.Equal(t, policy.Wait, e.Decide(v).Do, "an earlier send may have got there")
}

func TestParse(t *testing.T) {
	t.Parallel()
	e, err := fabric.Parse(json.RawMessage(`{"maxAttempts":1,"resubmitInterval":1000000000,"backoff":{"initial":1000000,"max":2000000}}`))
	require.NoError(t, err)
	require.Equal(t, policy.Fail, e.Decide(loser("tx", 1)).Do)
	_, err = fabric.Parse(json.RawMessage(`{"maxAttempts":"many"}`))
	require.ErrorContains(t, err, "policies.fabric")
	require.Equal(t, fabric.New(fabric.DefaultConfig()), fabric.New(fabric.Config{RetryConflicts: true, Backoff: pace.Backoff{}}))
}

// What was sent together, and is in no block, is not sent again together.
func TestResubmissionsAreSpread(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	waits := map[time.Duration]bool{}
	for i := range 100 {
		d := e.Decide(policy.View{
			Tx: policy.Tx{ID: fmt.Sprintf("tx-%d", i), Phase: policy.Tracking, Attempt: 1, Sends: 1, LastSubmit: now, Heard: true}, Now: now,
		})
		require.Equal(t, policy.Wait, d.Do)
		wait := d.Until.Sub(now)
		require.GreaterOrEqual(t, wait, 10*time.Second)
		require.LessOrEqual(t, wait, 11*time.Second)
		waits[wait] = true
	}
	require.Greater(t, len(waits), 50)
}

// The interval is as it was set.
func TestResubmitInterval(t *testing.T) {
	t.Parallel()
	c := fabric.DefaultConfig()
	c.ResubmitInterval = 3 * time.Second
	set := fabric.New(c)
	parsed, err := fabric.Parse(json.RawMessage(`{"resubmitInterval":3000000000}`))
	require.NoError(t, err)
	for _, e := range []policy.Engine{set, parsed} {
		v := policy.View{Tx: policy.Tx{ID: "tx", Phase: policy.Tracking, Attempt: 1, Sends: 1, LastSubmit: now, Heard: true}, Now: now}
		d := e.Decide(v)
		require.Equal(t, policy.Wait, d.Do)
		require.WithinRange(t, d.Until, now.Add(3*time.Second), now.Add(3300*time.Millisecond))
	}
}

// However often an envelope was sent: as long as it may be in a block, it is the one that is sent.
func TestOpenFateWithoutLimit(t *testing.T) {
	t.Parallel()
	e := fabric.New(fabric.DefaultConfig())
	for _, sends := range []int{1, 100, 10_000, 1_000_000} {
		v := policy.View{
			Tx:        policy.Tx{ID: "tx", Phase: policy.Unknown, Attempt: 1, Sends: sends, LastSubmit: now},
			LastError: &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe, Message: "lost"}, Now: now,
		}
		d, _ := overcome(t, e, &v)
		require.Equal(t, policy.Reconcile, d.Do, "after %d sends", sends)
		v.State, v.Now = d.State, d.Until
		d, waited := overcome(t, e, &v)
		require.Equal(t, policy.Submit, d.Do, "after %d sends", sends)
		require.Less(t, waited, time.Minute)
	}
}
