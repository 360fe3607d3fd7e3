package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

const patience = 20 * time.Second

// hub is a server whose connections a test plays by hand.
type hub struct {
	t     *testing.T
	url   string
	conns chan *peer
}

// peer is the server's end of a connection.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{t: t, conns: make(chan *peer)}
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/ws" {
			http.Error(w, "nothing here", http.StatusTeapot)
			return
		}
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case h.conns <- &peer{t, conn}:
		case <-ended:
			_ = conn.Close()
		}
	}))
	t.Cleanup(func() { close(ended); srv.Close() })
	h.url = srv.URL + "/api/"
	return h
}

// accept takes the next connection and expects it to listen.
func (h *hub) accept(window int) *peer {
	h.t.Helper()
	select {
	case p := <-h.conns:
		h.t.Cleanup(func() { _ = p.conn.Close() })
		require.NoError(h.t, p.conn.SetReadDeadline(time.Now().Add(patience)))
		require.Equal(h.t, apitypes.ClientMessage{Type: "listen", Stream: "s", Window: window, Acks: true, Voids: true}, p.receive())
		return p
	case <-time.After(patience):
		require.FailNow(h.t, "the consumer does not connect")
		return nil
	}
}

func (p *peer) receive() (m apitypes.ClientMessage) {
	p.t.Helper()
	require.NoError(p.t, p.conn.ReadJSON(&m))
	return m
}

func (p *peer) send(frames ...string) {
	p.t.Helper()
	for _, f := range frames {
		require.NoError(p.t, p.conn.WriteMessage(websocket.TextMessage, []byte(f)))
	}
}

func (p *peer) expect(kind string, number int64) apitypes.ClientMessage {
	p.t.Helper()
	m := p.receive()
	require.NotNil(p.t, m.BatchNumber)
	require.Equal(p.t, kind, m.Type)
	require.Equal(p.t, "s", m.Stream)
	require.Equal(p.t, number, *m.BatchNumber)
	return m
}

// leaves expects the consumer to close the connection in good order.
func (p *peer) leaves() {
	p.t.Helper()
	_, _, err := p.conn.ReadMessage()
	require.True(p.t, websocket.IsCloseError(err, websocket.CloseNormalClosure), "%v", err)
}

// run runs a consumer in the background; the channel gets what Run returns.
func run(t *testing.T, c *client.Consumer) (<-chan error, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); ended <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(nil); <-done })
	return ended, cancel
}

func result(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "Run does not return")
		return nil
	}
}

func ok(context.Context, *client.Batch) error { return nil }

func TestConsumerAcknowledgesAndStops(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var seen []string
	ended, _ := run(t, &client.Consumer{URL: h.url, Stream: "s", Handle: func(_ context.Context, b *client.Batch) error {
		for _, e := range b.Events {
			seen = append(seen, string(e))
		}
		if b.Number == 2 {
			return client.ErrStop
		}
		return nil
	}})
	p := h.accept(0)
	p.send(`{"batchNumber":1,"events":[{"id":"a"},{"id":"b"}]}`)
	p.expect("ack", 1)
	p.send(`{"batchNumber":2,"events":[{"id":"c"}]}`)
	p.expect("ack", 2)
	p.leaves()
	require.NoError(t, result(t, ended))
	require.Equal(t, []string{`{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`}, seen)
}

func TestConsumerReconnects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var connected, disconnected atomic.Int32
	run(t, &client.Consumer{
		URL: h.url, Stream: "s", Handle: ok,
		Connected:    func() { connected.Add(1) },
		Disconnected: func(err error) { disconnected.Add(1) },
	})
	for i := range int32(3) {
		p := h.accept(0)
		p.send(`{"batchNumber":1,"events":[]}`)
		p.expect("ack", 1)
		require.Equal(t, i+1, connected.Load())
		require.Equal(t, i, disconnected.Load())
		require.NoError(t, p.conn.NetConn().Close())
	}
}

func TestConsumerReportsWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reports := make(chan error, 10)
	ended, cancel := run(t, &client.Consumer{
		URL: strings.TrimSuffix(h.url, "api/"), Stream: "s", Handle: ok,
		Disconnected: func(err error) {
			select {
			case reports <- err:
			default:
			}
		},
	})
	for range 2 {
		require.ErrorContains(t, <-reports, "418 I'm a teapot")
	}
	enough := errors.New("enough")
	cancel(enough)
	require.ErrorIs(t, result(t, ended), enough)
}

func TestConsumerRefusesAndGetsItAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	tries := 0
	run(t, &client.Consumer{URL: h.url, Stream: "s", Handle: func(_ context.Context, b *client.Batch) error {
		if tries++; tries == 1 {
			return errors.New(strings.Repeat("é", 100_000))
		}
		return nil
	}})
	p := h.accept(0)
	p.send(`{"batchNumber":1,"events":[]}`)
	m := p.receive()
	require.Equal(t, "nack", m.Type)
	require.NotEmpty(t, m.Message)
	require.Less(t, len(m.Message), 2000, "a server reads no longer messages")
	p.send(`{"batchNumber":1,"events":[]}`)
	p.expect("ack", 1)
}

// Where somebody else takes a refused batch, or the stream's run begins anew, it never comes again under its number.
func TestConsumerTakesWhatComesInsteadOfARefusedBatch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	run(t, &client.Consumer{URL: h.url, Stream: "s", Handle: func(_ context.Context, b *client.Batch) error {
		if b.Number == 1 {
			return errors.New("no")
		}
		return nil
	}})
	p := h.accept(0)
	p.send(`{"batchNumber":1,"events":[]}`)
	p.expect("nack", 1)
	p.send(`{"batchNumber":3,"events":[]}`)
	p.expect("ack", 3)
	p.send(`{"batchNumber":1000000001,"events":[]}`)
	p.expect("ack", 1_000_000_001)
}

// What was on its way when its predecessor was refused must not be handled before it. Only the server knows what that is: of a stream that
// delivers in parallel, nothing.
func TestConsumerDropsWhatIsVoid(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	sent := make(chan struct{})
	var seen []int64
	var attempts []int
	ended, _ := run(t, &client.Consumer{
		URL: h.url, Stream: "s", Window: 3,
		Handle: func(_ context.Context, b *client.Batch) error {
			<-sent
			seen, attempts = append(seen, b.Number), append(attempts, b.Attempt)
			switch {
			case len(seen) == 1 || b.Number == 4:
				return errors.New("no")
			case b.Number == 5:
				return client.ErrStop
			default:
				return nil
			}
		},
	})
	p := h.accept(3)
	p.send(`{"batchNumber":1,"events":[]}`, `{"batchNumber":2,"events":[]}`, `{"batchNumber":3,"events":[]}`)
	close(sent)
	require.True(t, p.expect("nack", 1).Reply)
	p.send(`{"type":"error","message":"of something else"}`, `{"type":"nacked","stream":"s","batchNumber":1,"inFlight":[]}`)
	p.send(`{"batchNumber":1,"attempt":2,"events":[]}`, `{"batchNumber":4,"events":[]}`, `{"batchNumber":5,"events":[]}`)
	p.expect("ack", 1)
	p.expect("nack", 4)
	p.send(`{"type":"nacked","batchNumber":4,"inFlight":[5]}`)
	p.expect("ack", 5)
	p.leaves()
	require.NoError(t, result(t, ended))
	require.Equal(t, []int64{1, 1, 4, 5}, seen)
	require.Equal(t, []int{1, 2, 1, 1}, attempts)
}

// A connection that ends before the refusal is answered is made anew.
func TestConsumerThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var refused atomic.Bool
	run(t, &client.Consumer{URL: h.url, Stream: "s", Window: 2, Handle: func(context.Context, *client.Batch) error {
		if refused.CompareAndSwap(false, true) {
			return errors.New("no")
		}
		return nil
	}})
	p := h.accept(2)
	p.send(`{"batchNumber":1,"events":[]}`, `{"batchNumber":2,"events":[]}`)
	p.expect("nack", 1)
	require.NoError(t, p.conn.NetConn().Close())
	p = h.accept(2)
	p.send(`{"batchNumber":1,"events":[]}`)
	p.expect("ack", 1)
}

func TestConsumerIsBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ended, cancel := run(t, &client.Consumer{
		URL: h.url, Stream: "s", Window: 2,
		Handle: func(ctx context.Context, _ *client.Batch) error { <-ctx.Done(); return ctx.Err() },
	})
	p := h.accept(2)
	for n := range 7 { // one is handled, two wait, and as many more are forgiven
		p.send(`{"batchNumber":` + strconv.Itoa(n+1) + `,"events":[]}`)
	}
	_, _, err := p.conn.ReadMessage()
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the consumer leaves a server that sends without measure")
	require.Error(t, err)
	cancel(errors.New("enough"))
	require.ErrorContains(t, result(t, ended), "enough")
}

