package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	readBuffer  = 4 << 10
	writeBuffer = 64 << 10 // a batch that fits goes out as one frame; it is borrowed only while writing
)

// Server is the hub: it keeps the connections, and is the factory of the sinks of type websocket. It is a lifecycle.Service.
type Server struct {
	opts     Options
	group    lifecycle.Group
	upgrader websocket.Upgrader

	// mu is taken before an owner's lock; connMu after it.
	mu     sync.Mutex
	topics map[string]*topic // guarded by mu; by name of the stream

	connMu  sync.RWMutex
	conns   map[uint64]*conn // guarded by connMu
	replies map[uint64]*conn // guarded by connMu; those of them that asked for replies
	ids     uint64           // guarded by connMu; of the newest connection
}

// topic is what the hub knows of a stream.
type topic struct {
	owner     *owner         // nil while the stream's sink is not open here
	listeners map[uint64]int // window by connection
}

// New makes a server. It takes connections once it is started.
func New(opts Options) *Server {
	opts.complete()
	s := &Server{opts: opts, conns: make(map[uint64]*conn), replies: make(map[uint64]*conn), topics: make(map[string]*topic)}
	s.upgrader = websocket.Upgrader{
		ReadBufferSize: readBuffer, WriteBufferSize: writeBuffer, WriteBufferPool: &sync.Pool{},
		HandshakeTimeout: opts.WriteTimeout, CheckOrigin: s.originAllowed,
	}
	return s
}

// Type implements sink.Factory.
func (s *Server) Type() string { return apitypes.StreamWebSocket }

// Path is where the server is mounted.
func (s *Server) Path() string { return "/ws" }

// Validate implements sink.Factory.
func (s *Server) Validate(cfg json.RawMessage) (json.RawMessage, error) { return validate(cfg) }

// Open implements sink.Factory. Clients that already listen to a stream of that name are its receivers at once.
func (s *Server) Open(_ context.Context, st sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	if _, err := validate(cfg); err != nil {
		return nil, fmt.Errorf("websocket sink of stream %q: %w", st.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(st.Name)
	if t.owner != nil {
		return nil, fmt.Errorf("stream %q already has a websocket sink", st.Name)
	}
	t.owner = newOwner(st.Name, s, s.opts.AckTimeout, s.opts.Now)
	for id, window := range t.listeners {
		t.owner.join(id, window)
	}
	return t.owner, nil
}

// Start begins to take connections.
func (s *Server) Start(ctx context.Context) error {
	if err := s.group.Start(ctx); err != nil {
		return err
	}
	s.group.Go("ack timeouts", s.sweep)
	return nil
}

// Stop closes all connections.
func (s *Server) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// sweep looks for batches that were not acknowledged in time.
func (s *Server) sweep(ctx context.Context) {
	ticker := time.NewTicker(max(time.Millisecond, min(time.Second, s.opts.AckTimeout/4)))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		owners := make([]*owner, 0, len(s.topics))
		for _, t := range s.topics {
			if t.owner != nil {
				owners = append(owners, t.owner)
			}
		}
		s.mu.Unlock()
		for _, o := range owners {
			o.expire()
		}
	}
}

// ServeHTTP makes a connection of a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.connMu.RLock()
	full := len(s.conns) >= maxConnections
	s.connMu.RUnlock()
	if full || s.group.Context().Err() != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no further connections are taken now", http.StatusServiceUnavailable)
		return
	}
	socket, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.opts.Log.WithError(err).Debug("WebSocket handshake failed")
		return // Upgrade has answered
	}
	s.connMu.Lock()
	s.ids++
	c := newConn(s.ids, socket, s)
	s.conns[c.id] = c
	s.connMu.Unlock()
	reading := s.group.Go("websocket reader", c.read)
	if !reading || !s.group.Go("websocket writer", c.write) {
		c.kill(websocket.CloseGoingAway, "the server is stopping")
		_ = socket.Close() // nobody may be left to do it; closing twice is harmless
	}
	if !reading {
		s.dropped(c)
	}
}

func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(s.opts.Origins, "*") || slices.Contains(s.opts.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// listenReplies makes a connection one that hears what became of transactions.
func (s *Server) listenReplies(c *conn) {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	s.replies[c.id] = c
}

// WantsReplies says whether any client asked for replies.
func (s *Server) WantsReplies() bool {
	s.connMu.RLock()
	defer s.connMu.RUnlock()
	return len(s.replies) > 0
}

// Reply sends a frame to every client that asked for replies. All of them share it, so it must not change. It never blocks; a client
// that does not keep up is cut off.
func (s *Server) Reply(frame []byte) {
	var over []uint64
	s.connMu.RLock()
	for id, c := range s.replies {
		if !c.reply(frame) {
			over = append(over, id)
		}
	}
	s.connMu.RUnlock()
	if over == nil {
		return
	}
	s.connMu.Lock()
	defer s.connMu.Unlock()
	for _, id := range over {
		delete(s.replies, id)
	}
}

// deliver passes a frame from an owner to a connection. One that is gone has told, or will tell, the owner.
func (s *Server) deliver(to uint64, f frame) {
	s.connMu.RLock()
	c := s.conns[to]
	s.connMu.RUnlock()
	if c != nil {
		c.enqueue(f)
	}
}

// closed forgets an owner.
func (s *Server) closed(o *owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[o.name]; t != nil && t.owner == o {
		t.owner = nil
		s.prune(o.name, t)
	}
}

// topic returns a topic, new if there is none. The caller holds mu.
func (s *Server) topic(name string) *topic {
	t := s.topics[name]
	if t == nil {
		t = &topic{listeners: make(map[uint64]int)}
		s.topics[name] = t
	}
	return t
}

// prune forgets a topic that nobody needs. The caller holds mu.
func (s *Server) prune(name string, t *topic) {
	if t.owner == nil && len(t.listeners) == 0 {
		delete(s.topics, name)
	}
}

// known says whether there is a stream of that name.
func (s *Server) known(ctx context.Context, name string) bool {
	s.mu.Lock()
	t := s.topics[name]
	known := t != nil && t.owner != nil
	s.mu.Unlock()
	if known {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, existsTimeout)
	defer cancel()
	return s.opts.Exists(ctx, name)
}

// listen makes a connection a receiver of a stream.
func (s *Server) listen(c *conn, name string, window int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(name)
	t.listeners[c.id] = window
	if t.owner != nil {
		t.owner.join(c.id, window)
	}
}

// unlisten ends that.
func (s *Server) unlisten(c *conn, name string) {
	s.mu.Lock()
	t := s.topics[name]
	var o *owner
	if t != nil {
		o = t.owner
		delete(t.listeners, c.id)
		s.prune(name, t)
	}
	s.mu.Unlock()
	if o != nil {
		o.leave(c.id)
	}
}

// ownerOf returns the owner of a stream that a connection listens to, nil if it does not or the stream's sink is not open.
func (s *Server) ownerOf(c *conn, name string) (o *owner, listening bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		return nil, false
	}
	_, listening = t.listeners[c.id]
	return t.owner, listening
}

// dropped forgets a connection that has ended.
func (s *Server) dropped(c *conn) {
	s.connMu.Lock()
	delete(s.conns, c.id)
	delete(s.replies, c.id)
	s.connMu.Unlock()
	for name := range c.topics {
		s.unlisten(c, name)
	}
}
