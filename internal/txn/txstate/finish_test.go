package txstate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func completed(number int) txstate.Finished {
	return txstate.Finished{Attempt: store.Attempt{Number: number, ConflictKeys: []string{"k"}}, Payload: store.Payload{Prepared: []byte("complete")}}
}

func refusedLeft(number int) txstate.Unfinished {
	return txstate.Unfinished{Attempt: number, Err: ffcapi.Errorf(ffcapi.Reverted, "no"), Now: epoch}
}

// TestWhatIsLeftOfAnotherAttempt: somebody was faster, so what came of the attempt before says nothing about the newest one.
func TestWhatIsLeftOfAnotherAttempt(t *testing.T) {
	t.Parallel()
	s, _ := txstate.Step(accepted(false, "h1", 0, ""), txstate.Patch{Attempt: store.Attempt{Hash: "h2"}, Request: []byte(`{}`), Now: epoch})
	require.Len(t, s.Attempts, 2)
	for _, in := range []txstate.Input{completed(1), refusedLeft(1)} {
		next, e := txstate.Step(s, in)
		require.Equal(t, s, next)
		require.Equal(t, txstate.Effects{Ask: true}, e)
	}
	next, e := txstate.Step(s, completed(2))
	require.Equal(t, []string{"k"}, next.ConflictKeys())
	require.Equal(t, []int{2}, e.Attempts)
	require.Equal(t, "complete", string(e.Payload.Prepared))
}

// TestWhatIsLeftOfAClaimedAttempt: its bytes may be out, and stay what they are.
func TestWhatIsLeftOfAClaimedAttempt(t *testing.T) {
	t.Parallel()
	s, e := txstate.Step(accepted(false, "h1", 0, ""), txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch})
	require.Equal(t, txstate.Send, e.Do)
	for _, in := range []txstate.Input{completed(1), refusedLeft(1)} {
		next, e := txstate.Step(s, in)
		require.Equal(t, s, next)
		require.Equal(t, txstate.Effects{Ask: true}, e)
	}
}

// TestWhatIsIncompleteIsNotSent, whatever the policy engine says, until there is something else to send.
func TestWhatIsIncompleteIsNotSent(t *testing.T) {
	t.Parallel()
	submit := txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: epoch}
	s, e := txstate.Step(accepted(false, "h1", 0, ""), refusedLeft(1))
	require.True(t, e.Ask)
	require.Equal(t, ffcapi.Reverted, s.View().LastError.Kind)
	require.Equal(t, epoch, s.View().Tx.LastSubmit, "the refusal is as new as that")
	s, e = txstate.Step(s, submit)
	require.Equal(t, txstate.Nothing, e.Do)
	require.Equal(t, store.AttemptPrepared, s.Attempts[0].State)
	s, _ = txstate.Step(s, txstate.Fresh{Attempt: store.Attempt{Hash: "h2"}, Now: epoch})
	_, e = txstate.Step(s, submit)
	require.Equal(t, txstate.Send, e.Do)
}
