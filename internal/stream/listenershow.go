package stream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Listener returns a listener with its stored checkpoint or, before it has one, its start. stream may be "" for any.
func (m *Manager) Listener(ctx context.Context, stream, listener string) (*apitypes.ListenerWithStatus, error) {
	l, err := m.findListener(ctx, stream, listener)
	if err != nil {
		return nil, err
	}
	list, err := m.listenersWithStatus(ctx, []*store.Listener{l})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// listenersWithStatus says of listeners what they are doing.
func (m *Manager) listenersWithStatus(ctx context.Context, listeners []*store.Listener) ([]*apitypes.ListenerWithStatus, error) {
	stored := make(map[string]store.Checkpoint)
	asked := make(map[string]bool)
	list := make([]*apitypes.ListenerWithStatus, 0, len(listeners))
	for _, l := range listeners {
		if !asked[l.StreamID] {
			asked[l.StreamID] = true
			cps, err := m.opts.Store.Checkpoints(ctx, l.StreamID)
			if err != nil {
				return nil, fmt.Errorf("checkpoints of stream %s: %w", l.StreamID, err)
			}
			for _, cp := range cps {
				stored[cp.Listener] = cp
			}
		}
		at, ok := stored[l.ID]
		if !ok {
			at.Cursor = l.Resolved.Start
		}
		one, err := m.listenerStatus(l, at)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// listenerStatus is a listener whose durable position is at.
func (m *Manager) listenerStatus(l *store.Listener, at store.Checkpoint) (*apitypes.ListenerWithStatus, error) {
	body, err := listenerBody(l)
	if err != nil {
		return nil, err
	}
	out := &apitypes.ListenerWithStatus{Listener: *body, Complete: complete(l, at.Cursor), Checkpoint: checkpointBody(l, at.Cursor, at.Block.Hash)}
	if s, err := m.find(l.StreamID); err == nil {
		s.look(l, out)
	}
	return out, nil
}

// index is the place of a listener in a run.
func (r *run) index(l *store.Listener) (int, bool) {
	return slices.BinarySearchFunc(r.listeners, l.Seq, func(l *store.Listener, seq int64) int { return cmp.Compare(l.Seq, seq) })
}

// look adds what only a run knows.
func (s *stream) look(l *store.Listener, out *apitypes.ListenerWithStatus) {
	s.mu.Lock()
	w := s.worker
	s.mu.Unlock()
	if w == nil {
		return
	}
	r := w.run.Load()
	if r == nil {
		out.Catchup = !out.Complete // it has not begun yet
		return
	}
	i, known := r.index(l)
	if !known {
		out.Catchup = !out.Complete // it is new
		return
	}
	out.Complete = out.Complete || l.ToBlock != nil && complete(l, r.delivery.position(i).Cursor)
	out.Catchup = !out.Complete && !r.caughtUp[i].Load()
}

// Listeners lists the listeners of a stream, or of all if stream is "", with their positions, in the order of their creation; after is the id of the last
// one of the page before.
func (m *Manager) Listeners(ctx context.Context, stream string, limit int, after string) ([]*apitypes.ListenerWithStatus, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	in, err := m.streamID(stream)
	if err != nil {
		return nil, err
	}
	var seq int64
	if after != "" {
		l, err := m.findListener(ctx, stream, after)
		if err != nil {
			return nil, err
		}
		seq = l.Seq
	}
	page, err := m.opts.Store.Listeners(ctx, in, seq, limit)
	if err != nil {
		return nil, fmt.Errorf("listeners: %w", err)
	}
	return m.listenersWithStatus(ctx, page)
}

// listenerBody is a listener as the API shows it.
func listenerBody(l *store.Listener) (*apitypes.Listener, error) {
	id, err := parseID(l.ID)
	if err != nil {
		return nil, fmt.Errorf("id of listener %q: %w", l.ID, err)
	}
	in, err := parseID(l.StreamID)
	if err != nil {
		return nil, fmt.Errorf("stream of listener %q: %w", l.ID, err)
	}
	name, kind, signature, from := l.Name, l.Type, l.Resolved.Signature, apitypes.BlockNumber(l.FromBlock)
	var to *apitypes.EndBlock
	if l.ToBlock != nil {
		n := apitypes.EndBlock(strconv.FormatUint(*l.ToBlock, 10))
		to = &n
	}
	return &apitypes.Listener{
		ID: id, Created: fftime(l.Created), Updated: fftime(l.Updated), Name: &name, Type: &kind, Stream: in,
		Filters: l.Filters, Options: l.Options, Where: given(l.Where), Transform: given(l.Transform), FromBlock: &from, ToBlock: to, Signature: &signature,
		ManagedBy: managedBy(l.DeclaredFrom != ""), Undeclared: l.Undeclared,
	}, nil
}

// given is a text that is left out when it is empty.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
