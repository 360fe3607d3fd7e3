package ws_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	patience = 10 * time.Second
	tick     = time.Millisecond
)

// rig is a server that listens.
type rig struct {
	t      testing.TB
	server *ws.Server
	url    string
}

func newRig(t testing.TB, opts ws.Options) *rig {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	opts.Log = logrus.NewEntry(log)
	r := &rig{t: t, server: ws.New(opts)}
	require.NoError(t, r.server.Start(t.Context()))
	web := httptest.NewServer(r.server)
	r.url = "ws" + strings.TrimPrefix(web.URL, "http")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, r.server.Stop(ctx))
		web.Close()
	})
	return r
}

// clock is a time that goes on only when a test says so: how long a client takes under load then changes nothing.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.Load()) }

func (c *clock) advance(by time.Duration) { c.Add(int64(by)) }

// find looks a stream up that is not open.
type find = func(ctx context.Context, idOrName string) (sink.Stream, string, error)

// streams finds streams of these names.
func streams(names ...string) find {
	return func(_ context.Context, idOrName string) (sink.Stream, string, error) {
		if name := strings.TrimPrefix(idOrName, "id-"); slices.Contains(names, name) {
			return sink.Stream{ID: "id-" + name, Name: name}, "websocket", nil
		}
		return sink.Stream{}, "", nil
	}
}

// anyStream finds whatever is looked for.
func anyStream(ctx context.Context, idOrName string) (sink.Stream, string, error) {
	return streams(strings.TrimPrefix(idOrName, "id-"))(ctx, idOrName)
}

// client is one connection.
type client struct {
	t testing.TB
	*websocket.Conn
}

func (r *rig) dial() *client {
	r.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(r.url, nil)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Body.Close())
	r.t.Cleanup(func() { _ = conn.Close() })
	return &client{r.t, conn}
}

func (c *client) say(message string) {
	c.t.Helper()
	require.NoError(c.t, c.WriteMessage(websocket.TextMessage, []byte(message)))
}

func (c *client) listen(stream string, window int) {
	c.t.Helper()
	c.say(`{"type":"listen","stream":"` + stream + `","window":` + strconv.Itoa(window) + `}`)
}

func (c *client) ack(number int64) {
	c.t.Helper()
	c.say(`{"type":"ack","topic":"s","batchNumber":` + strconv.FormatInt(number, 10) + `}`)
}

// message is whatever the server may send.
type message struct {
	BatchNumber int64           `json:"batchNumber"`
	Attempt     int             `json:"attempt"`
	Events      json.RawMessage `json:"events"`
	Type        string          `json:"type"`
	Message     string          `json:"message"`
	InFlight    []int64         `json:"inFlight"`
	Stream      string          `json:"stream"`
	Unlistened  bool            `json:"unlistened"`
	raw         string
}

func (c *client) next() message {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	_, raw, err := c.ReadMessage()
	require.NoError(c.t, err)
	m := message{raw: string(raw)}
	require.NoError(c.t, json.Unmarshal(raw, &m), "%s", raw)
	return m
}

// settled waits until all that was said has been handled.
func (c *client) settled() {
	c.t.Helper()
	c.say(`{"type":"settled?"}`)
	c.refused(`"settled?"`)
}

// unlistened reads an error frame that says that the connection does not listen to a stream.
func (c *client) unlistened(stream, part string) {
	c.t.Helper()
	m := c.next()
	require.Contains(c.t, m.Message, part)
	require.True(c.t, m.Unlistened, "%s", m.raw)
	require.Equal(c.t, stream, m.Stream)
}

// refused reads an error frame.
func (c *client) refused(part string) {
	c.t.Helper()
	m := c.next()
	require.Equal(c.t, "error", m.Type, "%s", m.raw)
	require.Contains(c.t, m.Message, part)
}

func (r *rig) open(stream string) sink.Sink {
	r.t.Helper()
	return r.openAs("id-"+stream, stream, "")
}

// openAs opens the sink of a stream, in a distribution mode.
func (r *rig) openAs(id, name, mode string) sink.Sink {
	r.t.Helper()
	cfg, err := r.server.Validate(json.RawMessage(`{"distributionMode":"` + mode + `"}`))
	require.NoError(r.t, err)
	s, err := r.server.Open(r.t.Context(), sink.Stream{ID: id, Name: name}, cfg)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, s.Close(context.Background())) })
	return s
}

// send sends a batch and returns what done is called with.
func (r *rig) send(ctx context.Context, s sink.Sink, number int64, attempt int) chan error {
	r.t.Helper()
	result := make(chan error, 2)
	s.Send(ctx, &sink.Batch{Number: number, Attempt: attempt, Body: []byte(`[{"n":` + strconv.FormatInt(number, 10) + `}]`)}, func(err error) { result <- err })
	return result
}

func (r *rig) wait(s sink.Sink) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	require.NoError(r.t, s.(sink.Waiter).Wait(ctx))
}

func result(t testing.TB, ch chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(patience):
		require.FailNow(t, "done was not called")
		return nil
	}
}

func pending(t testing.TB, ch chan error) {
	t.Helper()
	select {
	case err := <-ch:
		require.FailNow(t, "done was called", "%v", err)
	default:
	}
}
