package txstate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// sentOnce is a transaction whose send is under way.
func sentOnce(t *testing.T, expires uint64) txstate.State {
	t.Helper()
	s, e := txstate.Step(accepted(false, "h1", expires, ""), txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch})
	require.Equal(t, txstate.Send, e.Do)
	return s
}

func inBlock(n uint64) store.Outcome {
	return store.Outcome{Block: ffcapi.BlockRef{Number: n, Hash: "b"}, Success: true}
}

// TestWhatABlockHoldsHasNotExpired: the chain may be final past its last block before the store has been told that the block is.
func TestWhatABlockHoldsHasNotExpired(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 20)
	s, _ = txstate.Step(s, txstate.Answered{Hash: "h1", Now: epoch})
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: inBlock(20), Now: epoch})
	next, e := txstate.Step(s, txstate.Passed{Block: 30, Now: epoch})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
}

// TestWhatABlockHeldHasLeft: a block shows that a send did leave, whatever it is answered after that. If the block is replaced, it may come again.
func TestWhatABlockHeldHasLeft(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 0)
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: inBlock(5), Now: epoch})
	s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}, Now: epoch})
	require.Equal(t, 1, s.Attempts[0].Open)
	s, _ = txstate.Step(s, txstate.Undone{Attempt: 1, Block: &ffcapi.BlockRef{Number: 5, Hash: "b"}, Now: epoch})
	_, e := txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Prepare}, Now: epoch})
	require.NotEqual(t, txstate.Prepare, e.Do, "another attempt could be on the chain beside it")
}

// TestWhatABlockHoldsIsNotSentAgain, though it was not found when it was looked for: the block came meanwhile.
func TestWhatABlockHoldsIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 0)
	s, _ = txstate.Step(s, txstate.Answered{Hash: "h1", Now: epoch})
	s, e := txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch.Add(time.Minute)})
	require.Equal(t, txstate.Look, e.Do)
	require.True(t, e.Resend)
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: inBlock(5), Now: epoch.Add(time.Minute)})
	next, e := txstate.Step(s, txstate.Missing{Resend: true, Now: epoch.Add(time.Minute)})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
}

// TestNothingExpiresWhileItIsSent: the answer belongs to the attempt that it is about. After it, time counts.
func TestNothingExpiresWhileItIsSent(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 20)
	next, e := txstate.Step(s, txstate.Passed{Block: 30, Now: epoch})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
	s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.Timeout}, Now: epoch})
	s, _ = txstate.Step(s, txstate.Passed{Block: 30, Now: epoch})
	require.Equal(t, store.AttemptDone, s.Attempts[0].State)
}

// TestFreshTooLate: a block shows that the attempt did leave, whatever its send was answered, while another one was prepared.
func TestFreshTooLate(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 0)
	s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}, Now: epoch})
	s, e := txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Prepare}, Now: epoch})
	require.Equal(t, txstate.Prepare, e.Do)
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: inBlock(5), Now: epoch})
	next, e := txstate.Step(s, txstate.Fresh{Attempt: store.Attempt{Hash: "h2"}, Now: epoch})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
}

// TestAllThatMayBeThereIsSought: any of the attempts that were sent may be the one that the chain has.
func TestAllThatMayBeThereIsSought(t *testing.T) {
	t.Parallel()
	s := txstate.State{Attempts: []store.Attempt{
		{Number: 1, State: store.AttemptSubmitting, Hash: "h1"},
		{Number: 2, State: store.AttemptDone, Hash: "h2"},
		{Number: 3, State: store.AttemptSubmitting},
		{Number: 4, State: store.AttemptSubmitting, Hash: "h4"},
		{Number: 5, State: store.AttemptPrepared, Hash: "h5"},
	}}
	var numbers []int
	for _, a := range s.Sought() {
		numbers = append(numbers, a.Number)
	}
	require.Equal(t, []int{4, 1}, numbers)
}

// TestWhatIsFinalIsNotUndone: the first outcome that is final is what became of an attempt, whatever becomes of the block after that.
func TestWhatIsFinalIsNotUndone(t *testing.T) {
	t.Parallel()
	s := sentOnce(t, 0)
	s, _ = txstate.Step(s, txstate.Answered{Hash: "h1", Now: epoch})
	o := inBlock(5)
	o.Success, o.Reason, o.Retryable, o.Final = false, "MVCC_READ_CONFLICT", true, true
	s, _ = txstate.Step(s, txstate.Found{Attempt: 1, Outcome: o, Now: epoch})
	require.Equal(t, store.Pending, s.Tx.Status)
	next, e := txstate.Step(s, txstate.Undone{Attempt: 1, Block: &ffcapi.BlockRef{Number: 5, Hash: "b"}, Now: epoch})
	require.Equal(t, s, next)
	require.Equal(t, txstate.Effects{}, e)
}

// TestSentByItsTime: from the time on by which it had to be sent, what never left is prepared afresh and not sent; what may have left is sent
// as it is, for ever.
func TestSentByItsTime(t *testing.T) {
	t.Parallel()
	for _, sent := range []ffcapi.Sent{ffcapi.SentNo, ffcapi.SentMaybe} {
		for _, late := range []time.Duration{-time.Nanosecond, 0, time.Nanosecond, time.Hour} {
			s := accepted(false, "", 0, "")
			s.Attempts[0].SendBefore = epoch.Add(time.Hour)
			s, e := txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch})
			require.Equal(t, txstate.Send, e.Do)
			s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: sent}, Now: epoch})
			_, e = txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch.Add(time.Hour + late)})
			want := txstate.Send
			if sent == ffcapi.SentNo && late >= 0 {
				want = txstate.Prepare
			}
			require.Equal(t, want, e.Do, "%q, late by %v", sent, late)
		}
	}
}
