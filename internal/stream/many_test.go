package stream

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A thousand listeners on a stream cost as many insertions, few restarts, and one reading.
func TestAThousandListenersOnAStream(t *testing.T) { //nolint:paralleltest // it looks at the whole process
	const listeners = 1000
	r := newRig(t, patiently, func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.window = 4 }
	})
	r.chain.mine("A")
	before, routines := heap(), runtime.NumGoroutine()
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1000)) })
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case d := <-r.factory.of("s").out:
				d.finish(nil)
			case <-stop:
				return
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	began := time.Now()
	for i := range listeners {
		if i%2 == 0 {
			r.listenFrom("s", "earliest", "A") // named by the server
		} else {
			r.blockListener("s", "1")
		}
	}
	took := time.Since(began)
	r.eventually(func() bool { return r.state("s").Delivered >= listeners })
	r.caughtUp("s")
	require.EqualValues(t, listeners, r.state("s").Delivered, "nothing comes twice")
	require.LessOrEqual(t, r.epoch(), int64(3+time.Since(began)/refreshPause), "they share restarts")
	require.LessOrEqual(t, r.store.insertions(), 2*listeners, "their names are found at once")
	sessions := r.chain.sessionsOpened()
	r.chain.mine("A")
	r.eventually(func() bool { return r.state("s").Delivered >= 2*listeners })
	require.LessOrEqual(t, r.chain.sessionsOpened()-sessions, 1)
	require.Equal(t, stateLive, r.state("s").State)
	more := runtime.NumGoroutine() - routines
	require.LessOrEqual(t, more, 20, "none for a listener")
	t.Logf("%d listeners: made in %s with %d runs, %d goroutines, %d bytes each", listeners, took, r.epoch(), more, int64(heap()-before)/listeners)
}

// A thousand streams in a process are live, and hold what they need.
func TestAThousandStreams(t *testing.T) { //nolint:paralleltest // it looks at the whole process
	const streams = 1000
	r := newRig(t)
	r.chain.mine("A")
	before, routines := heap(), runtime.NumGoroutine()
	began := time.Now()
	for i := range streams {
		name := fmt.Sprint(i)
		r.stream(name)
		r.listen(name, "l", "A")
	}
	took := time.Since(began)
	for i := range streams {
		d := r.live(fmt.Sprint(i))
		require.Len(t, d.Events, 1)
		d.finish(nil)
	}
	for i := range streams {
		r.caughtUp(fmt.Sprint(i))
	}
	more, held := runtime.NumGoroutine()-routines, int64(heap()-before)
	t.Logf("%d streams: made in %s, %d goroutines, %d bytes each", streams, took, more, held/streams)
	require.LessOrEqual(t, more, 8*streams)
	require.Less(t, held, int64(100<<20))
}
