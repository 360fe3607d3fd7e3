package node_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
)

func TestBatch(t *testing.T) {
	t.Parallel()
	c := api(t, start(t, config(t)))
	var list []*client.Invocation
	for i := range 200 {
		id := fmt.Sprintf("b%d", i)
		list = append(list, &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, i}})
	}
	list[100].Method = "nothing"
	for _, replay := range []bool{false, true} {
		items, err := c.SubmitBatch(t.Context(), list)
		require.NoError(t, err)
		require.Len(t, items, 200)
		for i, item := range items {
			if i == 100 {
				require.Equal(t, 400, item.Status)
				require.True(t, item.SubmissionRejected)
				require.Contains(t, item.Error, "PY10200: ")
				continue
			}
			require.Equal(t, 202, item.Status, item.Error)
			require.Equal(t, replay, item.Replay)
			require.Equal(t, list[i].ID, item.Transaction.ID)
			nonce := i
			if i > 100 {
				nonce--
			}
			require.EqualValues(t, nonce, item.Transaction.Nonce.Int64())
		}
	}
	tx, err := c.Await(t.Context(), "b199", false, patience)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status)
}
