package ws

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// topic is what the hub knows of a stream.
type topic struct {
	id, name  string
	owner     owner                // nil while the stream's sink is not open here
	listeners map[uint64]listening // by connection
}

// Open implements sink.Factory. Clients that already listen to the stream are its receivers at once.
func (s *Server) Open(_ context.Context, st sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	mode, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("websocket sink of stream %q: %w", st.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(st.ID)
	if t.owner != nil {
		return nil, fmt.Errorf("stream %q already has a websocket sink", st.Name)
	}
	s.rename(t, st.Name)
	if mode == apitypes.Broadcast {
		t.owner = newCopies(st, s, s.opts.AckTimeout, s.opts.Now)
	} else {
		t.owner = newLanes(st, s, s.opts.AckTimeout, s.opts.Now, mode == apitypes.LoadBalance)
	}
	for id, l := range t.listeners {
		t.owner.join(id, l)
	}
	return t.owner, nil
}

// closed forgets an owner.
func (s *Server) closed(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[id]; t != nil {
		t.owner = nil
		s.prune(t)
	}
}

// topic returns a topic, new if there is none. The caller holds mu.
func (s *Server) topic(id string) *topic {
	t := s.topics[id]
	if t == nil {
		t = &topic{id: id, listeners: make(map[uint64]listening)}
		s.topics[id] = t
	}
	return t
}

// prune forgets a topic that nobody needs. The caller holds mu.
func (s *Server) prune(t *topic) {
	if t.owner == nil && len(t.listeners) == 0 {
		delete(s.topics, t.id)
		s.unname(t)
	}
}

// unname takes a topic's name away. The caller holds mu.
func (s *Server) unname(t *topic) {
	if s.names[t.name] == t.id {
		delete(s.names, t.name)
	}
}

// rename notes what a stream is called now. Who listens to it under another name is told, and hears no more of it: that name may soon be
// another stream's. The caller holds mu.
func (s *Server) rename(t *topic, name string) {
	if t.name == name {
		return
	}
	s.unname(t)
	if other := s.topics[s.names[name]]; other != nil { // it has been renamed, too, and will be opened under its new name
		s.endAll(other, "stream %q was renamed: listen to it under its new name, or by its id", func(l listening) bool { return l.name == name })
		other.name = ""
	}
	t.name, s.names[name] = name, t.id
	s.endAll(t, "stream %q was renamed: listen to it under its new name, or by its id", func(l listening) bool { return l.name != t.id && l.name != name })
}

// endAll ends the listening of some connections and tells each why; format takes what it calls the stream. The caller holds mu.
func (s *Server) endAll(t *topic, format string, which func(listening) bool) {
	for id, l := range t.listeners {
		if !which(l) {
			continue
		}
		if c := s.connection(id); c != nil {
			if o := s.endOne(t, c); o != nil {
				o.leave(c.id)
			}
			c.turnAway(l.name, format, l.name)
		}
	}
}

// endOne ends the listening of a connection. It returns who has to be told that the connection left. The caller holds mu.
func (s *Server) endOne(t *topic, c *conn) owner {
	delete(t.listeners, c.id)
	delete(c.streams, t.id)
	return t.owner
}

// find returns the topic of a stream that a client calls so, nil if none is known here. The caller holds mu.
func (s *Server) find(name string) *topic {
	if t := s.topics[name]; t != nil {
		return t
	}
	return s.topics[s.names[name]]
}

// listen makes a connection a receiver of a stream.
func (s *Server) listen(ctx context.Context, c *conn, l listening) {
	s.mu.Lock()
	t := s.find(l.name)
	if t != nil && t.owner != nil {
		defer s.mu.Unlock()
		s.join(t, c, l)
		return
	}
	full := ""
	if t == nil || !t.has(c) {
		full = s.full(c)
	}
	s.mu.Unlock()
	if full != "" { // nothing need be looked up
		c.turnAway(l.name, "%s", full)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	st, kind, err := s.opts.Find(ctx, l.name)
	switch {
	case err != nil:
		// Not an error frame: nobody would listen again after that. A client that has lost its connection does.
		s.opts.Log.WithError(err).WithField("stream", clip(l.name)).Warn("A stream cannot be looked up")
		c.kill(websocket.CloseTryAgainLater, "streams cannot be looked up now")
		return
	case kind == "":
		c.turnAway(l.name, "listen: there is no stream %q", l.name)
		return
	case kind != apitypes.StreamWebSocket:
		c.turnAway(l.name, "listen: stream %q is of type %s: only streams of type %s can be listened to", l.name, kind, apitypes.StreamWebSocket)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t = s.topic(st.ID)
	defer s.prune(t)
	if t.owner == nil {
		s.rename(t, st.Name)
	}
	if l.name != t.id && l.name != t.name {
		c.turnAway(l.name, "listen: there is no stream %q", l.name) // it has just been renamed
		return
	}
	s.join(t, c, l)
}

// join adds a connection to a topic. The caller holds mu.
func (s *Server) join(t *topic, c *conn, l listening) {
	old, again := t.listeners[c.id]
	switch {
	case !again && s.full(c) != "":
		c.turnAway(l.name, "%s", s.full(c))
		return
	case again && old.acks != l.acks:
		c.refuse("listen: this connection listens to stream %q with acks %t: unlisten first to change that", l.name, old.acks)
		return
	}
	t.listeners[c.id] = l
	c.streams[t.id] = struct{}{}
	if t.owner != nil {
		t.owner.join(c.id, l)
	}
}

func (t *topic) has(c *conn) bool {
	_, listening := t.listeners[c.id]
	return listening
}

// full says why a connection cannot listen to a further stream, "" if it can. The caller holds mu.
func (s *Server) full(c *conn) string {
	if len(c.streams) < s.opts.MaxTopics {
		return ""
	}
	return fmt.Sprintf("listen: this connection listens to %d streams, which is the limit", s.opts.MaxTopics)
}

// unlisten ends what listen began. It says whether the connection listened.
func (s *Server) unlisten(c *conn, name string) bool {
	s.mu.Lock()
	t := s.find(name)
	var listening bool
	var o owner
	if t != nil {
		if _, listening = t.listeners[c.id]; listening {
			o = s.endOne(t, c)
			s.prune(t)
		}
	}
	s.mu.Unlock()
	if o != nil {
		o.leave(c.id)
	}
	return listening
}

// unlistenAll ends all listening of a connection.
func (s *Server) unlistenAll(c *conn) {
	var owners []owner
	s.mu.Lock()
	for id := range c.streams {
		t := s.topics[id]
		if o := s.endOne(t, c); o != nil {
			owners = append(owners, o)
		}
		s.prune(t)
	}
	s.mu.Unlock()
	for _, o := range owners {
		o.leave(c.id)
	}
}

// ownerOf returns the owner of a stream that a connection listens to, nil if the stream's sink is not open.
func (s *Server) ownerOf(c *conn, name string) (id string, o owner, listening bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.find(name)
	if t == nil {
		return "", nil, false
	}
	_, listening = t.listeners[c.id]
	return t.id, t.owner, listening
}

// written tells a stream that a batch was written to a connection.
func (s *Server) written(conn uint64, streamID string, number int64) {
	s.mu.Lock()
	var o owner
	if t := s.topics[streamID]; t != nil {
		o = t.owner
	}
	s.mu.Unlock()
	if o != nil {
		o.written(conn, number)
	}
}

// expire lets the owners look for batches that were not acknowledged in time.
func (s *Server) expire() {
	s.mu.Lock()
	owners := make([]owner, 0, len(s.topics))
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

// findOrphans tells clients that listen to streams which are gone, or deliver in another way now.
func (s *Server) findOrphans(ctx context.Context) {
	var orphans []string
	s.mu.Lock()
	for id, t := range s.topics {
		if t.owner == nil {
			orphans = append(orphans, id)
		}
	}
	s.mu.Unlock()
	for _, id := range orphans {
		if err := s.findOrphan(ctx, id); err != nil {
			s.opts.Log.WithError(err).WithField("stream", id).Warn("A stream cannot be looked up")
			return // nor can the others; the next round is soon
		}
	}
}

func (s *Server) findOrphan(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	_, kind, err := s.opts.Find(ctx, id)
	if err != nil || kind == apitypes.StreamWebSocket {
		return err
	}
	why := "stream %q was deleted"
	if kind != "" {
		why = "stream %q is of type " + kind + " now, and cannot be listened to"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[id]; t != nil && t.owner == nil {
		s.endAll(t, why, func(listening) bool { return true })
		s.prune(t)
	}
	return nil
}
