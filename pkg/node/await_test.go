package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	n := start(t, config(t))
	c := api(t, n)
	_, _, err := c.Submit(t.Context(), &client.Invocation{ID: "a", From: "alice", To: "assets", Method: "create", Params: []any{"a", 1}})
	require.NoError(t, err)
	tx, err := c.Await(t.Context(), "a", true, patience)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status)
	require.NotEmpty(t, tx.History)
	_, err = c.Await(t.Context(), "b", true, patience)
	require.True(t, client.IsNotFound(err))
}

// Somebody who waits does not hold up the end of the node, and gets an answer.
func TestAwaitEndsWithTheNode(t *testing.T) {
	t.Parallel()
	n := start(t, config(t, "PYRALIS_DEVLEDGER_BLOCKPERIOD=1h"))
	c := api(t, n)
	_, _, err := c.Submit(t.Context(), &client.Invocation{ID: "a", From: "alice", To: "assets", Method: "create", Params: []any{"a", 1}})
	require.NoError(t, err)
	status := make(chan string, 1)
	go func() {
		tx, err := c.Await(t.Context(), "a", false, 4*time.Second)
		require.NoError(t, err, "what it was told before the node went away")
		status <- tx.Status
	}()
	require.Eventually(t, func() bool { return n.Waiting() == 1 }, patience, 5*time.Millisecond)
	began := time.Now()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	require.Less(t, time.Since(began), 4*time.Second)
	require.Equal(t, "Pending", <-status)
}
