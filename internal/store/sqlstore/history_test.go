package sqlstore_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
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

// TestFormsOfHistory: what says little is stored in few bytes, and comes back the same.
func TestFormsOfHistory(t *testing.T) {
	t.Parallel()
	created := time.UnixMicro(1_000_000).UTC()
	for _, c := range []struct {
		hs    []store.History
		short bool
	}{
		{[]store.History{{Sub: store.SubReceived, Action: "AssignNonce"}}, true},
		{[]store.History{{Sub: store.SubReceived, Action: "a/b", Count: 1}}, true},
		{[]store.History{{Sub: "", Action: ""}}, true},
		{[]store.History{{Sub: "a/b", Action: "c"}}, false},
		{[]store.History{{Sub: "[", Action: "c"}}, false},
		{[]store.History{{Sub: store.SubReceived, Action: "Retry", Info: json.RawMessage(`{}`)}}, false},
		{[]store.History{{Sub: store.SubReceived, Action: "Retry", Error: "e"}}, false},
		{[]store.History{{Sub: store.SubReceived, Action: "Retry", Count: 2}}, false},
		{[]store.History{{Sub: store.SubReceived, Action: "Retry", Time: created.Add(time.Second)}}, false},
		{[]store.History{{Sub: store.SubReceived, Action: "a"}, {Sub: store.SubReceived, Action: "b"}}, false},
	} {
		s, err := sqlstore.EncodeHistory(c.hs)
		require.NoError(t, err)
		require.Equal(t, c.short, !strings.HasPrefix(s, "["), s)
		got, err := sqlstore.DecodeHistory(s, created)
		require.NoError(t, err)
		require.Len(t, got, len(c.hs))
		for i, h := range c.hs {
			if h.Time.IsZero() {
				h.Time = created
			}
			h.Last, h.Count = h.Time, max(h.Count, 1)
			require.Equal(t, h, got[i])
		}
	}
}
