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
)

var reconnect = retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: true}

// ErrStop, returned by Consumer.Handle, acknowledges the batch and ends Run.
var ErrStop = errors.New("stop consuming")

// Batch is a batch of events as it came.
type Batch struct {
	Number int64             `json:"batchNumber"`
	Events []json.RawMessage `json:"events"` // each decodes into apitypes.Event
}

// Consumer receives the events of one stream over a WebSocket, acknowledges them, and reconnects when the connection breaks.
// Batches come in order, one at a time; each at least once.
type Consumer struct {
	URL    string // of the API, e.g. http://127.0.0.1:5008
	Stream string // name of the stream
	Window int    // batches the server may send before the first is acknowledged; 0 leaves it at one

	// Handle gets each batch. When it returns nil the batch is acknowledged; an error refuses it, and the server sends it again.
	// ErrStop acknowledges it and ends Run. The batch belongs to Handle.
	Handle func(ctx context.Context, b *Batch) error

	// Connected and Disconnected, if set, are told about the connection; Refused about what the server calls wrong.
	Connected    func()
	Disconnected func(err error)
	Refused      func(message string)
}

// Run consumes until ctx is done and returns ctx's cause, or until Handle returns ErrStop and returns nil. A broken connection is opened again after a jittered, growing wait.
func (c *Consumer) Run(ctx context.Context) error {
	target, err := webSocketURL(c.URL)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := c.session(ctx, target)
		if errors.Is(err, ErrStop) {
			return nil
		}
		if ctx.Err() != nil {
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

// frame is what the server may send.
type frame struct {
	Batch
	Type    string `json:"type"`
	Message string `json:"message"`
}

func (c *Consumer) session(ctx context.Context, target string) error {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout, Proxy: http.ProxyFromEnvironment}
	conn, resp, err := dialer.DialContext(ctx, target, nil)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", target, err)
	}
	_ = resp.Body.Close() // empty after an upgrade
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close() //nolint:errcheck // nothing is left to be sent

	extend := func() error { return conn.SetReadDeadline(time.Now().Add(readDeadline)) }
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { return errors.Join(extend(), ping(data)) })

	if err := c.send(conn, &apitypes.ClientMessage{Type: "listen", Stream: c.Stream, Window: c.Window}); err != nil {
		return err
	}
	if c.Connected != nil {
		c.Connected()
	}
	var refused int64 // the batch that was refused last and has not come again: what comes before it is void
	for {
		if err := extend(); err != nil {
			return err
		}
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(raw, &f); err != nil {
			return fmt.Errorf("frame from the server: %w", err)
		}
		switch {
		case f.Type == "error":
			if c.Refused != nil {
				c.Refused(f.Message)
			}
		case refused != 0 && f.Number != refused:
			// Void: it was on its way when its predecessor was refused, and comes again after it.
		default:
			if refused, err = c.handle(ctx, conn, &f.Batch); err != nil {
				return err
			}
		}
	}
}

// handle returns the batch's number if it was refused.
func (c *Consumer) handle(ctx context.Context, conn *websocket.Conn, b *Batch) (refused int64, err error) {
	answer := &apitypes.ClientMessage{Type: "ack", Stream: c.Stream, BatchNumber: &b.Number}
	verdict := c.Handle(ctx, b)
	stop := errors.Is(verdict, ErrStop)
	if verdict != nil && !stop {
		answer.Type, answer.Message, refused = "nack", verdict.Error(), b.Number
	}
	if err := c.send(conn, answer); err != nil {
		return 0, err
	}
	if stop {
		return 0, errors.Join(ErrStop, closeCleanly(conn))
	}
	return refused, nil
}

// closeCleanly waits until the server has read everything: a plain close may lose the last acknowledgement.
func closeCleanly(conn *websocket.Conn) error {
	deadline := time.Now().Add(writeDeadline)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := errors.Join(conn.WriteControl(websocket.CloseMessage, bye, deadline), conn.SetReadDeadline(deadline)); err != nil {
		return err
	}
	for {
		if _, _, err := conn.ReadMessage(); websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *Consumer) send(conn *websocket.Conn, m *apitypes.ClientMessage) error {
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
