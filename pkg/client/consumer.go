package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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

// errAfresh ends a session that another follows at once.
var errAfresh = errors.New("begin afresh")

// Batch is a batch of events as it came.
type Batch struct {
	Number int64             `json:"batchNumber"`
	Events []json.RawMessage `json:"events"` // each decodes into apitypes.Event or, of a listener of type transactions, apitypes.TransactionEvent
}

// Consumer receives the events of one stream over a WebSocket, acknowledges them, and reconnects when the connection breaks.
// Batches come in order, one at a time; each at least once.
type Consumer struct {
	URL    string // of the API, e.g. http://127.0.0.1:5008
	Stream string // name of the stream
	Window int    // batches the server may send before the first is acknowledged; 0 leaves it at one

	// Handle gets each batch. When it returns nil the batch is acknowledged; an error refuses it, and the server sends it again.
	// ErrStop acknowledges it and ends Run. It may take its time: the connection is kept alive meanwhile. The batch belongs to Handle.
	Handle func(ctx context.Context, b *Batch) error

	// Connected and Disconnected, if set, are told about the connection; Refused about what the server calls wrong, e.g. that
	// there is no such stream. They and Handle are called one at a time.
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
	target, err := webSocketURL(c.URL)
	if err != nil {
		return err
	}
	afresh := false
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := c.session(ctx, target, !afresh)
		afresh = errors.Is(err, errAfresh)
		switch {
		case errors.Is(err, ErrStop):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case afresh:
			attempt = 0
			continue
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

// session is the life of one connection. tell: it is news to the caller that there is one.
func (c *Consumer) session(ctx context.Context, target string, tell bool) error {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, Proxy: http.ProxyFromEnvironment}
	conn, resp, err := dialer.DialContext(ctx, target, nil)
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
	if err := send(conn, &apitypes.ClientMessage{Type: "listen", Stream: c.Stream, Window: c.Window}); err != nil {
		return err
	}
	if c.Connected != nil && tell {
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
			if err := c.handle(ctx, conn, in, &Batch{Number: *f.Number, Events: f.Events}); err != nil {
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
		answer.Type, answer.Message = "nack", reason(verdict)
		in.expect(number)
	}
	if err := send(conn, answer); err != nil {
		return err
	}
	switch {
	case stop:
		in.sayGoodbye(ctx)
		return ErrStop
	case refused && c.Window > 1:
		// What was on its way behind the refused batch is void, and comes again after it. Nothing in it tells it from what is
		// sent anew, but the connection does.
		in.sayGoodbye(ctx)
		return errAfresh
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

// webSocketURL turns the URL of the API into that of its WebSocket.
func webSocketURL(api string) (string, error) {
	u, err := url.Parse(api)
	if err != nil {
		return "", fmt.Errorf("URL of the API: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return "", fmt.Errorf("URL of the API %q: want http:// or https://", api)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/ws"
	return u.String(), nil
}
