package ws

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
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
	topics map[string]*topic // guarded by mu; by id of the stream
	names  map[string]string // guarded by mu; ids of the topics by name

	connMu    sync.RWMutex
	conns     map[uint64]*conn // guarded by connMu
	replies   map[uint64]*conn // guarded by connMu; those of them that asked for replies
	ids       uint64           // guarded by connMu; of the newest connection
	upgrading int              // guarded by connMu; connections that are being made
}

// New makes a server. It takes connections once it is started.
func New(opts Options) *Server {
	opts.complete()
	s := &Server{opts: opts, conns: make(map[uint64]*conn), replies: make(map[uint64]*conn), topics: make(map[string]*topic), names: make(map[string]string)}
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

// Start begins to take connections.
func (s *Server) Start(ctx context.Context) error {
	if err := s.group.Start(ctx); err != nil {
		return err
	}
	every := max(time.Millisecond, min(time.Second, s.opts.AckTimeout/4))
	s.group.Go("ack timeouts", func(ctx context.Context) { sweep(ctx, every, func(context.Context) { s.expire() }) })
	s.group.Go("streams that are gone", func(ctx context.Context) { sweep(ctx, every, s.findOrphans) })
	return nil
}

// Stop closes all connections.
func (s *Server) Stop(ctx context.Context) error { return s.group.Stop(ctx) }

// sweep does something now and then.
func sweep(ctx context.Context, every time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// ServeHTTP makes a connection of a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.group.Context().Err() != nil || !s.reserve() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no further connections are taken now", http.StatusServiceUnavailable)
		return
	}
	socket, err := s.upgrader.Upgrade(w, r, nil)
	s.connMu.Lock()
	s.upgrading--
	if err != nil {
		s.connMu.Unlock()
		s.opts.Log.WithError(err).Debug("WebSocket handshake failed")
		return // Upgrade has answered
	}
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

// reserve takes one of the places for connections.
func (s *Server) reserve() bool {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	if len(s.conns)+s.upgrading >= s.opts.MaxConnections {
		return false
	}
	s.upgrading++
	return true
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
	if c := s.connection(to); c != nil {
		c.push(f)
	}
}

// cutOff ends a connection that keeps others waiting.
func (s *Server) cutOff(conn uint64, reason string) {
	if c := s.connection(conn); c != nil {
		c.kill(websocket.CloseTryAgainLater, reason)
	}
}

// connection returns a connection, nil if it has ended.
func (s *Server) connection(id uint64) *conn {
	s.connMu.RLock()
	defer s.connMu.RUnlock()
	return s.conns[id]
}

// dropped forgets a connection that has ended.
func (s *Server) dropped(c *conn) {
	s.connMu.Lock()
	delete(s.conns, c.id)
	delete(s.replies, c.id)
	s.connMu.Unlock()
	s.unlistenAll(c)
}
