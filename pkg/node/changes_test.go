package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// createChanges creates a stream with a listener of type transactions, from the oldest change on.
func createChanges(t *testing.T, c *client.Client, name string, filters ...string) {
	t.Helper()
	kind, from := apitypes.ListenerTransactions, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name})
	require.NoError(t, err)
	l := &apitypes.Listener{Type: &kind, Name: &name, FromBlock: &from}
	for _, f := range filters {
		l.Filters = append(l.Filters, json.RawMessage(f))
	}
	_, err = c.CreateListener(t.Context(), name, l)
	require.NoError(t, err)
}

// takeChanges consumes a stream of changes until it has n.
func takeChanges(t *testing.T, url, stream string, n int) []apitypes.TransactionEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var list []apitypes.TransactionEvent
	consumer := client.Consumer{URL: url, Stream: stream, Handle: func(_ context.Context, b *client.Batch) error {
		for _, raw := range b.Events {
			var e apitypes.TransactionEvent
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			list = append(list, e)
		}
		if len(list) >= n {
			return client.ErrStop
		}
		return nil
	}}
	require.NoError(t, consumer.Run(ctx), "%d of %d changes", len(list), n)
	require.Len(t, list, n)
	return list
}

// A consumer of status changes that was away misses none of them, across a restart of the process as well: each comes once, in order.
func TestAConsumerOfTransactionsThatWasAwayMissesNone(t *testing.T) {
	t.Parallel()
	const n = 1000
	cfg := config(t)
	first := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, first.Start(t.Context()))
	c := client.New(first.URL())
	createChanges(t, c, "changes", `{"status":"Succeeded","signer":"alice"}`)
	submit(t, c, "before")
	require.Equal(t, "before", takeChanges(t, first.URL(), "changes", 1)[0].ID)
	_ = submitMany(t, c, n, 8) // nobody listens
	failed, _, err := c.Submit(t.Context(), &client.Invocation{ID: "bob's", From: "bob", To: "assets", Method: "create", Params: []any{"b", 1}})
	require.NoError(t, err)
	c.Close()
	require.NoError(t, first.Stop(context.WithoutCancel(t.Context())))

	second := start(t, cfg)
	c = api(t, second)
	submit(t, c, "after")
	list := takeChanges(t, second.URL(), "changes", n+1)
	seen, last := make(map[string]bool), int64(0)
	for i, e := range list {
		seq, err := strconv.ParseInt(e.Sequence, 10, 64)
		require.NoError(t, err)
		require.Greater(t, seq, last)
		last, seen[e.ID] = seq, true
		require.Equal(t, "Succeeded", e.Status)
		require.Equal(t, "Confirmed", e.SubStatus)
		require.Equal(t, "alice", e.From)
		require.NotEqual(t, failed.ID, e.ID)
		require.NotEmpty(t, e.TransactionHash)
		require.NotEmpty(t, e.BlockNumber)
		require.Equal(t, fmt.Sprintf("devledger:transactions:%012d", seq), e.EventID, i)
	}
	require.Len(t, seen, n+1)
	require.True(t, seen["after"])
	require.False(t, seen["before"], "it was acknowledged")
}
