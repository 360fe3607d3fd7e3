package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestNothingIsReadWhileNobodyListens(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.absent = make(chan struct{}) }
	})
	for range 1000 {
		r.chain.mine("A")
	}
	r.stream("s")
	r.listen("s", "l", "A")
	r.eventually(func() bool { return r.state("s").HeadBlock != nil })
	require.Zero(t, r.chain.pagesRead())
	require.Zero(t, r.memory())
	r.factory.of("s").come()
	require.Equal(t, []string{"1/0", "2/0"}, ids(t, r.live("s").Batch))
}

func TestReadAheadIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.opts.ReadAhead = 2
		r.chain.pageCap = 1
	})
	for range 100 {
		r.chain.mine("A")
	}
	r.stream("s", suspended)
	r.listen("s", "l", "A")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	d := r.live("s")
	// One batch is out, two are ready, and the reader holds one more.
	r.eventually(func() bool { return r.chain.pagesRead() == 8 })
	for want := 1; ; want += 2 {
		require.Equal(t, uint64(want), d.Events[0].Block)
		d.finish(nil)
		if want == 99 {
			break
		}
		require.LessOrEqual(t, r.chain.pagesRead(), want+7+2)
		d = r.live("s")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.opts.ReadAhead = 1000
		r.opts.MaxMemory = 4000
		r.chain.pageCap = 2
	})
	for range 100 {
		r.chain.mine("A")
	}
	r.stream("greedy", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(5)) })
	r.listen("greedy", "l", "A")
	first := r.live("greedy")
	r.eventually(func() bool {
		return r.memory() >= r.opts.MaxMemory
	})
	// A stream that holds nothing gets its page all the same.
	r.stream("modest", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(5)) })
	r.listen("modest", "l", "A")
	for want := uint64(1); want <= 100; {
		d := r.live("modest")
		for _, e := range d.Events {
			require.Equal(t, want, e.Block)
			want++
		}
		d.finish(nil)
	}
	greedy, err := r.m.find("greedy")
	require.NoError(t, err)
	held := greedy.worker.run.Load().delivery.holding
	// Beyond the limit by one page and one batch at most, however long it waits.
	require.Never(t, func() bool { return held() > r.opts.MaxMemory+4000 }, 50*time.Millisecond, 5*time.Millisecond)
	first.finish(nil)
	for n := len(first.Events); n < 100; {
		d := r.live("greedy")
		n += len(d.Events)
		d.finish(nil)
	}
	require.NoError(t, r.m.SuspendStream(t.Context(), "greedy"))
	require.NoError(t, r.m.SuspendStream(t.Context(), "modest"))
	require.Zero(t, r.memory(), "all memory was given back")
}
