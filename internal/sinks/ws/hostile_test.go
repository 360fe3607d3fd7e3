package ws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// bystander is a stream with a good client. What others do must not disturb it: check delivers some batches to it and wants each of them
// acknowledged.
type bystander struct {
	*rig
	sink   sink.Sink
	client *client
	number int64
}

func newBystander(r *rig) *bystander {
	r.t.Helper()
	b := &bystander{rig: r, sink: r.open("bystander"), client: r.dial()}
	b.client.listen("bystander", 1)
	r.wait(b.sink)
	return b
}

func (b *bystander) check() {
	b.t.Helper()
	for range 20 {
		b.number++
		done := b.send(b.t.Context(), b.sink, b.number, 1)
		for m := b.client.next(); m.BatchNumber != b.number; m = b.client.next() {
			require.NotZero(b.t, m.Attempt, "copies are those of a batch that this machine was slow to acknowledge")
		}
		b.client.say(fmt.Sprintf(`{"type":"ack","stream":"bystander","batchNumber":%d}`, b.number))
		require.NoError(b.t, result(b.t, done))
	}
}

func TestAcksOfAllKinds(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	by := newBystander(r)
	s := r.open("s")
	a, b := r.dial(), r.dial()
	a.listen("s", 1)
	r.wait(s)
	b.listen("s", 1)
	b.settled()
	done := r.send(t.Context(), s, 1_000_000_001, 1)
	a.next()
	for ack, part := range map[string]string{
		`{"type":"ack","stream":"s","batchNumber":"1000000001"}`:              "not understood",
		`{"type":"ack","stream":"s","batchNumber":1000000001.5}`:              "not understood",
		`{"type":"ack","stream":"s","batchNumber":1e400}`:                     "not understood",
		`{"type":"ack","stream":"s","batchNumber":[1000000001]}`:              "not understood",
		`{"type":"ack","stream":"s","batchNumber":true}`:                      "not understood",
		`{"type":"ack","stream":"s","batchNumber":null}`:                      "batchNumber is missing",
		`{"type":"ack","stream":"s"}`:                                         "batchNumber is missing",
		`{"type":"ack","stream":"s","batchNumber":-1000000001}`:               "batch -1000000001",
		`{"type":"ack","stream":"s","batchNumber":0}`:                         "batch 0",
		`{"type":"ack","stream":"s","batchNumber":1000000002}`:                "batch 1000000002",
		`{"type":"ack","stream":"S","batchNumber":1000000001}`:                "does not listen",
		`{"type":"ack","stream":"bystander","batchNumber":1}`:                 "does not listen",
		`{"type":"ack","stream":{"a":1},"batchNumber":1}`:                     "not understood",
		`{"type":"ack","batchNumber":1000000001}`:                             "stream is missing",
		`{"type":"nack","stream":"s","batchNumber":1,"message":{}}`:           "not understood",
		`{"type":"nack","stream":"s","batchNumber":7,"message":"no"}`:         "batch 7",
		`{"type":["ack"],"stream":"s","batchNumber":1000000001}`:              "not understood",
		`{"type":"ack","stream":"s","batchNumber":1000000001} x`:              "not understood",
		`{"type":"ack","stream":"s","batchNumber":1000000001`:                 "not understood",
		"{\"type\":\"ack\",\"stream\":\"s\xff\",\"batchNumber\":1}":           "valid UTF-8",
		strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000): "not understood",
		`null`: "not understood", `0`: "not understood", `""`: "not understood", ``: "not understood",
	} {
		a.say(ack)
		m := a.next()
		require.Equal(t, "error", m.Type, "%.200s", ack)
		if ack != "null" { // is an object without a type
			require.Contains(t, m.Message, part, "%.200s", ack)
		}
	}
	// Another's batch: neither taken nor refused.
	for _, kind := range []string{"ack", "nack", "error"} {
		b.say(`{"type":"` + kind + `","stream":"s","batchNumber":1000000001}`)
		b.refused("batch 1000000001 of stream \"s\" is not in flight to this connection")
	}
	b.say(`{"type":"error","stream":"s"}`)
	b.refused("nothing in flight to this connection")
	pending(t, done)
	by.check()
	for range 2 {
		a.ack(1_000_000_001)
	}
	a.refused("batch 1000000001")
	require.NoError(t, result(t, done))
}

