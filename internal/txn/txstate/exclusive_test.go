package txstate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// TestAtMostOneOfWhatExcludesEachOther: with one attempt in a final block, those that name the same are dead, and no others.
func TestAtMostOneOfWhatExcludesEachOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		excluded      bool
	}{
		{"one", "one", true}, {"one", "another", false}, {"one", "", false}, {"", "", false},
	} {
		s := accepted(false, "h1", 0, c.first)
		s.Tx.Attempt, s.Tx.Sub = 2, store.SubUnknownOutcome
		s.Attempts = append(s.Attempts, store.Attempt{Tx: "tx", Number: 2, Hash: "h2", From: "alice", Exclusive: c.second})
		for i := range s.Attempts {
			a := &s.Attempts[i]
			a.State, a.Claim, a.Sends, a.Open = store.AttemptSubmitting, s.Generation, 1, 1
		}
		o := store.Outcome{Block: ffcapi.BlockRef{Number: 3, Hash: "b3"}, Reason: "refused"}
		seen, _ := txstate.Step(s, txstate.Found{Attempt: 1, Outcome: o, Now: epoch})
		require.Equal(t, store.AttemptSubmitting, seen.Attempts[1].State, "the block may still change")
		o.Final = true
		s, _ = txstate.Step(seen, txstate.Found{Attempt: 1, Outcome: o, Now: epoch})
		if c.excluded {
			require.Equal(t, store.AttemptDone, s.Attempts[1].State)
			require.Equal(t, "attempt 1 excludes it", s.Attempts[1].Dead)
			require.Equal(t, store.Failed, s.Tx.Status)
			continue
		}
		require.Equal(t, store.AttemptSubmitting, s.Attempts[1].State, "%q and %q", c.first, c.second)
		require.Equal(t, store.Pending, s.Tx.Status, "the other one may still take effect")
		require.Equal(t, store.SubUnknownOutcome, s.Tx.Sub)
	}
}

// TestALostRaceBesideWhatMayBeOut: that an attempt may be prepared afresh for what the chain says of it does not show that nothing of the others is
// out, whether it is the newest one or not.
func TestALostRaceBesideWhatMayBeOut(t *testing.T) {
	t.Parallel()
	for lost := 1; lost <= 2; lost++ {
		s := accepted(false, "h1", 0, "")
		s.Tx.Attempt, s.Tx.Sub = 2, store.SubTracking
		s.Attempts = append(s.Attempts, store.Attempt{Tx: "tx", Number: 2, Hash: "h2", From: "alice"})
		for i := range s.Attempts {
			a := &s.Attempts[i]
			a.State, a.Claim, a.Sends, a.Open = store.AttemptSubmitting, s.Generation, 1, 1
		}
		o := store.Outcome{Block: ffcapi.BlockRef{Number: 3, Hash: "b3"}, Reason: "MVCC_READ_CONFLICT", Retryable: true, Final: true}
		s, _ = txstate.Step(s, txstate.Found{Attempt: lost, Outcome: o, Now: epoch})
		require.Equal(t, store.Pending, s.Tx.Status, "the other one may still take effect")
		require.Equal(t, store.SubUnknownOutcome, s.Tx.Sub)
		require.False(t, s.View().Tx.Replaceable)

		o = inBlock(4)
		o.Final = true
		s, _ = txstate.Step(s, txstate.Found{Attempt: 3 - lost, Outcome: o, Now: epoch})
		require.Equal(t, store.Succeeded, s.Tx.Status)
	}
}
