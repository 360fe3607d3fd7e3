package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// readDeadline is how long nothing at all may come from the server, which pings every 30 s.
	readDeadline  = 75 * time.Second
	writeDeadline = 10 * time.Second
	dialTimeout   = 10 * time.Second
	// maxReason bounds what a nack says: a longer message than the server reads would end the connection, and come again.
	maxReason = 1 << 10
)

var reconnect = retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: true}

// ErrStop, returned by Consumer.Handle, acknowledges the batch and ends Run.
var ErrStop = errors.New("stop consuming")

// ErrUnlistened is what Consumer.Disconnected gets, with the server's words, when the server does not let the consumer listen: there is no
// such stream, or it was deleted, renamed, or is of another type.
var ErrUnlistened = errors.New("not listening")

// Batch is a batch of events as it came.
type Batch struct {
	Number  int64             `json:"batchNumber"`
	Attempt int               `json:"attempt"` // 1, or more if it may have been here before
	Events  []json.RawMessage `json:"events"`  // see Decode
}

// Decode returns an event as what it is: *apitypes.Event, *apitypes.BlockEvent or *apitypes.TransactionEvent, by the type of the
// listener that delivers it. One that a listener's transform has made into something else is an error: it is the caller's own to decode.
func Decode(event json.RawMessage) (any, error) {
	var of struct {
		ListenerType string `json:"listenerType"`
	}
	if err := json.Unmarshal(event, &of); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	var e any
	switch of.ListenerType {
	case apitypes.ListenerEvents:
		e = &apitypes.Event{}
	case apitypes.ListenerBlocks:
		e = &apitypes.BlockEvent{}
	case apitypes.ListenerTransactions:
		e = &apitypes.TransactionEvent{}
	default:
		return nil, fmt.Errorf("event of a listener of type %q, which is not known", of.ListenerType)
	}
	if err := json.Unmarshal(event, e); err != nil {
		return nil, fmt.Errorf("event of a listener of type %s: %w", of.ListenerType, err)
	}
	return e, nil
}

// Consumer receives the events of one stream over a WebSocket, acknowledges them, and reconnects when the connection breaks.
// Batches come in order, one at a time; each at least once. Of a stream that broadcasts, what is delivered while there is no connection is
// missed, and nothing else.
type Consumer struct {
	URL    string // of the API, e.g. http://127.0.0.1:5008; it may hold a user name and a password
	Stream string // name or id of the stream

	Header http.Header // of the requests that connect, e.g. Authorization; nil for none
	TLS    *tls.Config // nil: the defaults of Go

	Window int // batches the server may send before the first is acknowledged; 0 leaves it at one

	// Handle gets each batch. When it returns nil the batch is acknowledged; an error refuses it, and the server sends it again.
	// ErrStop acknowledges it and ends Run. An error once ctx is done refuses nothing: the batch just comes again. It may take its time:
	// the connection is kept alive meanwhile. The batch belongs to Handle.
	Handle func(ctx context.Context, b *Batch) error

	// Connected and Disconnected, if set, are told about the connection; Refused about what the server calls wrong while it goes on, e.g. an
	// acknowledgement that came too late. They and Handle are called one at a time. That there is no such stream, or no longer, is told to
	// Disconnected as ErrUnlistened, and tried again like a connection that broke: the stream may be made yet.
	Connected    func()
	Disconnected func(err error)
	Refused      func(message string)
}

// Run consumes until ctx is done and returns ctx's cause, or until Handle returns ErrStop and returns nil. A broken connection is
// opened again after a jittered, growing wait.
func (c *Consumer) Run(ctx context.Context) error {
	if c.Stream == "" || c.Handle == nil {
		return errors.New("consumer: Stream and Handle are required")
	}
	target, header, err := webSocket(c.URL, c.Header)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := c.session(ctx, target, header)
		switch {
		case errors.Is(err, ErrStop):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if c.Disconnected != nil {
			c.Disconnected(err)
		}
		if time.Since(began) > reconnect.Max {
			attempt = 1
		}
		if err := retry.Sleep(ctx, reconnect.Delay(attempt, nil)); err != nil {
			return err
		}
	}
}

// session is the life of one connection.
func (c *Consumer) session(ctx context.Context, target string, header http.Header) error {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS}
	conn, resp, err := dialer.DialContext(ctx, target, header)
	switch {
	case err != nil && resp != nil:
		return fmt.Errorf("connect to %s: %w: %s", target, err, resp.Status)
	case err != nil:
		return fmt.Errorf("connect to %s: %w", target, err)
	}
	_ = resp.Body.Close() // empty after an upgrade
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in := newInbox(conn, max(1, c.Window))
	go in.read()
	defer func() {
		_ = conn.Close() // nothing is left to be sent
		<-in.done
	}()
	if err := send(conn, &apitypes.ClientMessage{Type: "listen", Stream: c.Stream, Window: c.Window, Acks: true, Voids: true}); err != nil {
		return err
	}
	if c.Connected != nil {
		c.Connected()
	}
	for {
		f, err := in.next()
		switch {
		case err != nil:
			return err
		case f.Type == "error":
			if c.Refused != nil {
				c.Refused(f.Message)
			}
		default:
			if err := c.handle(ctx, conn, in, &Batch{Number: *f.Number, Attempt: max(1, f.Attempt), Events: f.Events}); err != nil {
				return err
			}
		}
	}
}

// handle hands a batch over and answers for it.
func (c *Consumer) handle(ctx context.Context, conn *websocket.Conn, in *inbox, b *Batch) error {
	number := b.Number
	answer := &apitypes.ClientMessage{Type: "ack", Stream: c.Stream, BatchNumber: &number}
	verdict := c.Handle(ctx, b)
	stop := errors.Is(verdict, ErrStop)
	refused := verdict != nil && !stop
	if refused {
		if ctx.Err() != nil {
			return context.Cause(ctx) // it was broken off, which says nothing about the batch
		}
		answer.Type, answer.Message, answer.Reply = "nack", reason(verdict), c.Window > 1
		in.expect(number)
	}
	if err := send(conn, answer); err != nil {
		return in.why(err)
	}
	switch {
	case stop:
		in.sayGoodbye(ctx)
		return ErrStop
	case answer.Reply:
		// What was on its way behind the refused batch is void, and comes again after it. The answer says what is not.
		return in.awaitNacked(ctx)
	default:
		return nil
	}
}

// reason is the text of an error, cut to what a nack may say.
func reason(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return strings.ToValidUTF8(text, "")
}

func send(conn *websocket.Conn, m *apitypes.ClientMessage) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeDeadline)); err != nil {
		return err
	}
	return conn.WriteJSON(m)
}