func TestHugeFrames(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	by := newBystander(r)
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		c := r.dial()
		c.settled()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_ = c.WriteMessage(kind, make([]byte, 10<<20)) // it may be closed before all is written
		_, _, err := c.ReadMessage()
		require.Error(t, err)
		require.False(t, isTimeout(err), "%v", err)
	}
	// In many small pieces, it is as large.
	c := r.dial()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	w, err := c.NextWriter(websocket.TextMessage)
	require.NoError(t, err)
	for range 10 << 10 {
		if _, err = io.WriteString(w, strings.Repeat("[", 1<<10)); err != nil {
			break
		}
	}
	_, _, err = c.ReadMessage()
	require.Error(t, err)
	require.False(t, isTimeout(err), "%v", err)
	by.check()
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // the socket's own
	return ok && ne.Timeout()
}

func TestManyNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Find: anyStream, PingInterval: time.Hour}) // nobody reads pings between the checks
	by := newBystander(r)
	c := r.dial()
	const names, kept, step = 10_000, 1000, 200
	for i := 0; i < names; i += step {
		for n := range step {
			if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"listen","stream":"n`+strconv.Itoa(i+n)+`"}`)); err != nil {
				require.NoError(t, err)
			}
		}
		for range step {
			if i < kept {
				continue
			}
			_, raw, err := c.ReadMessage()
			if err != nil || !bytes.Contains(raw, []byte("which is the limit")) {
				require.FailNow(t, "not refused", "%s, %v", raw, err)
			}
		}
	}
	by.check()

	// The same from a client that does not read what it is told.
	deaf := r.dial()
	require.NoError(t, deaf.SetWriteDeadline(time.Now().Add(6*patience)))
	wrong := []byte(`{"type":"` + strings.Repeat("x", 900) + `"}`)
	var err error
	for err == nil {
		err = deaf.WriteMessage(websocket.TextMessage, wrong)
	}
	require.False(t, isTimeout(err), "it is cut off: %v", err)
	by.check()
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	const most = 20
	r := newRig(t, ws.Options{MaxConnections: most})
	var storm sync.WaitGroup
	var mu sync.Mutex
	var taken []*websocket.Conn
	refusals := 0
	for range 5 * most {
		storm.Go(func() {
			conn, resp, err := websocket.DefaultDialer.Dial(r.url, nil) //nolint:bodyclose // the dialer has read it
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken = append(taken, conn)
			case resp != nil && resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
				refusals++
			default:
				t.Error(err)
			}
		})
	}
	storm.Wait()
	require.Len(t, taken, most)
	require.Equal(t, 4*most, refusals)
	for _, c := range taken {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool {
		conn, _, err := websocket.DefaultDialer.Dial(r.url, nil) //nolint:bodyclose // as above
		return err == nil && conn.Close() == nil
	}, patience, tick, "those who left make room")
}

// A client that knows the numbers without reading must not make the server keep what it does not read.
func TestAcksWithoutReading(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{WriteTimeout: 6 * patience})
	by := newBystander(r)
	s := r.open("s")
	c := r.dial()
	c.listen("s", 1)
	r.wait(s)
	first := make(chan error, 1)
	body := []byte(`["` + strings.Repeat("x", 16<<20) + `"]`) // the sockets cannot take it in
	s.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 1, Body: body}, func(err error) { first <- err })
	require.Eventually(t, func() bool {
		c.ack(1) // counts as soon as it is being written
		return len(first) > 0
	}, patience, 100*time.Millisecond)
	second := r.send(t.Context(), s, 2, 1)
	c.ack(2)
	c.say(`{"type":"error","stream":"s"}`)
	c.say(`{"type":"nack","stream":"s","batchNumber":2}`)
	by.check()
	refusals := 0
	for refusals < 3 {
		m := c.next()
		if m.Type == "error" && strings.Contains(m.Message, "batch 2 of stream \"s\" was not sent to this connection yet") {
			refusals++
		}
	}
	pending(t, second)
	c.ack(2) // it came before the error frames
	require.NoError(t, result(t, second))
}

// Clients that come, listen and leave at once, all the time: the one that stays gets everything, and in order.
func TestAReconnectStorm(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	by := newBystander(r)
	s := r.open("s")
	stop := make(chan struct{})
	var storm sync.WaitGroup
	for i := range 8 {
		storm.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				conn, _, err := websocket.DefaultDialer.Dial(r.url, nil) //nolint:bodyclose // as above
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"listen","stream":"s"}`))
				if n%2 == 0 {
					_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"unlisten","stream":"s"}`))
				}
				if i%2 == 0 {
					_ = conn.NetConn().(*net.TCPConn).SetLinger(0) // without a goodbye
				}
				_ = conn.Close()
			}
		})
	}
	good := r.dial()
	good.listen("s", 1)
	ended := make(chan []int64, 1)
	go func() {
		var seen []int64
		defer func() { ended <- seen }()
		for {
			_, raw, err := good.ReadMessage()
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(raw, &m) != nil || m.Type == "error" {
				continue
			}
			seen = append(seen, m.BatchNumber)
			_ = good.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"ack","stream":"s","batchNumber":%d}`, m.BatchNumber))
		}
	}()
	for n := int64(1); n <= 200; n++ { // as the engine does: what fails goes again
		for attempt := 1; ; attempt++ {
			err := result(t, r.send(t.Context(), s, n, attempt))
			if err == nil {
				break
			}
			require.ErrorIs(t, err, sink.ErrNobody)
		}
	}
	by.check()
	close(stop)
	storm.Wait()
	require.NoError(t, good.Close())
	seen := <-ended
	require.NotEmpty(t, seen)
	for i := 1; i < len(seen); i++ {
		require.Less(t, seen[i-1], seen[i], "in order, and only once each to who takes it")
	}
}

