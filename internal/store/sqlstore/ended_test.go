package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestWhatABlockHasEndedIsNotRewrittenInTheSameBlock: the outcome of one attempt ends the transaction, and that of another, further on in the
// block, changes nothing any more, whatever the rule does with it.
func TestWhatABlockHasEndedIsNotRewrittenInTheSameBlock(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		ctx, s := t.Context(), sqlstoretest.NewPlace(t, dialect).Open(t)
		_, err := s.UseLedger(ctx, s.Fence(), store.LedgerState{Name: "main", ID: "g"})
		require.NoError(t, err)
		got, err := s.Accept(ctx, s.Fence(), request("a", "alice"))
		require.NoError(t, err)
		tx := got.Tx
		tx.Attempt = 2
		first := &store.Attempt{Tx: "a", Number: 1, Ledger: "main", State: store.AttemptSubmitting, Hash: "hash-a", From: "alice"}
		second := &store.Attempt{Tx: "a", Number: 2, Ledger: "main", State: store.AttemptSubmitting, Hash: "second", From: "alice"}
		require.NoError(t, s.Update(ctx, s.Fence(), &store.TxUpdate{
			Tx: tx, Attempts: []*store.Attempt{first, second}, Payload: &store.Payload{Prepared: []byte("2")},
		}))

		block := ffcapi.BlockRef{Number: 1, Hash: "b1"}
		var hits []int
		_, err = s.Advance(ctx, s.Fence(), &store.Advance{
			Ledger: "main", To: block, Final: 1, HasFinal: true,
			Blocks: []store.BlockOutcomes{{Block: block, Outcomes: []ffcapi.TxOutcome{
				{Hash: "hash-a", Success: true}, {Hash: "second", Index: 1, Reason: "used"},
			}}},
		}, func(tx *store.Tx, attempts []*store.Attempt, hit int) *store.TxUpdate {
			hits = append(hits, attempts[hit].Number)
			o := attempts[hit].Outcome
			tx.Status, tx.Sub, tx.Outcome, tx.Error = store.Succeeded, store.SubConfirmed, o, o.Reason
			if !o.Success {
				tx.Status, tx.Sub = store.Failed, store.SubFailed
			}
			return &store.TxUpdate{Tx: tx, Announce: true}
		})
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, hits)
		tx, err = s.Transaction(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, store.Succeeded, tx.Status)
		require.Equal(t, store.SubConfirmed, tx.Sub)
		require.True(t, tx.Outcome.Success)
		require.Empty(t, tx.Error)
	})
}
