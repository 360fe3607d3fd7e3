package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// closeTimeout bounds the writing of a close frame, and what may be under way when a connection is cut off.
const closeTimeout = time.Second

// frame is one message to a client, in two parts so that the events are not copied.
type frame struct {
	head, body []byte
	tail       string
	reply      bool
}

// conn is one connection. One goroutine reads and one writes.
type conn struct {
	id     uint64
	socket *websocket.Conn
	server *Server
	topics map[string]bool // of the reader alone

	dead chan struct{} // closed by kill
	wake chan struct{} // to the writer

	mu         sync.Mutex
	out        []frame     // guarded by mu
	errors     int         // guarded by mu; error frames among out
	replyBytes int         // guarded by mu; of replies that are not written yet
	killed     bool        // guarded by mu
	code       int         // guarded by mu; why it was killed
	reason     string      // guarded by mu
	cutOff     *time.Timer // guarded by mu; set by kill
}

func newConn(id uint64, socket *websocket.Conn, s *Server) *conn {
	return &conn{id: id, socket: socket, server: s, topics: make(map[string]bool), dead: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// kill ends the connection: the writer says why and closes. Only the first call counts.
func (c *conn) kill(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return
	}
	c.killed, c.code, c.reason = true, code, reason
	c.out = nil
	close(c.dead)
	// What is being written to a client that does not read must not hold up the end. The writer closes sooner if it can.
	c.cutOff = time.AfterFunc(closeTimeout, func() { _ = c.socket.Close() })
}

// enqueue leaves a batch to the writer. The owner's window bounds how many there are.
func (c *conn) enqueue(f frame) { c.push(f) }

// reply leaves a reply to the writer. A client that does not read what it asked for is cut off, and false is returned: it alone pays for that.
func (c *conn) reply(b []byte) bool {
	c.mu.Lock()
	c.replyBytes += len(b)
	over := c.replyBytes > maxReplyBytes
	c.mu.Unlock()
	if over {
		c.kill(websocket.CloseTryAgainLater, "replies are not read fast enough")
		return false
	}
	c.push(frame{body: b, reply: true})
	return true
}

// clip shortens what repeats a client's words: a message of the size of the read limit must not come back, be kept or be logged.
func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "…"
}

// refuse tells the client what it did wrong.
func (c *conn) refuse(format string, args ...any) {
	b, err := json.Marshal(apitypes.ServerError{Type: "error", Message: clip(fmt.Sprintf(format, args...))})
	if err != nil { // cannot be: both fields are strings
		return
	}
	c.mu.Lock()
	c.errors++
	over := c.errors > maxErrors
	c.mu.Unlock()
	if over {
		c.kill(websocket.ClosePolicyViolation, "error frames are not read")
		return
	}
	c.push(frame{body: b})
}

func (c *conn) push(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return
	}
	c.out = append(c.out, f)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends what waits, and pings. It closes the socket when the connection ends, which ends the reader.
func (c *conn) write(ctx context.Context) {
	defer c.close()
	stop := context.AfterFunc(ctx, func() { c.kill(websocket.CloseGoingAway, "the server is stopping") })
	defer stop()
	ping := time.NewTicker(c.server.opts.PingInterval)
	defer ping.Stop()
	var batch []frame
	for {
		select {
		case <-c.wake:
		case <-ping.C:
			if err := c.socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.server.opts.WriteTimeout)); err != nil {
				return
			}
			continue
		case <-c.dead:
			return
		}
		c.mu.Lock()
		batch, c.out = c.out, batch[:0]
		c.errors = 0
		c.mu.Unlock()
		for i := range batch {
			if c.isDead() {
				return
			}
			if err := c.send(&batch[i]); err != nil {
				c.server.opts.Log.WithError(err).WithField("connection", c.id).Debug("Writing to a WebSocket failed")
				return
			}
			if batch[i].reply {
				c.mu.Lock()
				c.replyBytes -= len(batch[i].body)
				c.mu.Unlock()
			}
			batch[i] = frame{} // what was written need not be kept until the rest is
		}
	}
}

