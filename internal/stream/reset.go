package stream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// move is one listener of a reset.
type move struct {
	to   *store.Listener // as it will be
	from ffcapi.Cursor   // where it stands
}

// ResetListener discards a listener's checkpoint and delivers from fromBlock, which the request may change. Everything else is as in
// UpdateListener. A dry run changes nothing and counts the events between the two positions, within limits.
func (m *Manager) ResetListener(ctx context.Context, in, listener string, body *apitypes.Listener, dryRun bool) (*apitypes.ListenerReset, error) {
	if body == nil {
		body = &apitypes.Listener{}
	}
	if dryRun {
		s, old, err := m.locateListener(ctx, in, listener)
		if err != nil {
			return nil, err
		}
		l, err := m.reset(ctx, s, old, body)
		if err != nil {
			return nil, err
		}
		answer, err := m.foresee(ctx, s, []*move{{to: l}})
		if err != nil {
			return nil, err
		}
		return answer.Listeners[0], nil
	}
	s, _, l, release, err := m.redefine(ctx, in, listener, func(s *stream, old *store.Listener) (*store.Listener, error) {
		return m.reset(ctx, s, old, body)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	moves := []*move{{to: l}}
	if err := m.carryOut(ctx, s, moves); err != nil {
		return nil, taken(err, "listener", l.Name)
	}
	return resetBody(moves[0])
}

// ResetStream resets all listeners of a stream at once, to a fromBlock or, without one, each to where it began.
func (m *Manager) ResetStream(ctx context.Context, stream string, body *apitypes.StreamResetRequest, dryRun bool) (*apitypes.StreamReset, error) {
	one := &apitypes.Listener{}
	if body != nil {
		one.FromBlock = body.FromBlock
	}
	s, err := m.find(stream)
	if err != nil {
		return nil, err
	}
	for {
		before, err := m.storedListeners(ctx, s.id)
		if err != nil {
			return nil, err
		}
		moves, err := m.resetAll(ctx, s, before, one) // without the token, as in redefine
		if err != nil {
			return nil, err
		}
		if dryRun {
			return m.foresee(ctx, s, moves)
		}
		answer, done, err := m.resetIfUnchanged(ctx, s, before, moves)
		if done || err != nil {
			return answer, err
		}
	}
}

// resetAll is the listeners of a stream as they will be after a reset.
func (m *Manager) resetAll(ctx context.Context, s *stream, all []*store.Listener, body *apitypes.Listener) ([]*move, error) {
	var moves []*move
	for _, old := range all {
		if old.Undeclared {
			continue
		}
		if kindOf(old) == ofChanges && !isWord(body.FromBlock) {
			return nil, apitypes.Invalidf("fromBlock", `give "earliest" or "latest", or reset the listeners one by one`,
				"is %q, which means nothing to listener %q of type %q", *body.FromBlock, old.Name, old.Type)
		}
		l, err := m.reset(ctx, s, old, body)
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", old.Name, err)
		}
		moves = append(moves, &move{to: l})
	}
	return moves, nil
}

// resetIfUnchanged carries out a reset of all listeners of a stream, unless somebody has changed them.
func (m *Manager) resetIfUnchanged(ctx context.Context, s *stream, before []*store.Listener, moves []*move) (answer *apitypes.StreamReset, done bool, err error) {
	_, release, err := m.change(ctx, s.id)
	if err != nil {
		return nil, false, err
	}
	defer release()
	now, err := m.storedListeners(ctx, s.id)
	if err != nil || !slices.EqualFunc(before, now, unchanged) {
		return nil, false, err
	}
	if err := m.carryOut(ctx, s, moves); err != nil {
		return nil, false, err
	}
	answer, err = resetBodies(moves)
	return answer, true, err
}

// isWord says that a start means the same to listeners of all types.
func isWord(from *apitypes.BlockNumber) bool {
	return from == nil || strings.EqualFold(string(*from), apitypes.FromBlockEarliest) || strings.EqualFold(string(*from), apitypes.FromBlockLatest)
}

// reset is a listener as it will be after a reset. One that began at the latest block goes back to the block that was the latest then, unless
// the request says something else.
func (m *Manager) reset(ctx context.Context, s *stream, old *store.Listener, body *apitypes.Listener) (*store.Listener, error) {
	l, err := m.changed(old, body)
	if err != nil {
		return nil, err
	}
	if err := onlyFrom(s.current(), old, l); err != nil {
		return nil, err
	}
	back := body.FromBlock == nil && strings.EqualFold(old.FromBlock, apitypes.FromBlockLatest)
	from := l.FromBlock
	if back && kindOf(old) == ofChanges {
		from = strconv.FormatInt(lastBefore(old.Resolved.Start), 10)
	}
	if err := m.resolveAgain(ctx, old, l, from); err != nil {
		return nil, err
	}
	if back && old.Resolved.Start.Before(l.Resolved.Start) { // else this is another chain, which is shorter
		l.Resolved.Start = old.Resolved.Start
	}
	return l, checkEnd(l)
}

// carryOut moves listeners. It notes where they stood. The caller holds the token.
func (m *Manager) carryOut(ctx context.Context, s *stream, moves []*move) error {
	now := m.opts.Now()
	return s.restart(ctx, func() error {
		ctx := context.WithoutCancel(ctx)
		if err := m.locate(ctx, s, moves); err != nil {
			return err
		}
		list := make([]*store.Listener, len(moves))
		for i, mv := range moves {
			mv.to.Updated = now
			list[i] = mv.to
		}
		if err := m.opts.Store.ResetCheckpoints(ctx, m.opts.Fence(), list); err != nil {
			return err
		}
		for _, mv := range moves {
			s.stats.resets.Add(1)
			m.opts.Log.WithField("stream", s.id).WithField("listener", mv.to.ID).WithField("from", mv.from.String()).
				WithField("to", mv.to.Resolved.Start.String()).Info("Listener reset")
		}
		return nil
	})
}

// locate says where listeners stand: what is delivered, as far as it is durable or this process knows.
func (m *Manager) locate(ctx context.Context, s *stream, moves []*move) error {
	cps, err := m.opts.Store.Checkpoints(ctx, s.id)
	if err != nil {
		return fmt.Errorf("checkpoints of stream %s: %w", s.id, err)
	}
	stored := make(map[string]ffcapi.Cursor, len(cps))
	for _, cp := range cps {
		stored[cp.Listener] = cp.Cursor
	}
	for _, mv := range moves {
		at, ok := stored[mv.to.ID]
		if !ok {
			l, err := m.opts.Store.Listener(ctx, mv.to.ID)
			if err != nil {
				return err
			}
			at = l.Resolved.Start
		}
		if live, ok := s.liveAt(mv.to); ok && at.Before(live) {
			at = live
		}
		mv.from = at
	}
	return nil
}

// liveAt is where a listener of a running stream stands.
func (s *stream) liveAt(l *store.Listener) (ffcapi.Cursor, bool) {
	s.mu.Lock()
	w := s.worker
	s.mu.Unlock()
	if w == nil {
		return ffcapi.Cursor{}, false
	}
	r := w.run.Load()
	if r == nil {
		return ffcapi.Cursor{}, false
	}
	i, known := r.index(l)
	if !known {
		return ffcapi.Cursor{}, false
	}
	return r.delivery.position(i).Cursor, true
}

// foresee is the answer to a dry run.
func (m *Manager) foresee(ctx context.Context, s *stream, moves []*move) (*apitypes.StreamReset, error) {
	if err := m.locate(ctx, s, moves); err != nil {
		return nil, err
	}
	answer, err := resetBodies(moves)
	if err != nil {
		return nil, err
	}
	answer.DryRun = true
	e, cancel := newEffort(ctx)
	defer cancel()
	for i, mv := range moves {
		from, to := mv.to.Resolved.Start, mv.from
		if to.Before(from) {
			from, to = to, from
		}
		n, all, err := m.count(ctx, e, s.current(), mv.to, from, to)
		if err != nil {
			return nil, fmt.Errorf("counting the events of listener %q: %w", mv.to.Name, err)
		}
		r := answer.Listeners[i].Reset
		r.DryRun, r.Events, r.AtLeast = true, &n, !all
		answer.AtLeast = answer.AtLeast || !all
		if r.Skips {
			answer.PassedOver += n
		} else {
			answer.Again += n
		}
	}
	return answer, nil
}

func resetBodies(moves []*move) (*apitypes.StreamReset, error) {
	answer := &apitypes.StreamReset{Listeners: make([]*apitypes.ListenerReset, 0, len(moves))}
	for _, mv := range moves {
		one, err := resetBody(mv)
		if err != nil {
			return nil, err
		}
		answer.Listeners = append(answer.Listeners, one)
	}
	return answer, nil
}

func resetBody(mv *move) (*apitypes.ListenerReset, error) {
	body, err := listenerBody(mv.to)
	if err != nil {
		return nil, err
	}
	return &apitypes.ListenerReset{Listener: *body, Reset: &apitypes.ResetResult{
		From: checkpointBody(mv.to, mv.from, ""), To: checkpointBody(mv.to, mv.to.Resolved.Start, ""), Skips: mv.from.Before(mv.to.Resolved.Start),
	}}, nil
}

// checkpointBody is a position as the API shows it.
func checkpointBody(l *store.Listener, at ffcapi.Cursor, hash string) *apitypes.ListenerCheckpoint {
	if kindOf(l) == ofChanges {
		return &apitypes.ListenerCheckpoint{Sequence: strconv.FormatInt(lastBefore(at), 10)}
	}
	return &apitypes.ListenerCheckpoint{Block: at.Block, TransactionIndex: at.Tx, LogIndex: at.Log, BlockHash: hash}
}
