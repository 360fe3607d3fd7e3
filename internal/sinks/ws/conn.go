package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

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

	// Of a batch.
	stream string // its id
	number int64
	tell   bool // the stream wants to know that it was written
	again  bool // the connection was sent this number before
}

// conn is one connection. One goroutine reads and one writes.
type conn struct {
	id     uint64
	socket *websocket.Conn
	server *Server

	streams map[string]struct{} // guarded by server.mu; ids of those it listens to

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
	return &conn{id: id, socket: socket, server: s, streams: make(map[string]struct{}), dead: make(chan struct{}), wake: make(chan struct{}, 1)}
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
	c.complain(apitypes.ServerError{}, format, args...)
}

// turnAway tells the client why it does not listen to a stream.
func (c *conn) turnAway(stream, format string, args ...any) {
	c.complain(apitypes.ServerError{Stream: clip(stream), Unlistened: true}, format, args...)
}

// refuseOf is refuse, or turnAway if the client asked to listen to a stream that it does not listen to already.
func (c *conn) refuseOf(kind, stream, format string, args ...any) {
	if kind == "listen" {
		if _, _, listening := c.server.ownerOf(c, stream); !listening {
			c.turnAway(stream, format, args...)
			return
		}
	}
	c.refuse(format, args...)
}

func (c *conn) complain(e apitypes.ServerError, format string, args ...any) {
	e.Type, e.Message = "error", clip(fmt.Sprintf(format, args...))
	b, err := json.Marshal(e)
	if err != nil { // cannot be: texts and a truth value
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

// push leaves a frame to the writer. Batches are bounded by the owner's window.
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
			if c.ping() != nil {
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
			if err := c.writeOne(&batch[i], ping.C); err != nil {
				c.server.opts.Log.WithError(err).WithField("connection", c.id).Debug("Writing to a WebSocket failed")
				return
			}
			batch[i] = frame{} // what was written need not be kept until the rest is
		}
	}
}

// writeOne sends a frame, and a ping before it when it is time: a client that reads a long backlog slowly must not be taken for dead.
func (c *conn) writeOne(f *frame, ping <-chan time.Time) error {
	select {
	case <-ping:
		if err := c.ping(); err != nil {
			return err
		}
	default:
	}
	if err := c.send(f); err != nil {
		return err
	}
	c.sent(f)
	return nil
}

func (c *conn) ping() error {
	return c.socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.server.opts.WriteTimeout))
}

// unsent says whether a batch waits to be written for the first time. An answer to it does not count: a client that answered without reading would fill the memory.
func (c *conn) unsent(stream string, number int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.out, func(f frame) bool { return f.number == number && f.stream == stream && !f.again })
}

// sent is told what was written.
func (c *conn) sent(f *frame) {
	if f.reply {
		c.mu.Lock()
		c.replyBytes -= len(f.body)
		c.mu.Unlock()
	}
	if f.tell {
		c.server.written(c.id, f.stream, f.number)
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
		var m apitypes.ClientMessage
		switch {
		case kind != websocket.TextMessage:
			c.refuse("binary messages are not understood: send JSON as text")
		case !utf8.Valid(raw):
			c.refuse("the message is not understood: text must be valid UTF-8")
		default:
			if err := json.Unmarshal(raw, &m); err != nil {
				c.refuse("the message is not understood: %s", err)
				continue
			}
			c.handle(ctx, &m)
		}
	}
}

// handle does what a client asks for.
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
			c.refuseOf(kind, name, "%s: stream is missing: give the name of the stream, or its id", kind)
			return
		}
		if len(name) > maxNameLength {
			c.refuseOf(kind, name, "%s: the name of the stream has %d bytes: it may have %d", kind, len(name), maxNameLength)
			return
		}
		if strings.ContainsFunc(name, unicode.IsControl) { // not every database can be asked for it
			c.refuseOf(kind, name, "%s: there is no stream %q: names have no control characters", kind, name)
			return
		}
	default:
		c.refuse("type %q is not understood: it must be listen, unlisten, listenreplies, ack, nack or error", m.Type)
		return
	}
	switch kind {
	case "listen":
		if m.Window < 0 || m.Window > maxWindow {
			c.refuseOf(kind, name, "listen: window is %d: it must be 1 to %d", m.Window, maxWindow)
			return
		}
		c.server.listen(ctx, c, listening{name: name, window: max(1, m.Window), acks: m.Acks, voids: m.Voids})
	case "unlisten":
		if !c.server.unlisten(c, name) {
			c.refuse("unlisten: this connection does not listen to stream %q", name)
		}
	default:
		c.answer(kind, name, m)
	}
}

// answer handles an acknowledgement or a refusal.
func (c *conn) answer(kind, name string, m *apitypes.ClientMessage) {
	id, o, listening := c.server.ownerOf(c, name)
	var err error
	switch {
	case !listening:
		err = fmt.Errorf("this connection does not listen to stream %q", name)
	case kind == "ack" && m.BatchNumber == nil:
		err = errors.New("batchNumber is missing: give the number of the batch")
	case o == nil:
		err = fmt.Errorf("stream %q has nothing in flight", name)
	default:
		err = c.answerTo(o, id, kind, name, m)
	}
	if err != nil {
		c.refuse("%s: %s", kind, err)
	}
	if o == nil && kind != "ack" {
		c.nothingLeft(name, m)
	}
}

// nothingLeft answers a refusal where nothing is in flight.
func (c *conn) nothingLeft(name string, m *apitypes.ClientMessage) {
	if m.Reply {
		c.push(encodeNacked(name, m.BatchNumber, nil))
	}
}

func (c *conn) answerTo(o owner, id, kind, name string, m *apitypes.ClientMessage) error {
	var number int64
	if m.BatchNumber != nil {
		number = *m.BatchNumber
	} else {
		var ok bool
		if number, ok = o.oldest(c.id); !ok {
			c.nothingLeft(name, m)
			return fmt.Errorf("stream %q has nothing in flight to this connection", name)
		}
	}
	if c.unsent(id, number) {
		return fmt.Errorf("batch %d of stream %q was not sent to this connection yet", number, name)
	}
	if kind == "ack" {
		return o.ack(c.id, number)
	}
	n := refusal{number: number, message: m.Message}
	if m.Reply {
		n.replyAs = name
	}
	return o.nack(c.id, n)
}