func TestConsumerSendsItsHeader(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	defer srv.Close()
	ended, cancel := run(t, &client.Consumer{
		URL: srv.URL, Stream: "s", Handle: ok, Header: http.Header{"Authorization": {"Bearer x"}}, TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig,
	})
	require.Equal(t, "Bearer x", <-asked)
	cancel(nil)
	require.Error(t, result(t, ended))
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]any{
		`{"listenerType":"events","signature":"E","data":{"a":1}}`: &apitypes.Event{ListenerType: "events", Signature: "E", Data: []byte(`{"a":1}`)},
		`{"listenerType":"blocks","blockNumber":"5"}`:              &apitypes.BlockEvent{ListenerType: "blocks", BlockNumber: "5"},
		`{"listenerType":"transactions","id":"a"}`:                 &apitypes.TransactionEvent{ListenerType: "transactions", ID: "a"},
	} {
		got, err := client.Decode([]byte(event))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for event, want := range map[string]string{`[`: "event: ", `{"listenerType":"x"}`: `type "x"`, `{"listenerType":"events","id":5}`: "type events", `{}`: `type ""`} {
		_, err := client.Decode([]byte(event))
		require.ErrorContains(t, err, want)
	}
}

// A Handle that takes longer than the server waits for a pong, or for the acknowledgement, must get through.
func TestConsumerAnswersWhileItHandles(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	release := make(chan struct{})
	var calls atomic.Int32
	run(t, &client.Consumer{URL: h.url, Stream: "s", Handle: func(context.Context, *client.Batch) error {
		calls.Add(1)
		<-release
		return nil
	}})
	p := h.accept(0)
	p.conn.SetPongHandler(func(string) error { close(release); return nil })
	p.send(`{"batchNumber":1,"events":[]}`, `{"batchNumber":1,"attempt":2,"events":[]}`)
	require.NoError(t, p.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)))
	p.expect("ack", 1)
	p.send(`{"batchNumber":2,"events":[]}`)
	p.expect("ack", 2)
	require.Equal(t, int32(2), calls.Load(), "a copy of what is being handled is none of its own")
}

func TestConsumerPassesErrorsOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	refused := make(chan string, 1)
	run(t, &client.Consumer{URL: h.url, Stream: "s", Handle: ok, Refused: func(m string) { refused <- m }})
	p := h.accept(0)
	p.send(`{"type":"error","message":"there is no stream"}`)
	require.Equal(t, "there is no stream", <-refused)
	p.send(`{"type":"news","message":"of a later version"}`, `{"batchNumber":1,"events":[]}`)
	p.expect("ack", 1)
}

func TestConsumerLeavesAServerThatTalksNonsense(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reports := make(chan error, 10)
	run(t, &client.Consumer{
		URL: h.url, Stream: "s",
		Handle:       ok,
		Disconnected: func(err error) { reports <- err },
	})
	h.accept(0).send(`[1,`)
	require.ErrorContains(t, <-reports, "frame from the server")
}

func TestConsumerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for name, frame := range map[string]string{"idle": `{"type":"error"}`, "handling": `{"batchNumber":1,"events":[]}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			busy := make(chan struct{})
			ended, cancel := run(t, &client.Consumer{
				URL: h.url, Stream: "s", Refused: func(string) { close(busy) },
				Handle: func(ctx context.Context, _ *client.Batch) error { close(busy); <-ctx.Done(); return ctx.Err() },
			})
			h.accept(0).send(frame)
			<-busy
			cancel(enough)
			require.ErrorIs(t, result(t, ended), enough)
		})
	}
}

func TestConsumerNeedsItsFields(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]*client.Consumer{
		"Stream and Handle": {URL: client.DefaultURL, Stream: "s"},
		"required":          {URL: client.DefaultURL, Handle: ok},
		"want http":         {URL: "ftp://h", Stream: "s", Handle: ok},
		"URL of the API":    {URL: "http://[", Stream: "s", Handle: ok},
	} {
		require.ErrorContains(t, c.Run(t.Context()), want)
	}
}