func (c *conn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// send writes one frame. What fits into the write buffer goes out at once; a larger body is not copied.
func (c *conn) send(f *frame) error {
	_ = c.socket.SetWriteDeadline(time.Now().Add(c.server.opts.WriteTimeout)) // always nil: it only notes the time
	w, err := c.socket.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	for _, part := range [...][]byte{f.head, f.body, []byte(f.tail)} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}

// close says why, as far as the client still reads, and closes the socket.
func (c *conn) close() {
	c.kill(websocket.CloseNormalClosure, "")
	c.mu.Lock()
	code, reason := c.code, c.reason
	defer c.cutOff.Stop()
	c.mu.Unlock()
	// Errors mean that the peer is gone, which is where this leads anyway.
	_ = c.socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout))
	_ = c.socket.Close()
}

// read handles what the client says until the connection ends.
func (c *conn) read(ctx context.Context) {
	defer c.server.dropped(c)
	defer c.kill(websocket.CloseNormalClosure, "")
	silence := 2 * c.server.opts.PingInterval
	extend := func() { _ = c.socket.SetReadDeadline(time.Now().Add(silence)) } // an error shows in the next read
	c.socket.SetReadLimit(c.server.opts.ReadLimit)
	c.socket.SetPongHandler(func(string) error {
		extend()
		return nil
	})
	for {
		extend()
		kind, raw, err := c.socket.ReadMessage()
		if err != nil {
			if errors.Is(err, websocket.ErrReadLimit) {
				c.kill(websocket.CloseMessageTooBig, fmt.Sprintf("a message may have %d bytes", c.server.opts.ReadLimit))
			}
			return
		}
		if kind != websocket.TextMessage {
			c.refuse("binary messages are not understood: send JSON as text")
			continue
		}
		var m apitypes.ClientMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			c.refuse("the message is not understood: %s", err)
			continue
		}
		c.handle(ctx, &m)
	}
}

func (c *conn) handle(ctx context.Context, m *apitypes.ClientMessage) {
	name := m.Stream
	if name == "" {
		name = m.Topic
	}
	kind := strings.ToLower(m.Type)
	switch kind {
	case "listenreplies":
		c.server.listenReplies(c)
		return
	case "listen", "unlisten", "ack", "nack", "error":
		if name == "" {
			c.refuse("%s: stream is missing: give the name of the stream", kind)
			return
		}
		if len(name) > maxNameLength {
			c.refuse("%s: the name of the stream has %d bytes: it may have %d", kind, len(name), maxNameLength)
			return
		}
	default:
		c.refuse("type %q is not understood: it must be listen, unlisten, listenreplies, ack, nack or error", m.Type)
		return
	}
	switch kind {
	case "listen":
		c.listen(ctx, name, m.Window)
	case "unlisten":
		if !c.topics[name] {
			c.refuse("unlisten: this connection does not listen to stream %q", name)
			return
		}
		delete(c.topics, name)
		c.server.unlisten(c, name)
	default:
		c.answer(kind, name, m)
	}
}

func (c *conn) listen(ctx context.Context, name string, window int) {
	switch {
	case window < 0 || window > maxWindow:
		c.refuse("listen: window is %d: it must be 1 to %d", window, maxWindow)
	case !c.topics[name] && len(c.topics) >= maxTopics:
		c.refuse("listen: this connection listens to %d streams, which is the limit", maxTopics)
	case !c.topics[name] && !c.server.known(ctx, name):
		c.refuse("listen: there is no stream %q", name)
	default:
		c.topics[name] = true
		c.server.listen(c, name, max(1, window))
	}
}

// answer handles an acknowledgement or a refusal.
func (c *conn) answer(kind, name string, m *apitypes.ClientMessage) {
	o, listening := c.server.ownerOf(c, name)
	switch {
	case !listening:
		c.refuse("%s: this connection does not listen to stream %q", kind, name)
	case kind == "ack" && m.BatchNumber == nil:
		c.refuse("ack: batchNumber is missing: give the number of the batch")
	case o == nil:
		c.refuse("%s: stream %q has nothing in flight", kind, name)
	case kind == "ack":
		if err := o.ack(c.id, *m.BatchNumber); err != nil {
			c.refuse("ack: %s", err)
		}
	default:
		if err := o.nack(c.id, m.BatchNumber, m.Message); err != nil {
			c.refuse("%s: %s", kind, err)
		}
	}
}
