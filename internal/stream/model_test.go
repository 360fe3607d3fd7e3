package stream

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

// TestModel drives a stream with random blocks, reorganisations of any depth, acknowledgements, refusals, departures, restarts, crashes,
// changes and resets, and checks after every step what must always hold:
//
//   - a stored checkpoint is below every event that was neither acknowledged nor set aside;
//   - when an event is delivered, each of its predecessors is acknowledged, set aside or in flight before it, unless the receiver has refused it
//     and it waits for evidence;
//   - a batch number names one content;
//   - a dead letter is deleted only once its event got through;
//
// and at the end that every event of every listener was acknowledged or, with errorHandling "skip", set aside, and that every dead letter gets
// through when it is replayed. It runs in virtual time.
// TEST_HISTORIES is how many histories to try.
func TestModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		histories(t, func(t *rapid.T) {
			m := newWorld(t, true)
			t.Repeat(map[string]func(*rapid.T){
				"mine":       m.mine,
				"mine too":   m.mine,
				"reorganise": m.reorganise,
				"go back":    m.goBack,
				"ack":        func(t *rapid.T) { m.answer(t, nil) },
				"ack more":   func(t *rapid.T) { m.answer(t, nil) },
				"nack":       func(t *rapid.T) { m.answer(t, errTest) },
				"refuse":     func(t *rapid.T) { m.answer(t, sink.Permanent(errTest)) },
				"not this":   m.refuse,
				"some fail":  m.someFail,
				"replay":     m.replay,
				"gone":       func(t *rapid.T) { m.answer(t, sink.Gone(errTest)) },

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

// histories tries as many random histories as TEST_HISTORIES says, or a hundred.
func histories(t *testing.T, history func(*rapid.T)) {
	n := 100
	if text := os.Getenv("TEST_HISTORIES"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err, "TEST_HISTORIES is how many histories to try")
	}
	for range max(1, n/100) { // each time a hundred of them
		rapid.Check(inBubble{t}, history)
	}
}

// inBubble hides the deadline of a test, which must not be asked for in virtual time.
type inBubble struct{ testing.TB }

// TestNoDuplicatesInSteadyState is the model without trouble, with a receiver that acknowledges while something is changed: every event comes
// once, but for a listener that was reset.
func TestNoDuplicatesInSteadyState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		histories(t, func(t *rapid.T) {
			m := newWorld(t, false)
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
				for id, n := range counts {
					require.Equal(t, 1, n, "event %s of %s", id, l)
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
	stream  string // its id
	open    []*delivered
	content map[int64]string

	finality      ffcapi.Finality
	confirmations int
	fork          int                  // reorganisations so far
	chains        map[int][]*fakeBlock // each as it was before one of them

	mu         sync.Mutex
	listeners  []*modelListener
	deliveries map[string]map[string]int // by listener and event
	twice      map[string]bool           // listeners that were reset
	suspected  map[string]bool           // events that were refused, by listener and id
	through    map[string]bool           // replayed events that got through, by dead letter
	broken     string                    // the first violation seen by another goroutine
}

// everyBlock stands in the place of an event for a listener of type blocks.
const everyBlock = "every block"

type modelListener struct {
	id, event string
	start     ffcapi.Cursor
	end       uint64          // the last block
	acked     map[string]bool // events that are acknowledged or set aside since the last reset, by id
}

// newWorld makes a world; in one with trouble the chain may be reorganised, and events may be set aside.
func newWorld(t *rapid.T, trouble bool) *world {
	w := &world{
		chain: newFakeChain(), store: newFakeStore(), factory: &fakeFactory{}, content: make(map[int64]string),
		deliveries: make(map[string]map[string]int), twice: make(map[string]bool), suspected: make(map[string]bool), through: make(map[string]bool), finality: ffcapi.Instant, chains: make(map[int][]*fakeBlock),
	}
	window := rapid.IntRange(1, 4).Draw(t, "window")
	w.factory.setup = func(s *fakeSink) { s.window = window }
	w.store.onWrite, w.store.onLetters, w.store.onDrop = w.written, w.setAside, w.dropped
	log := logrus.New()
	log.SetOutput(io.Discard)
	w.chain.pageCap = rapid.IntRange(1, 5).Draw(t, "page")
	w.opts = Options{
		Connector: w.chain, ConnectorName: "fake", Store: w.store, Chain: w.chain, Sinks: []sink.Factory{w.factory},
		Fence: func() store.Fence { return store.Fence{} }, Log: logrus.NewEntry(log),
		CheckpointInterval: time.Duration(rapid.IntRange(1, 100).Draw(t, "interval")) * time.Second,
		MaxUnstored:        ptr(rapid.IntRange(0, 3).Draw(t, "unstored")),
		ReadAhead:          rapid.IntRange(1, 3).Draw(t, "read ahead"),
		MaxMemory:          int64(rapid.SampledFrom([]int{1, 3000, 1 << 20}).Draw(t, "memory")),
	}
	body := &apitypes.EventStream{Name: ptr("s"), BatchSize: ptr(uint64(rapid.IntRange(1, 4).Draw(t, "batch")))}
	if trouble {
		w.trial(t, body)
	}
	w.start(t)
	t.Cleanup(func() { require.NoError(t, w.m.Stop(context.Background())) }) // of the last process
	made, err := w.m.CreateStream(context.Background(), body)
	require.NoError(t, err)
	w.stream = made.ID.String()
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
			if !w.isCanonical(cp.Block) {
				continue // the next run finds that out
			}
			for _, e := range w.matching(l) {
				if e.at.Before(cp.Cursor) && !l.acked[e.id] && w.broken == "" {
					w.broken = fmt.Sprintf("checkpoint %s (read to %v) of listener %s passes the event %s, which is not acknowledged", cp.Cursor, cp.Block, l.id, e.id)
				}
			}
		}
	}
}

// pass lets virtual time pass.
func pass(t *rapid.T, d time.Duration) { require.NoError(t, retry.Sleep(context.Background(), d)) }

func (w *world) wait(t *rapid.T) {
	pass(t, time.Duration(rapid.IntRange(1, 60000).Draw(t, "ms"))*time.Millisecond)
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
		if isReplay(e) {
			continue
		}
		l := w.byID(t, e.Listener.ID)
		at := cursorOf(t, e)
		require.LessOrEqual(t, at.Block, l.end, "listener %s goes on beyond its end", l.id)
		before := w.matching(l)
		if !slices.ContainsFunc(before, func(o modelEvent) bool { return o.id == e.ID }) {
			before = nil // it was replaced meanwhile, or comes from before a reset
		}
		for _, o := range before {
			passed := l.acked[o.id] || w.suspected[l.id+" "+o.id] || w.inFlight(l, o.id) || holds(d, i, l, o.id)
			require.False(t, o.at.Before(at) && !passed, "listener %s gets %s before %s", l.id, e.ID, o.id)
		}
		if w.deliveries[l.id] == nil {
			w.deliveries[l.id] = make(map[string]int)
		}
		w.deliveries[l.id][e.ID]++
	}
	w.open = append(w.open, d)
}

// inFlight says whether an event is in a batch that is open.
func (w *world) inFlight(l *modelListener, id string) bool {
	return slices.ContainsFunc(w.open, func(d *delivered) bool { return d.ctx.Err() == nil && holds(d, len(d.Events), l, id) })
}

// holds says whether one of the first n events of a batch is that one.
func holds(d *delivered, n int, l *modelListener, id string) bool {
	for i := range d.Events[:n] {
		if e := &d.Events[i]; e.Listener.ID == l.id && e.ID == id && !isReplay(e) {
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
	parts := strings.Split(e.ID[len("fake::"):], "/")
	if len(parts) < 3 { // a block, perhaps with its hash
		parts = append(parts[:1], "0", "0")
	}
	c, err := ffcapi.ParseCursor(strings.Join(parts[:3], "/"))
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
		w.ackOne(t, &d.Events[i])
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

// finish lets everything through, the dead letters as well, and checks that nothing is missing.
func (w *world) finish(t *rapid.T) {
	w.store.setFault(nil)
	require.NoError(t, w.m.ResumeStream(context.Background(), "s"))
	w.takeAll(t)
	w.mu.Lock()
	for _, l := range w.listeners {
		for _, e := range w.matching(l) {
			require.True(t, l.acked[e.id] || !w.isSafe(e.at), "listener %s never got the event %s", l.id, e.id)
		}
	}
	w.mu.Unlock()
	w.replay(t)
	w.takeAll(t)
	left, err := w.store.ListDeadLetters(context.Background(), store.LetterFilter{Stream: w.stream}, 0)
	require.NoError(t, err)
	require.Empty(t, left, "the dead letters got through")
}

// takeAll acknowledges what comes until nothing does.
func (w *world) takeAll(t *rapid.T) {
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
}
