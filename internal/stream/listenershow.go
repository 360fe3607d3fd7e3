package stream

import (
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
	body, err := listenerBody(l)
	if err != nil {
		return nil, err
	}
	cps, err := m.opts.Store.Checkpoints(ctx, l.StreamID)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of listener %s: %w", l.ID, err)
	}
	at := store.Checkpoint{Cursor: l.Resolved.Start}
	for _, cp := range cps {
		if cp.Listener == l.ID {
			at = cp
		}
	}
	out := &apitypes.ListenerWithStatus{Listener: *body, Checkpoint: &apitypes.ListenerCheckpoint{
		Block: at.Cursor.Block, TransactionIndex: at.Cursor.Tx, LogIndex: at.Cursor.Log, BlockHash: at.Block.Hash,
	}}
	if l.Type == apitypes.ListenerTransactions {
		out.Checkpoint = &apitypes.ListenerCheckpoint{Sequence: strconv.FormatInt(lastBefore(at.Cursor), 10)}
	}
	if s, err := m.find(l.StreamID); err == nil {
		out.Catchup = s.catchingUp(l.ID)
	}
	return out, nil
}

// catchingUp says whether a listener of a running stream has not been at the safe head yet.
func (s *stream) catchingUp(listener string) bool {
	s.mu.Lock()
	w := s.worker
	s.mu.Unlock()
	if w == nil {
		return false
	}
	r := w.run.Load()
	if r == nil {
		return false
	}
	i := slices.IndexFunc(r.listeners, func(l *store.Listener) bool { return l.ID == listener })
	return i < 0 || !r.caughtUp[i].Load() // one that the run does not know is new
}

// Listeners lists the listeners of a stream, or of all if stream is "", in the order of their creation; after is the id of the last
// one of the page before.
func (m *Manager) Listeners(ctx context.Context, stream string, limit int, after string) ([]*apitypes.Listener, error) {
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
	list := make([]*apitypes.Listener, 0, len(page))
	for _, l := range page {
		body, err := listenerBody(l)
		if err != nil {
			return nil, err
		}
		list = append(list, body)
	}
	return list, nil
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
	return &apitypes.Listener{
		ID: id, Created: fftime(l.Created), Updated: fftime(l.Updated), Name: &name, Type: &kind, Stream: in,
		Filters: l.Filters, Options: l.Options, Where: given(l.Where), Transform: given(l.Transform), FromBlock: &from, Signature: &signature,
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
