package sqlstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestHistoryIsBounded: what says something new each time must not fill the disk.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := sqlstoretest.Open(t, kind)
			acc, err := s.Accept(t.Context(), s.Fence(), &store.NewTx{
				Tx: store.Tx{ID: "a", From: "alice"}, History: []store.History{{Sub: store.SubReceived, Action: "Accept"}},
			})
			require.NoError(t, err)
			tx, said := acc.Tx, 0
			for _, n := range []int{300, 199, 1, 1, 400, 450} {
				u := &store.TxUpdate{Tx: tx}
				for range n {
					said++
					u.History = append(u.History, store.History{Sub: store.SubTracking, Action: "SubmitTransaction", Error: fmt.Sprint(said)})
				}
				require.NoError(t, s.Update(t.Context(), s.Fence(), u))
				hs, err := s.History(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, "Accept", hs[0].Action, "what is known of its acceptance stays")
				kept := hs[1:]
				require.Len(t, kept, min(said, 500))
				for i, h := range kept {
					require.Equal(t, fmt.Sprint(said-len(kept)+i+1), h.Error)
				}
			}
		})
	}
}
