package stream

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// lane is the delivery of a run without the rest of it: events are put in by the test, in virtual time.
type lane struct {
	t    *testing.T
	sink *fakeSink
	d    *delivery
	next int           // position of the next event
	end  chan error    // what the delivery's run returned
	quit func()        // ends it
	name sink.Listener // of all events
}

const (
	laneRetry   = 30 * time.Second
	laneBlocked = time.Minute
)

func newLane(t *testing.T, out sink.Sink, change ...func(*policy)) *lane {
	p := policy{readAhead: 100, batchTimeout: time.Second, retryTimeout: laneRetry, blockedDelay: laneBlocked}
	for _, c := range change {
		c(&p)
	}
	l := &lane{t: t, end: make(chan error, 1), name: sink.Listener{ID: "l", Name: "listener", Stream: "s"}}
	l.sink, _ = out.(*fakeSink)
	l.d = newDelivery(out, p, 1, inflight.New(make([]inflight.Position, 1)), newBudget(1<<30), &stats{}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { l.end <- l.d.run(ctx) }()
	l.quit = func() {
		cancel()
		l.d.close()
		<-l.end
	}
	return l
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

// take is the batch at the sink; its events are called so.
func (l *lane) take(names string) *delivered {
	l.t.Helper()
	synctest.Wait()
	for {
		select {
		case d := <-l.sink.out:
			if d.ctx.Err() != nil {
				continue // void
			}
			require.Equal(l.t, names, called(d.Batch))
			return d
		default:
			require.FailNow(l.t, "nothing is at the sink", "%s should be", names)
		}
	}
}

// idle checks that nothing is at the sink.
func (l *lane) idle() {
	l.t.Helper()
	synctest.Wait()
	select {
	case d := <-l.sink.out:
		require.Error(l.t, d.ctx.Err(), "%s is at the sink", called(d.Batch))
	default:
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

// done is how many events are acknowledged without a gap.
func (l *lane) done() int {
	synctest.Wait()
	at, ok := l.d.lowest(func(int) bool { return true })
	require.True(l.t, ok)
	return int(at.Block)
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