// The never-reading, the never-acknowledging and the one who acknowledges everything twice, all at once.
func TestHostilesTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{AckTimeout: 200 * time.Millisecond})
	by := newBystander(r)
	open := func(name, mode string) *client {
		s := r.openAs("id-"+name, name, mode)
		c := r.dial()
		c.listen(name, 3)
		r.wait(s)
		ctx, cancel := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		sending.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				s.Send(ctx, &sink.Batch{Number: n, Attempt: 1, Body: []byte(`["` + strings.Repeat("x", 1<<16) + `"]`)}, func(error) {})
			}
		})
		t.Cleanup(func() { cancel(); sending.Wait() })
		return c
	}
	for _, mode := range []string{"load_balance", "broadcast", "parallel"} {
		open("never-reads-"+mode, mode)
		silent := open("never-acks-"+mode, mode)
		go func() {
			for {
				if _, _, err := silent.ReadMessage(); err != nil {
					return
				}
			}
		}()
		twice := open("acks-twice-"+mode, mode)
		go func() {
			for {
				var m message
				if twice.ReadJSON(&m) != nil {
					return
				}
				for range 2 {
					ack := fmt.Appendf(nil, `{"type":"ack","stream":"acks-twice-%s","batchNumber":%d}`, mode, m.BatchNumber)
					if m.Type != "error" && twice.WriteMessage(websocket.TextMessage, ack) != nil {
						return
					}
				}
			}
		}()
	}
	for range 5 {
		by.check()
	}
}
