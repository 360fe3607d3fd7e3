package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestNumbersOutliveTheirRows: the newest transaction is removed, and its number is not used again after a restart.
func TestNumbersOutliveTheirRows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		for n, id := range []string{"a", "b", "c"} {
			s := p.Open(t)
			got, err := s.Accept(t.Context(), s.Fence(), request(id, "alice"))
			require.NoError(t, err)
			require.Equal(t, int64(n+1), got.Tx.Seq)
			got.Tx.Status = store.Failed
			require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx}))
			removed, _, err := s.Remove(t.Context(), s.Fence(), got.Tx.Updated.AddDate(0, 0, 1), 0, 10)
			require.NoError(t, err)
			require.Equal(t, 1, removed)
			require.NoError(t, s.Close())
		}
	})
}

// TestHashesThatEndAlike: the index has only the ends of hashes, and the rest of a hash counts all the same.
func TestHashesThatEndAlike(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		s, ctx := sqlstoretest.Open(t, dialect), t.Context()
		_, err := s.UseLedger(ctx, s.Fence(), store.LedgerState{Name: "main", ID: "g"})
		require.NoError(t, err)
		hashes := map[string]string{"a": "0x1-same-end", "b": "0x2-same-end", "c": "-end"}
		for _, id := range []string{"a", "b", "c"} {
			r := request(id, "alice")
			r.Attempt.Hash = hashes[id]
			_, err := s.Accept(ctx, s.Fence(), r)
			require.NoError(t, err)
			claim(ctx, t, s, id)
		}
		outcomes := []ffcapi.TxOutcome{{Hash: hashes["b"], Success: true}, {Hash: "0x3-same-end"}, {Hash: "d"}}
		ours, err := s.InFlight(ctx, "main", outcomes)
		require.NoError(t, err)
		require.Equal(t, outcomes[:1], ours)
		to := ffcapi.BlockRef{Number: 1, Hash: "b1"}
		stored, err := s.Advance(ctx, s.Fence(), &store.Advance{
			Ledger: "main", To: to, Lazy: true, Blocks: []store.BlockOutcomes{{Block: to, Outcomes: outcomes[1:]}},
		}, nil)
		require.NoError(t, err)
		require.False(t, stored, "nothing of ours is in the block")
		var hit []string
		_, err = s.Advance(ctx, s.Fence(), &store.Advance{
			Ledger: "main", To: to, Final: 1, HasFinal: true, Blocks: []store.BlockOutcomes{{Block: to, Outcomes: append(outcomes,
				ffcapi.TxOutcome{Hash: hashes["c"], Success: true})}},
		}, func(tx *store.Tx, as []*store.Attempt, n int) *store.TxUpdate {
			hit = append(hit, tx.ID+as[n].Hash)
			return nil
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"b" + hashes["b"], "c" + hashes["c"]}, hit)
	})
}

// TestLookupsAlongIndexes: what is asked for each block, and each signer, never walks over all transactions.
func TestLookupsAlongIndexes(t *testing.T) {
	t.Parallel()
	s := sqlstoretest.Open(t, sqlstoretest.SQLite)
	hashes, spot, nonces := sqlstore.Lookups(t, s)
	require.Contains(t, hashes, "SEARCH attempts USING INDEX attempts_hash (<expr>=?)")
	require.Contains(t, spot, "USING INDEX tx_nonce (nonce=? AND signer=? AND ledger=?)")
	require.Contains(t, nonces, "SEARCH g USING PRIMARY KEY (signer=? AND seq>?)")
	require.Contains(t, nonces, "SEARCH tx USING INTEGER PRIMARY KEY (rowid>?)", "what is not entered yet")
	for _, plan := range []string{hashes, spot, nonces} {
		require.NotContains(t, plan, "SCAN tx\n")
		require.NotContains(t, plan, "SCAN attempts")
	}
}
