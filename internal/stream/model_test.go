package stream

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// TestModel drives a stream with random blocks, acknowledgements, refusals, departures, restarts, crashes, changes and resets, and
// checks after every step what must always hold:
//
//   - a stored checkpoint is below every event that was not acknowledged;
//   - when an event is delivered, each of its predecessors is acknowledged or in flight before it;
//   - a batch number names one content;
//
// and at the end that every event of every listener was acknowledged. It runs in virtual time.
func TestModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(inBubble{t}, func(t *rapid.T) {
			m := newWorld(t)
			t.Repeat(map[string]func(*rapid.T){
				"mine":     m.mine,
				"mine too": m.mine,
				"ack":      func(t *rapid.T) { m.answer(t, nil) },
				"ack more": func(t *rapid.T) { m.answer(t, nil) },
				"nack":     func(t *rapid.T) { m.answer(t, errTest) },
				"leave":    m.leave,
				"wait":     m.wait,
				"restart":  func(t *rapid.T) { m.restart(t, false) },
				"crash":    func(t *rapid.T) { m.restart(t, true) },
				"patch":    m.patch,
				"suspend":  m.suspend,
				"reset":    m.reset,
				"listener": m.listener,
				"remove":   m.remove,
				"end":      m.end,
				"store":    m.trouble,
				"":         m.settle,
			})
			m.finish(t)
		})
	})
}

// inBubble hides the deadline of a test, which must not be asked for in virtual time.
type inBubble struct{ testing.TB }

// TestNoDuplicatesInSteadyState is the model without trouble, with a receiver that acknowledges while something is changed: every event comes
// once, but for a listener that was reset.
func TestNoDuplicatesInSteadyState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(inBubble{t}, func(t *rapid.T) {
			m := newWorld(t)
			t.Repeat(map[string]func(*rapid.T){
				"mine": m.mine,
				"ack":  func(t *rapid.T) { m.answer(t, nil) },
				"wait": m.wait,
				"":     m.settle,
				"listener": func(t *rapid.T) {
					m.listener(t)
					m.acking(t, func() error { return nil }) // it is taken in a little later
				},
				"patch":  m.change,
				"remove": func(t *rapid.T) { m.drop(t, m.acking) },
				"end":    func(t *rapid.T) { m.moveEnd(t, m.acking) },
				"reset":  m.rewind,
			})
			m.finish(t)
			for l, counts := range m.deliveries {
				if m.twice[l] {
					continue
				}
				for at, n := range counts {
					require.Equal(t, 1, n, "event %s of %s", at, l)
				}
			}
		})
	})
}

// world is a manager with one stream, and what the model knows of it.
type world struct {
	chain   *fakeChain
	store   *fakeStore
	factory *fakeFactory
	opts    Options
	m       *Manager
	open    []*delivered
	content map[int64]string

	mu         sync.Mutex
	listeners  []*modelListener
	deliveries map[string]map[ffcapi.Cursor]int
	twice      map[string]bool // listeners that were reset
	broken     string          // the first violation seen by another goroutine
}

// everyBlock stands in the place of an event for a listener of type blocks.
const everyBlock = "every block"

type modelListener struct {
	id, event string
	start     ffcapi.Cursor
	end       uint64                 // the last block
	acked     map[ffcapi.Cursor]bool // since the last reset
}

