package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// hears opens a connection that asks for replies, and waits until the server knows.
func hears(t *testing.T, n *node.Node, receiveBuffer int) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil && receiveBuffer > 0 {
			err = conn.(*net.TCPConn).SetReadBuffer(receiveBuffer)
		}
		return conn, err
	}}
	conn, resp, err := dialer.DialContext(t.Context(), strings.Replace(n.URL(), "http", "ws", 1)+"/ws", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.WriteJSON(apitypes.ClientMessage{Type: "listenreplies"}))
	require.NoError(t, conn.WriteJSON(apitypes.ClientMessage{Type: "nothing"}))
	_, _, err = conn.ReadMessage()
	require.NoError(t, err)
	return conn
}

// A client that asks for replies and never reads them changes nothing for anyone. That it leaves no goroutine behind is seen by goleak.
func TestAClientThatNeverReadsItsRepliesHarmsNobody(t *testing.T) {
	t.Parallel()
	const n, writers = 10_000, 16
	node := start(t, config(t))
	c := api(t, node)
	createAssets(t, c)
	hears(t, node, 4<<10) // the one that never reads
	replies := hears(t, node, 0)

	// What counts is that something comes, not how fast: the machine may have other things to do.
	events := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		seen := 0
		consumer := client.Consumer{URL: node.URL(), Stream: "assets", Handle: func(_ context.Context, b *client.Batch) error {
			if seen += len(b.Events); seen == n {
				return client.ErrStop
			}
			return nil
		}}
		events <- consumer.Run(ctx)
	}()
	heard := make(chan error, 1)
	go func() {
		ids := make(map[string]bool, n)
		for len(ids) < n {
			var reply apitypes.Reply
			if err := errors.Join(replies.SetReadDeadline(time.Now().Add(patience)), replies.ReadJSON(&reply)); err != nil {
				heard <- fmt.Errorf("after %d replies: %w", len(ids), err)
				return
			}
			ids[reply.Headers.RequestID] = true
		}
		heard <- nil
	}()
	took := submitMany(t, c, n, writers)
	require.NoError(t, <-heard)
	select {
	case err := <-events:
		require.NoError(t, err)
	case <-time.After(2 * time.Minute):
		require.Fail(t, "events are missing")
	}
	slices.Sort(took)
	t.Logf("REST latency: p50 %s, p99 %s, max %s", took[n/2], took[n*99/100], took[n-1])
	require.Less(t, took[n*99/100], patience/4, "nobody waits for the one that does not read")
}

// submitMany creates assets with many clients at a time, and returns how long each request took.
func submitMany(t *testing.T, c *client.Client, n, writers int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < n; i += writers {
				id := fmt.Sprintf("asset-%05d", i)
				began := time.Now()
				if _, _, err := c.Submit(t.Context(), &client.Invocation{ID: id, From: "alice", To: "assets", Method: "create", Params: []any{id, 1}}); err != nil {
					t.Errorf("submit %s: %v", id, err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	return took
}
