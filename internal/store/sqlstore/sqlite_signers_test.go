package sqlstore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestTransactionsOfASigner: they are found whether they are entered with their signer yet or not, after a restart, and once others of the
// signer are removed.
func TestTransactionsOfASigner(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	const lag, signers = 7, 3
	of := make(map[string][]int64) // by signer, oldest first
	var s *sqlstore.Store
	accept := func(n int) {
		t.Helper()
		for range n {
			signer := fmt.Sprint("s", rand.IntN(signers))
			got, err := s.Accept(t.Context(), s.Fence(), request(fmt.Sprint("tx", len(of["all"])), signer))
			require.NoError(t, err)
			of[signer], of["all"] = append(of[signer], got.Tx.Seq), append(of["all"], got.Tx.Seq)
		}
	}
	for range 3 {
		s = p.Open(t)
		require.NoError(t, s.EnterSigners(t.Context(), lag))
		accept(20)
		requireOfSigners(t, s, of, signers)
		upTo, entries := s.Entered(t)
		require.LessOrEqual(t, of["all"][len(of["all"])-1]-upTo, int64(lag), "no more than that wait")
		require.Positive(t, entries)
		require.NoError(t, s.Close())
	}
	s = p.Open(t)
	require.NoError(t, s.EnterSigners(t.Context(), lag))
	_, before := s.Entered(t)
	for i := range 30 { // of which all are entered
		tx, err := s.Transaction(t.Context(), fmt.Sprint("tx", i))
		require.NoError(t, err)
		tx.Status = store.Failed
		require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx}))
		removed, _, err := s.Remove(t.Context(), s.Fence(), tx.Updated.AddDate(0, 0, 1), 0, 100)
		require.NoError(t, err)
		require.Equal(t, 1, removed)
		of[tx.From] = of[tx.From][1:]
	}
	requireOfSigners(t, s, of, signers)
	_, after := s.Entered(t)
	require.Equal(t, before-30, after, "what is removed leaves nothing behind")
}

// requireOfSigners pages through the transactions of each signer, in both directions.
func requireOfSigners(t *testing.T, s *sqlstore.Store, of map[string][]int64, signers int) {
	t.Helper()
	for i := range signers {
		signer := fmt.Sprint("s", i)
		n, err := s.Count(t.Context(), store.TxFilter{Signer: signer})
		require.NoError(t, err)
		require.Equal(t, len(of[signer]), n)
		for _, ascending := range []bool{true, false} {
			var seen []int64
			flt := store.TxFilter{Signer: signer, Limit: 4, Ascending: ascending}
			for {
				page, err := s.List(t.Context(), flt)
				require.NoError(t, err)
				for _, tx := range page {
					require.Equal(t, signer, tx.From)
					seen = append(seen, tx.Seq)
				}
				if len(page) < flt.Limit {
					break
				}
				flt.After = page[len(page)-1].Seq
			}
			want := append([]int64(nil), of[signer]...)
			if !ascending {
				for l, r := 0, len(want)-1; l < r; l, r = l+1, r-1 {
					want[l], want[r] = want[r], want[l]
				}
			}
			require.Equal(t, want, seen)
			skipped, err := s.List(t.Context(), store.TxFilter{Signer: signer, Limit: 3, Skip: 2, Ascending: ascending})
			require.NoError(t, err)
			for j, tx := range skipped {
				require.Equal(t, want[j+2], tx.Seq)
			}
		}
	}
}