func newWorld(t *rapid.T) *world {
	w := &world{chain: newFakeChain(), store: newFakeStore(), factory: &fakeFactory{}, content: make(map[int64]string), deliveries: make(map[string]map[ffcapi.Cursor]int), twice: make(map[string]bool)}
	window := rapid.IntRange(1, 4).Draw(t, "window")
	w.factory.setup = func(s *fakeSink) { s.window = window }
	w.store.onWrite = w.written
	log := logrus.New()
	log.SetOutput(io.Discard)
	w.chain.pageCap = rapid.IntRange(1, 5).Draw(t, "page")
	w.opts = Options{
		Connector: w.chain, ConnectorName: "fake", Store: w.store, Chain: w.chain, Sinks: []sink.Factory{w.factory},
		Fence: func() store.Fence { return store.Fence{} }, Log: logrus.NewEntry(log),
		CheckpointInterval: time.Duration(rapid.IntRange(1, 100).Draw(t, "interval")) * time.Second,
		ReadAhead:          rapid.IntRange(1, 3).Draw(t, "read ahead"),
		MaxMemory:          int64(rapid.SampledFrom([]int{1, 3000, 1 << 20}).Draw(t, "memory")),
	}
	w.start(t)
	_, err := w.m.CreateStream(context.Background(), &apitypes.EventStream{Name: ptr("s"), BatchSize: ptr(uint64(rapid.IntRange(1, 4).Draw(t, "batch")))})
	require.NoError(t, err)
	for range rapid.IntRange(1, 3).Draw(t, "listeners") {
		w.listener(t)
	}
	w.acking(t, func() error { return nil }) // until the run has them all
	return w
}

func (w *world) start(t *rapid.T) {
	m, err := New(w.opts)
	require.NoError(t, err)
	require.NoError(t, m.Start(context.Background()))
	w.m = m
}

// written is called by the store for every checkpoint it takes.
func (w *world) written(_ string, _ int64, cps []store.Checkpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cp := range cps {
		for _, l := range w.listeners {
			if l.id != cp.Listener {
				continue
			}
			for _, at := range w.matching(l) {
				if at.Before(cp.Cursor) && !l.acked[at] && w.broken == "" {
					w.broken = fmt.Sprintf("checkpoint %s of listener %s passes the event at %s, which is not acknowledged", cp.Cursor, l.id, at)
				}
			}
		}
	}
}

// matching are the positions of the events of a listener.
func (w *world) matching(l *modelListener) []ffcapi.Cursor {
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	var list []ffcapi.Cursor
	for _, b := range w.chain.blocks {
		if at := ffcapi.BlockStart(b.ref.Number); l.event == everyBlock && !at.Before(l.start) && at.Block <= l.end {
			list = append(list, at)
		}
		for tx, name := range b.events {
			c := ffcapi.Cursor{Block: b.ref.Number, Tx: uint64(tx)}
			if name == l.event && !c.Before(l.start) && c.Block <= l.end {
				list = append(list, c)
			}
		}
	}
	return list
}

// pass lets virtual time pass.
func pass(t *rapid.T, d time.Duration) { require.NoError(t, retry.Sleep(context.Background(), d)) }

func (w *world) wait(t *rapid.T) {
	pass(t, time.Duration(rapid.IntRange(1, 60000).Draw(t, "ms"))*time.Millisecond)
}

func (w *world) mine(t *rapid.T) {
	w.chain.mine(rapid.SliceOfN(rapid.SampledFrom([]string{"A", "B", "C"}), 0, 6).Draw(t, "events")...)
}

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
	w.listeners = append(w.listeners, &modelListener{id: stored.ID, event: event, start: stored.Resolved.Start, end: endOf(stored), acked: make(map[ffcapi.Cursor]bool)})
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

// settle lets everything happen that can, and looks at what was delivered.
func (w *world) settle(t *rapid.T) {
	synctest.Wait()
	for done := false; !done; {
		select {
		case d := <-w.factory.of("s").out:
			w.take(t, d)
		default:
			done = true
		}
	}
	w.open = slices.DeleteFunc(w.open, func(d *delivered) bool { return d.ctx.Err() != nil })
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.broken)
}

func (w *world) take(t *rapid.T, d *delivered) {
	before, seen := w.content[d.Number]
	require.True(t, !seen || before == string(d.Body), "number %d names two contents", d.Number)
	w.content[d.Number] = string(d.Body)
	if d.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range d.Events {
		e := &d.Events[i]
		l := w.byID(t, e.Listener.ID)
		at := cursorOf(t, e)
		require.LessOrEqual(t, at.Block, l.end, "listener %s goes on beyond its end", l.id)
		for _, c := range w.matching(l) {
			require.False(t, c.Before(at) && !l.acked[c] && !w.inFlight(t, l, c) && !holds(t, d, i, l, c), "listener %s gets %s before %s", l.id, at, c)
		}
		if w.deliveries[l.id] == nil {
			w.deliveries[l.id] = make(map[ffcapi.Cursor]int)
		}
		w.deliveries[l.id][at]++
	}
	w.open = append(w.open, d)
}

