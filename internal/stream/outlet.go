package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The outlet of a stream is the second sink that its dead letters go to, when they are stored.

// applyOutlet checks where dead letters are to go, and overwrites what the request says. null takes it away.
func (m *Manager) applyOutlet(def *store.Stream, raw json.RawMessage) error {
	const field, fix = "deadLetter", `give {"type": "kafka", "kafka": {…}}, or null for none`
	if !isSet(raw) {
		if len(raw) > 0 {
			def.DeadLetter = nil
		}
		return nil
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return apitypes.Invalidf(field, fix, "must be an object")
	}
	old := def.DeadLetter
	if old == nil {
		old = new(store.SinkConfig)
	}
	next := &store.SinkConfig{Type: old.Type}
	if t, ok := given["type"]; ok && json.Unmarshal(t, &next.Type) != nil {
		return apitypes.Invalidf(field+".type", "must be text", "is something else")
	}
	next.Type = strings.ToLower(next.Type)
	f := m.sinks[next.Type]
	if f == nil || next.Type == apitypes.StreamWebSocket {
		kinds := slices.DeleteFunc(slices.Sorted(maps.Keys(m.sinks)), func(kind string) bool { return kind == apitypes.StreamWebSocket })
		return apitypes.Invalidf(field+".type", "must be one of "+strings.Join(kinds, ", "), "is %q", next.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if name != "type" && name != next.Type {
			return apitypes.Invalidf(field+"."+name, "leave it out; dead letters of this stream go to "+next.Type, "is not a field here")
		}
	}
	cfg, stored := given[next.Type], json.RawMessage(nil)
	if next.Type == old.Type {
		stored = old.Config
	}
	if !isSet(cfg) {
		cfg = stored
	}
	var err error
	if next.Config, err = valid(f, cfg, stored); err != nil {
		return within(field, within(next.Type, err))
	}
	def.DeadLetter = next
	return nil
}

// shownOutlet is where dead letters go, as it may be shown.
func (m *Manager) shownOutlet(def *store.Stream) json.RawMessage {
	o := def.DeadLetter
	if o == nil {
		return nil
	}
	body := map[string]any{"type": o.Type}
	if cfg := m.masked(o.Type, o.Config); isSet(cfg) {
		body[o.Type] = cfg
	}
	shown, err := json.Marshal(body)
	if err != nil { // what was stored is JSON
		return nil
	}
	return shown
}

// sameOutlet says whether dead letters of both go to the same place.
func sameOutlet(a, b *store.Stream) bool {
	if a.DeadLetter == nil || b.DeadLetter == nil {
		return a.DeadLetter == b.DeadLetter
	}
	return a.DeadLetter.Type == b.DeadLetter.Type && bytes.Equal(a.DeadLetter.Config, b.DeadLetter.Config)
}

// hand sends dead letters that are stored to the outlet. It returns when they are delivered, when they never will be, or when ctx is done. A crash before
// the positions move has them stored and sent again, under the same ids.
func (r *run) hand(ctx context.Context, b *batch, letters []*store.DeadLetter) error {
	if r.outlet == nil {
		return nil
	}
	for i, l := range letters {
		stored, err := r.m.opts.Store.DeadLetter(ctx, r.def.ID, l.ID)
		switch {
		case errors.Is(err, store.ErrNotFound): // somebody has deleted it
			continue
		case err != nil:
			return err
		}
		body, err := json.Marshal(letterBody(stored))
		if err != nil {
			return fmt.Errorf("dead letter %s: %w", l.ID, err)
		}
		e := &b.events[i]
		of := *e.Listener
		of.Replay += "/dead letter" // it is something else than its event, and has another id
		buf := append(append([]byte{'['}, body...), ']')
		r.handed++
		one := &sink.Batch{
			Number: r.epoch*numbersPerEpoch + r.handed, Body: buf,
			Events: []sink.Event{{ID: e.ID, Listener: &of, Block: e.Block, JSON: buf[1 : len(buf)-1]}},
		}
		if err := r.handOne(ctx, one, l); err != nil {
			return err
		}
	}
	return nil
}

// handOne sends one dead letter, again and again, unless it is refused for good, or for retryTimeout.
func (r *run) handOne(ctx context.Context, one *sink.Batch, l *store.DeadLetter) error {
	began := r.m.opts.Now()
	return retry.Do(ctx, sendBackoff, func(ctx context.Context, attempt int) error {
		one.Attempt = attempt
		done := make(chan error, 1)
		r.outlet.Send(ctx, one, func(err error) { done <- err })
		err := <-done
		var part *sink.Partial
		if errors.As(err, &part) && part.Failed[0] != nil {
			err = part.Failed[0]
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		now := r.m.opts.Now()
		r.s.stats.fail(fmt.Errorf("deadLetter: %w", err), now)
		if sink.IsPermanent(err) || sink.IsGone(err) || sink.IsRefused(err) && now.Sub(began) >= r.def.RetryTimeout {
			r.log.WithField("event", l.Event).Warnf("The dead letter %s stays in the store alone: %s", l.ID, err)
			return nil
		}
		var later *sink.RetryAfter
		if errors.As(err, &later) {
			_ = retry.Sleep(ctx, min(later.After, maxRetryAfter)) // Do finds out by itself that ctx has ended
		}
		return err
	})
}
