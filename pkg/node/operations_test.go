package node_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// TestOperationsOverTheAPI: each refusal has its code, and a signer's nonces are shown as the chain counts them.
func TestOperationsOverTheAPI(t *testing.T) {
	t.Parallel()
	c := api(t, start(t, config(t)))
	_, _, err := c.Submit(t.Context(), &client.Invocation{ID: "a", From: "alice", To: "assets", Method: "create", Params: []any{"x", 1}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		tx, err := c.Transaction(t.Context(), "a", false)
		return err == nil && tx.Status == "Succeeded"
	}, patience, 20*time.Millisecond)
	to := "other"
	for name, refused := range map[string]struct {
		err  error
		code string
	}{
		"suspend": {second(c.SuspendTransaction(t.Context(), "a")), "PY10300"},
		"resume":  {second(c.ResumeTransaction(t.Context(), "a")), "PY10300"},
		"cancel":  {second(c.CancelTransaction(t.Context(), "a")), "PY10300"},
		"change":  {second(c.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{To: &to})), "PY10300"},
		"nothing": {second(c.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{})), "PY10304"},
		"unknown": {second(c.SuspendTransaction(t.Context(), "b")), "PY10100"},
	} {
		var e *client.Error
		require.ErrorAs(t, refused.err, &e, name)
		require.Equal(t, refused.code, e.Code, name)
	}
	_, _, err = c.RetryTransaction(t.Context(), "a", "")
	require.True(t, client.IsConflict(err))
	s, err := c.Signer(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1, 1}, []int64{s.Next.Int64(), s.Pending.Int64(), s.Latest.Int64()})
	require.Empty(t, s.Gaps)
	filled, err := c.FillNonces(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Empty(t, filled)
}

func second[T any](_ T, err error) error { return err }
