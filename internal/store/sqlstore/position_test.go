package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// inFlight is a store with a transaction of alice that was claimed, and a ledger at its beginning.
func inFlight(t *testing.T, dialect string) *sqlstore.Store {
	t.Helper()
	s := sqlstoretest.NewPlace(t, dialect).Open(t)
	_, err := s.UseLedger(t.Context(), s.Fence(), store.LedgerState{Name: "main", ID: "genesis"})
	require.NoError(t, err)
	got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
	require.NoError(t, err)
	as, err := s.Attempts(t.Context(), "a")
	require.NoError(t, err)
	as[0].State = store.AttemptSubmitting
	require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx, Attempts: as}))
	return s
}

// firstBlock moves the ledger to a block that holds one outcome.
func firstBlock(o ffcapi.TxOutcome) *store.Advance {
	b := ffcapi.BlockRef{Number: 1, Hash: "b1"}
	return &store.Advance{Ledger: "main", To: b, Blocks: []store.BlockOutcomes{{Block: b, Outcomes: []ffcapi.TxOutcome{o}}}}
}

func position(t *testing.T, s *sqlstore.Store) uint64 {
	t.Helper()
	l, err := s.Ledger(t.Context(), "main")
	require.NoError(t, err)
	return l.Position.Number
}

func keep(tx *store.Tx, _ []*store.Attempt, _ int) *store.TxUpdate { return &store.TxUpdate{Tx: tx} }

// TestPositionDoesNotPassWhatIsNotStored: a block whose outcomes cannot be stored is read again.
func TestPositionDoesNotPassWhatIsNotStored(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		s := inFlight(t, dialect)
		a := firstBlock(ffcapi.TxOutcome{Hash: "hash-a", Success: true})
		_, err := s.Advance(t.Context(), s.Fence(), a, func(tx *store.Tx, _ []*store.Attempt, _ int) *store.TxUpdate {
			tx.To = "no\x00text"
			return &store.TxUpdate{Tx: tx}
		})
		require.ErrorIs(t, err, store.ErrInvalid)
		require.Zero(t, position(t, s))
		stored, err := s.Advance(t.Context(), s.Fence(), a, keep)
		require.NoError(t, err)
		require.True(t, stored)
		require.EqualValues(t, 1, position(t, s))
		as, err := s.Attempts(t.Context(), "a")
		require.NoError(t, err)
		require.NotNil(t, as[0].Outcome)
	})
}

// TestStrangersBlockIsNotPassedOver: a block that uses up the nonce of one of ours is about ours, though nothing in it is.
func TestStrangersBlockIsNotPassedOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		s := inFlight(t, dialect)
		nonce := uint64(0)
		a := firstBlock(ffcapi.TxOutcome{Hash: "stranger", From: "alice", Nonce: &nonce, Success: true})
		a.Lazy = true
		stored, err := s.Advance(t.Context(), s.Fence(), a, keep)
		require.NoError(t, err)
		require.True(t, stored)
		as, err := s.Attempts(t.Context(), "a")
		require.NoError(t, err)
		require.NotNil(t, as[0].Outcome)
		require.Equal(t, "stranger", as[0].Outcome.By)
	})
}

// TestStrangerWithAnOddNameStopsNobody: a name that could not be stored is not that of one of our signers, and is not looked for.
func TestStrangerWithAnOddNameStopsNobody(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		s := inFlight(t, dialect)
		nonce := uint64(0)
		a := firstBlock(ffcapi.TxOutcome{Hash: "stranger", From: "no\x00text", Nonce: &nonce, Success: true})
		_, err := s.Advance(t.Context(), s.Fence(), a, keep)
		require.NoError(t, err)
		require.EqualValues(t, 1, position(t, s))
	})
}
