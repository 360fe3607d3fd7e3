package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// tester is what tests and histories have in common.
type tester interface {
	require.TestingT
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
}

// lane is the delivery of a run without the rest of it: events are put in by the test, in virtual time.
type lane struct {
	t     tester
	sink  *fakeSink
	d     *delivery
	next  int                           // position of the next event
	kept  []string                      // the events that were set aside, with the kind and the number of attempts
	full  error                         // what the store says
	safe  int                           // position that is stored
	away  atomic.Pointer[chan struct{}] // not nil: positions cannot be stored; closed when they can
	there []*delivered                  // taken over from the sink
	end   chan error                    // what the delivery's run returned
	quit  func()                        // ends it
	name  sink.Listener                 // of all events
}

const (
	laneRetry   = 30 * time.Second
	laneBlocked = time.Minute
)

func newLane(t tester, out sink.Sink, change ...func(*policy)) *lane {
	p := policy{readAhead: 100, batchTimeout: time.Second, retryTimeout: laneRetry, blockedDelay: laneBlocked}
	for _, c := range change {
		c(&p)
	}
	l := &lane{t: t, end: make(chan error, 1), name: sink.Listener{ID: "l", Name: "listener", Stream: "s"}}
	l.sink, _ = out.(*fakeSink)
	l.d = newDelivery(out, p, 1, inflight.New(make([]inflight.Position, 1)), newBudget(1<<30), &stats{}, time.Now)
	l.d.keep = func(ctx context.Context, b *batch) error {
		if l.full != nil {
			<-ctx.Done()
			return l.full
		}
		kind, _ := b.fault()
		for _, e := range b.events {
			l.kept = append(l.kept, fmt.Sprintf("%s %s %d", e.ID, kind, b.sends))
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	stored := make(chan struct{})
	go func() { l.end <- l.d.run(ctx) }()
	go func() {
		defer close(stored)
		l.checkpoints(ctx)
	}()
	l.quit = func() {
		cancel()
		l.d.close()
		<-l.end
		<-stored
	}
	return l
}

// checkpoints stores positions at once, unless the store is away.
func (l *lane) checkpoints(ctx context.Context) {
	for {
		select {
		case <-l.d.dirty:
		case <-ctx.Done():
			return
		}
		if away := l.away.Load(); away != nil {
			select {
			case <-*away:
			case <-ctx.Done():
				return
			}
		}
		rows, done := l.d.rows(false)
		for _, r := range rows {
			l.safe = int(r.At.Cursor.Block)
		}
		l.d.written(rows, done)
	}
}

func newFakeSink(window int) *fakeSink {
	return &fakeSink{out: make(chan *delivered, 1000), window: window}
}

// batch makes a batch of events that are called so.
func (l *lane) batch(names ...string) *batch {
	b := &batch{buf: []byte{'['}, born: time.Now()}
	for i, name := range names {
		if i > 0 {
			b.buf = append(b.buf, ',')
		}
		start := len(b.buf)
		b.buf = fmt.Appendf(b.buf, `{"id":"%s"}`, name)
		b.recs = append(b.recs, record{start: start, idStart: start + 7, idEnd: start + 7 + len(name), end: len(b.buf), listener: &l.name, block: 1})
		l.next++
	}
	b.entry.Owns = []inflight.Own{{At: inflight.Position{Cursor: ffcapi.BlockStart(uint64(l.next))}}}
	return b
}

// push puts in a batch of events, which are called by letters.
func (l *lane) push(names string) {
	l.t.Helper()
	require.NoError(l.t, l.d.push(l.t.Context(), l.batch(strings.Split(names, "")...)))
}

// pump takes over what is at the sink, and forgets what is void.
func (l *lane) pump() {
	synctest.Wait()
	for len(l.sink.out) > 0 {
		l.there = append(l.there, <-l.sink.out)
	}
	l.there = slices.DeleteFunc(l.there, func(d *delivered) bool { return d.ctx.Err() != nil })
}

// take is the next batch at the sink; its events are called so.
func (l *lane) take(names string) *delivered {
	l.t.Helper()
	d := l.any()
	require.Equal(l.t, names, called(d.Batch))
	return d
}

// any is the next batch at the sink. It is waited for.
func (l *lane) any() *delivered {
	l.t.Helper()
	for range 3700 {
		if l.pump(); len(l.there) > 0 {
			d := l.there[0]
			l.there = l.there[1:]
			return d
		}
		l.wait(time.Second)
	}
	for _, f := range l.d.flights {
		l.t.Logf("flight %s %+v", called(&sink.Batch{Events: f.batch.events, Body: f.batch.buf}), f)
	}
	for _, f := range l.d.ready {
		l.t.Logf("ready %s due in %s %+v", called(&sink.Batch{Events: f.events, Body: f.buf}), time.Until(f.due), f.trouble)
	}
	require.FailNow(l.t, "nothing is at the sink", "%v", l.kept)
	return nil
}

// idle checks that nothing is at the sink, and nothing comes at once.
func (l *lane) idle() {
	l.t.Helper()
	l.pump()
	for _, d := range l.there {
		require.FailNow(l.t, "something is at the sink", called(d.Batch))
	}
}

// called is what the events of a batch are called. It checks that the batch is well formed.
func called(b *sink.Batch) string {
	var names, parts []string
	for _, e := range b.Events {
		names, parts = append(names, e.ID), append(parts, string(e.JSON))
	}
	if string(b.Body) != "["+strings.Join(parts, ",")+"]" {
		return "malformed " + string(b.Body)
	}
	return strings.Join(names, "")
}

// aside checks which events were set aside since it was called last.
func (l *lane) aside(want ...string) {
	l.t.Helper()
	synctest.Wait()
	require.Equal(l.t, want, l.kept)
	l.kept = nil
}

// wait lets time pass.
func (l *lane) wait(d time.Duration) { require.NoError(l.t, retry.Sleep(context.Background(), d)) }

// refuse has a batch refused for some time. When it returns, the batch is at the sink again, too late.
func (l *lane) refuse(names string, err error, until time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(until); ; {
		d := l.take(names)
		if !time.Now().Before(end) {
			l.there = slices.Insert(l.there, 0, d)
			return
		}
		d.finish(err)
		synctest.Wait()
	}
}

// set is what was set aside, by name and kind, since it was asked last.
func (l *lane) set() (list []string) {
	synctest.Wait()
	for _, k := range l.kept {
		list = append(list, strings.Join(strings.Fields(k)[:2], " "))
	}
	l.kept = nil
	return list
}

// done is how many events are acknowledged without a gap.
func (l *lane) done() int {
	synctest.Wait()
	at, ok := l.d.lowest(func(int, inflight.Position) bool { return true })
	require.True(l.t, ok)
	return int(at.Block)
}

// leave has the store go away, or come back.
func (l *lane) leave(away bool) {
	synctest.Wait()
	before := l.away.Load()
	switch {
	case away && before == nil:
		back := make(chan struct{})
		l.away.Store(&back)
	case !away && before != nil:
		l.away.Store(nil)
		close(*before)
	}
	synctest.Wait()
}

func (l *lane) lastError() string {
	synctest.Wait()
	_, err := l.d.stats.lastError()
	if err == nil {
		return ""
	}
	return err.Error()
}

func (l *lane) blocked() bool {
	synctest.Wait()
	return l.d.state().blocked
}
