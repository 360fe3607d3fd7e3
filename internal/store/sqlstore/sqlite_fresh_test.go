package sqlstore

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// An ordinary transaction is inserted by the short statement, and one that differs anywhere by the full one: then no column gets a value that
// the row does not have.
func TestFreshRowsHoldOnlyWhatTheTextSays(t *testing.T) {
	t.Parallel()
	f, text := newFreshRows()
	require.NotContains(t, text, "?, ?, ?, ?, ?, ?, ?, ?, ?, ?")
	row := func(change func(*store.NewTx)) []any {
		n := store.NewTx{Tx: store.Tx{ID: "a", Kind: "SendTransaction", From: "0x1", To: "assets", Gas: "100"}}
		change(&n)
		c, err := newAccept(&n)
		require.NoError(t, err)
		return c.txRow
	}
	bound, ok := f.of(row(func(*store.NewTx) {}))
	require.True(t, ok)
	require.Len(t, bound, 32-len(freshTx))
	for name, change := range map[string]func(*store.NewTx){
		"value":  func(n *store.NewTx) { n.Tx.Value = "1" },
		"fee":    func(n *store.NewTx) { n.Tx.Fee = json.RawMessage(`{"gasPrice":"1"}`) },
		"labels": func(n *store.NewTx) { n.Tx.Labels = map[string]string{"a": "b"} },
		"hash":   func(n *store.NewTx) { n.Attempt.Hash = "0xab" },
		"sub":    func(n *store.NewTx) { n.Tx.Sub = "Other" },
		"retry":  func(n *store.NewTx) { n.Tx.RetryOf = "b" },
	} {
		_, ok := f.of(row(change))
		require.False(t, ok, name)
	}
	for i, given := range f.given { // whatever the column
		if !given {
			continue
		}
		r := row(func(*store.NewTx) {})
		r[i] = "something else"
		_, ok := f.of(r)
		require.False(t, ok, "column %d", i)
	}
}