// inFlight says whether an event is in a batch that is open.
func (w *world) inFlight(t *rapid.T, l *modelListener, at ffcapi.Cursor) bool {
	return slices.ContainsFunc(w.open, func(d *delivered) bool { return d.ctx.Err() == nil && holds(t, d, len(d.Events), l, at) })
}

// holds says whether one of the first n events of a batch is that one.
func holds(t *rapid.T, d *delivered, n int, l *modelListener, at ffcapi.Cursor) bool {
	for i := range d.Events[:n] {
		if e := &d.Events[i]; e.Listener.ID == l.id && cursorOf(t, e) == at {
			return true
		}
	}
	return false
}

func (w *world) byID(t *rapid.T, id string) *modelListener {
	i := slices.IndexFunc(w.listeners, func(l *modelListener) bool { return l.id == id })
	require.GreaterOrEqual(t, i, 0)
	return w.listeners[i]
}

func cursorOf(t *rapid.T, e *sink.Event) ffcapi.Cursor {
	at := e.ID[len("fake::"):]
	if !strings.Contains(at, "/") {
		at += "/0/0" // a block
	}
	c, err := ffcapi.ParseCursor(at)
	require.NoError(t, err)
	return c
}

// answer finishes one of the open batches.
func (w *world) answer(t *rapid.T, err error) {
	w.settle(t)
	if len(w.open) == 0 {
		t.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.open)-1).Draw(t, "which")
	d := w.open[i]
	w.open = slices.Delete(w.open, i, i+1)
	if err == nil {
		w.ack(t, d)
	}
	d.finish(err)
}

// ack notes what a batch holds as acknowledged, just before the engine is told.
func (w *world) ack(t *rapid.T, d *delivered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range d.Events {
		w.byID(t, d.Events[i].Listener.ID).acked[cursorOf(t, &d.Events[i])] = true
	}
}

// acking lets a change happen while the receiver acknowledges what it gets.
func (w *world) acking(t *rapid.T, change func() error) {
	done := make(chan error, 1)
	go func() { done <- change() }()
	for rest := 0; rest < 20; {
		select {
		case err := <-done:
			require.NoError(t, err)
			done = nil
		default:
		}
		if done == nil {
			rest++
		}
		pass(t, 10*time.Millisecond)
		w.settle(t)
		for _, d := range w.open {
			w.ack(t, d)
			d.finish(nil)
		}
		w.open = nil
	}
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
	// A reset may go back to the start of the listener or, with "latest", past what it has not delivered.
	from := rapid.SampledFrom([]string{"earliest", "latest", "1"}).Draw(t, "from")
	_, err := w.m.ResetListener(context.Background(), "s", l.id, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber(from)), ToBlock: ptr(apitypes.EndBlock(apitypes.ToBlockNone))}, false)
	require.NoError(t, err)
	stored, err := w.store.Listener(context.Background(), l.id)
	require.NoError(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	// Only what is acknowledged from now on counts. A batch that the new run has already sent is open.
	l.start, l.end, l.acked = stored.Resolved.Start, noEnd, make(map[ffcapi.Cursor]bool)
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

// finish lets everything through and checks that nothing is missing.
func (w *world) finish(t *rapid.T) {
	defer func() { require.NoError(t, w.m.Stop(context.Background())) }()
	w.store.setFault(nil)
	require.NoError(t, w.m.ResumeStream(context.Background(), "s"))
	for idle := 0; idle < 3; {
		idle++
		pass(t, time.Minute) // longer than any back-off
		w.settle(t)
		for len(w.open) > 0 {
			idle = 0
			for _, d := range w.open {
				w.ack(t, d)
				d.finish(nil)
			}
			w.open = nil
			w.settle(t)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.listeners {
		for _, at := range w.matching(l) {
			require.True(t, l.acked[at], "listener %s never got the event at %s", l.id, at)
		}
	}
}
