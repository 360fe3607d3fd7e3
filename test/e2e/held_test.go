//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// eventsInBlock is how many events each block of a made-up history has.
const eventsInBlock = 200

// withHistory makes a server on a ledger that begins with so many events.
func withHistory(t *testing.T, events int, env ...string) *server.Process {
	t.Helper()
	blocks := events / eventsInBlock
	require.Equal(t, events, blocks*eventsInBlock, "whole blocks of %d events", eventsInBlock)
	return server.New(t, append(env,
		"PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_DEVLEDGER_BLOCKPERIOD=1h", "PYRALIS_WEBHOOKS_ALLOWPRIVATEIPS=true", "PYRALIS_LOG_LEVEL=warn",
		fmt.Sprintf("PYRALIS_DEVLEDGER_SYNTHETIC_HISTORYBLOCKS=%d", blocks), fmt.Sprintf("PYRALIS_DEVLEDGER_SYNTHETIC_EVENTBLOCKS=%d", blocks),
		fmt.Sprintf("PYRALIS_DEVLEDGER_SYNTHETIC_EVENTSPERBLOCK=%d", eventsInBlock),
	), "run")
}

// streamOf makes a stream over the whole history; hook is the URL of a webhook, "" for a WebSocket.
func streamOf(t *testing.T, c *client.Client, name, hook string, batch uint64) {
	t.Helper()
	body := &apitypes.EventStream{Name: &name, BatchSize: &batch}
	if hook != "" {
		kind := apitypes.StreamWebhook
		body.Type, body.Webhook = &kind, json.RawMessage(fmt.Sprintf(`{"url":%q,"requestTimeout":"10m","format":"envelope"}`, hook))
	}
	_, err := c.CreateStream(t.Context(), body)
	require.NoError(t, err)
	from := apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"event":"E"}`)}})
	require.NoError(t, err)
}

// dial opens a WebSocket that listens to a stream.
func dial(t *testing.T, url, stream string, window int) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/ws", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	t.Cleanup(func() { _ = conn.Close() }) // the server is gone by then
	require.NoError(t, conn.WriteJSON(&apitypes.ClientMessage{Type: "listen", Stream: stream, Window: window}))
	return conn
}

// Receivers that do not read, do not acknowledge, acknowledge everything twice or hang, all at once and for as long as it takes: whoever else
// listens gets everything meanwhile, and the process ends in time with all of them held.
func TestHeldReceiversHoldNobodyElse(t *testing.T) {
	t.Parallel()
	events := server.Int(t, "E2E_EVENTS", 20_000)
	p := withHistory(t, events)
	p.Start()
	c := client.New(p.URL)
	t.Cleanup(c.Close)

	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(release) })
	var hooked atomic.Int64
	quick := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var b client.Batch
		if json.NewDecoder(req.Body).Decode(&b) == nil {
			hooked.Add(int64(len(b.Events)))
		}
	}))
	t.Cleanup(quick.Close)

	streamOf(t, c, "deaf", "", 1000)
	streamOf(t, c, "mute", "", 100)
	streamOf(t, c, "twice", "", 100)
	streamOf(t, c, "hanging", hanging.URL, 100)
	stayDeaf(t, p.URL, c)
	mute := dial(t, p.URL, "mute", 5)
	var got int
	require.NoError(t, mute.SetReadDeadline(time.Now().Add(time.Minute)))
	for range 5 { // as many as are sent without an acknowledgement
		var b client.Batch
		require.NoError(t, mute.ReadJSON(&b))
		got += len(b.Events)
	}
	require.Equal(t, 500, got)
	require.Eventually(t, func() bool { return inFlight(t, c, "deaf") > 0 && inFlight(t, c, "hanging") > 0 }, time.Minute, 20*time.Millisecond)

	began := time.Now()
	streamOf(t, c, "quick socket", "", 500)
	streamOf(t, c, "quick hook", quick.URL, 500)
	var receivers sync.WaitGroup
	receivers.Go(func() { ackTwice(t, p.URL, events) })
	receivers.Go(func() { consumeAll(t, p.URL, "quick socket", events) })
	receivers.Wait()
	require.Eventually(t, func() bool { return hooked.Load() >= int64(events) }, 2*time.Minute, 20*time.Millisecond)
	t.Logf("three streams of %d events in %s, beside three that are held", events, time.Since(began).Round(time.Millisecond))
	require.Equal(t, int64(events), hooked.Load(), "something came twice")

	require.Equal(t, 5, inFlight(t, c, "mute"), "it is held still")
	require.Equal(t, 1, inFlight(t, c, "hanging"), "it is held still")
	for _, stream := range []string{"deaf", "mute", "hanging"} {
		s, err := c.Stream(t.Context(), stream)
		require.NoError(t, err)
		require.Zero(t, s.StreamState.Delivered, stream)
	}
	took := p.Interrupt()
	require.Less(t, took, 10*time.Second)
	t.Logf("the process ended after %s with them held", took.Round(time.Millisecond))
}

// stayDeaf listens and does not read. When the server has cut that off, it listens again.
func stayDeaf(t *testing.T, url string, c *client.Client) {
	t.Helper()
	dial(t, url, "deaf", 50)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(stop)
	running.Go(func() {
		for ; ctx.Err() == nil; server.Pause(t, 500*time.Millisecond) {
			if s, err := c.Stream(ctx, "deaf"); err != nil || s.StreamState.InFlightBatches > 0 {
				continue
			}
			conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/ws", nil)
			if err != nil {
				continue // the server has ended
			}
			_ = resp.Body.Close()
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.WriteJSON(&apitypes.ClientMessage{Type: "listen", Stream: "deaf", Window: 50}) // or it is cut off at once
		}
	})
}

func inFlight(t *testing.T, c *client.Client, stream string) int {
	t.Helper()
	s, err := c.Stream(t.Context(), stream)
	require.NoError(t, err)
	return s.StreamState.InFlightBatches
}

// consumeAll takes so many events, each of them once.
func consumeAll(t *testing.T, url, stream string, events int) {
	got := 0
	consumer := client.Consumer{URL: url, Stream: stream, Window: 4, Handle: func(_ context.Context, b *client.Batch) error {
		if got += len(b.Events); got >= events {
			return client.ErrStop
		}
		return nil
	}}
	if err := consumer.Run(t.Context()); err != nil || got != events {
		t.Errorf("%s: %d of %d events: %v", stream, got, events, err)
	}
}

// ackTwice acknowledges each batch twice. The second time is answered with an error frame and harms nobody.
func ackTwice(t *testing.T, url string, events int) {
	conn := dial(t, url, "twice", 4)
	refusals := 0
	for got, batches := 0, 0; got < events || refusals < batches; {
		var f struct {
			Type string `json:"type"`
			client.Batch
		}
		if err := conn.ReadJSON(&f); err != nil {
			t.Errorf("twice: %d of %d events, %d refusals of %d batches: %v", got, events, refusals, batches, err)
			return
		}
		if f.Type == "error" {
			refusals++
			continue
		}
		batches++
		got += len(f.Events)
		for range 2 {
			if err := conn.WriteJSON(&apitypes.ClientMessage{Type: "ack", Stream: "twice", BatchNumber: &f.Number}); err != nil {
				t.Errorf("twice: %v", err)
				return
			}
		}
	}
}
