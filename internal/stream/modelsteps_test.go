package stream

import (
	"context"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func (w *world) listener(t *rapid.T) {
	event := rapid.SampledFrom([]string{"A", "B", everyBlock}).Draw(t, "event")
	from := rapid.SampledFrom([]string{"earliest", "latest", "2"}).Draw(t, "from")
	body := &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber(from)), Filters: filters(event)}
	end := drawEnd(t)
	if from == "latest" {
		end = apitypes.ToBlockNone // it may be higher
	}
	body.ToBlock = &end
	if event == everyBlock {
		body.Type, body.Filters = ptr(apitypes.ListenerBlocks), nil
	} else if rapid.Bool().Draw(t, "where") { // the same events
		body.Filters, body.Where = filters("*"), ptr(`.signature == "`+event+`"`)
	}
	if rapid.Bool().Draw(t, "transform") {
		body.Transform = ptr(`.data.n`)
	}
	l, err := w.m.CreateListener(context.Background(), "s", body)
	require.NoError(t, err)
	stored, err := w.store.Listener(context.Background(), l.ID.String())
	require.NoError(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = append(w.listeners, &modelListener{id: stored.ID, event: event, start: stored.Resolved.Start, end: endOf(stored), acked: make(map[string]bool)})
}

// drawEnd draws the end of a listener that begins at block 2 or before.
func drawEnd(t *rapid.T) apitypes.EndBlock {
	return rapid.SampledFrom([]apitypes.EndBlock{apitypes.ToBlockNone, "2", "3", "5", "9"}).Draw(t, "end")
}

// end moves the end of a listener, whatever is open.
func (w *world) end(t *rapid.T) {
	w.moveEnd(t, func(_ *rapid.T, change func() error) { require.NoError(t, change()) })
}

func (w *world) moveEnd(t *rapid.T, carryOut func(*rapid.T, func() error)) {
	w.settle(t)
	l, end := rapid.SampledFrom(w.listeners).Draw(t, "listener"), drawEnd(t)
	if l.start.Block > 2 {
		end = apitypes.ToBlockNone
	}
	w.mu.Lock()
	old := l.end
	if l.end = noEnd; end != apitypes.ToBlockNone {
		l.end = uint64(end[0] - '0')
	}
	final := l.end
	l.end = max(old, final) // until it is done, either may be so
	w.mu.Unlock()
	carryOut(t, func() error {
		_, err := w.m.UpdateListener(context.Background(), "s", l.id, &apitypes.Listener{ToBlock: &end})
		return err
	})
	w.settle(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	l.end = final
}

// change is a PATCH of the stream that happens while the receiver acknowledges.
func (w *world) change(t *rapid.T) {
	body := &apitypes.EventStream{BatchSize: ptr(uint64(rapid.IntRange(1, 6).Draw(t, "batch")))}
	w.acking(t, func() error {
		_, err := w.m.UpdateStream(context.Background(), "s", body)
		return err
	})
}

// remove takes a listener away, whatever is open.
func (w *world) remove(t *rapid.T) {
	w.drop(t, func(t *rapid.T, change func() error) { require.NoError(t, change()) })
}

func (w *world) drop(t *rapid.T, carryOut func(*rapid.T, func() error)) {
	if len(w.listeners) < 2 {
		t.Skip("one should stay")
	}
	w.settle(t)
	l := rapid.SampledFrom(w.listeners).Draw(t, "listener")
	carryOut(t, func() error { return w.m.DeleteListener(context.Background(), "s", l.id) })
	w.settle(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = slices.DeleteFunc(w.listeners, func(o *modelListener) bool { return o == l })
}

// rewind resets a listener while the receiver acknowledges. What it gets twice is wanted.
func (w *world) rewind(t *rapid.T) {
	w.settle(t)
	l := rapid.SampledFrom(w.listeners).Draw(t, "listener")
	w.acking(t, func() error {
		_, err := w.m.ResetListener(context.Background(), "s", l.id, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("earliest"))}, false)
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	l.start, w.twice[l.id] = ffcapi.Cursor{}, true
}

func (w *world) leave(t *rapid.T) {
	w.settle(t)
	for _, d := range w.open {
		d.finish(sink.ErrNobody)
	}
	w.open = nil
}

// restart ends the process and begins another one. In a crash nothing is written at the end.
func (w *world) restart(t *rapid.T, crash bool) {
	if crash {
		w.store.setFault(func(call string) error {
			if call == "WriteCheckpoints" {
				return store.ErrUnavailable
			}
			return nil
		})
	}
	require.NoError(t, w.m.Stop(context.Background()))
	w.settle(t)
	w.open = nil
	w.store.setFault(nil)
	w.start(t)
}

func (w *world) patch(t *rapid.T) {
	_, err := w.m.UpdateStream(context.Background(), "s", &apitypes.EventStream{
		BatchSize: ptr(uint64(rapid.IntRange(1, 6).Draw(t, "batch"))), BatchTimeout: ptr(ms(rapid.IntRange(0, 10000).Draw(t, "timeout"))),
	})
	require.NoError(t, err)
}

func (w *world) suspend(t *rapid.T) {
	if rapid.Bool().Draw(t, "suspend") {
		require.NoError(t, w.m.SuspendStream(context.Background(), "s"))
	} else {
		require.NoError(t, w.m.ResumeStream(context.Background(), "s"))
	}
}

func (w *world) reset(t *rapid.T) {
	w.settle(t)
	w.mu.Lock()
	l := rapid.SampledFrom(w.listeners).Draw(t, "listener")
	w.mu.Unlock()
	// A reset may go back to where the listener began or, with "latest", past what it has not delivered.
	body := &apitypes.Listener{ToBlock: ptr(apitypes.EndBlock(apitypes.ToBlockNone))}
	if from := rapid.SampledFrom([]apitypes.BlockNumber{"earliest", "latest", "1", ""}).Draw(t, "from"); from != "" {
		body.FromBlock = &from
	}
	_, err := w.m.ResetListener(context.Background(), "s", l.id, body, false)
	require.NoError(t, err)
	stored, err := w.store.Listener(context.Background(), l.id)
	require.NoError(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.True(t, body.FromBlock != nil || stored.Resolved.Start == l.start, "listener %s began at %s and goes back to %s", l.id, l.start, stored.Resolved.Start)
	// Only what is acknowledged from now on counts. A batch that the new run has already sent is open.
	l.start, l.end, l.acked = stored.Resolved.Start, noEnd, make(map[string]bool)
}

func (w *world) trouble(t *rapid.T) {
	if !rapid.Bool().Draw(t, "fails") {
		w.store.setFault(nil)
		return
	}
	w.store.setFault(func(call string) error {
		if call == "WriteCheckpoints" {
			return store.ErrUnavailable
		}
		return nil
	})
}
