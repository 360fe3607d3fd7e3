package stream

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Another node may answer from another fork, or know less than the safe head.
func TestAPageFromAnotherForkIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.chain.mine("A", "A")
	var mu sync.Mutex
	bad := 3
	r.chain.set(func(c *fakeChain) {
		c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
			mu.Lock()
			defer mu.Unlock()
			if bad--; bad < 0 {
				return p
			}
			q := *p
			q.Events = nil // the other fork has none of them
			q.Through.Hash = "0xother"
			return &q
		}
	})
	r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	r.listen("s", "l", "A")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.Equal(t, []string{"1/0", "2/0", "2/1"}, ids(t, r.live("s").Batch))
	require.Contains(t, r.state("s").LastError, "0xother")
}

func TestAPageBeyondItsBoundsIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *ffcapi.EventPage){
		"next beyond the safe head": func(p *ffcapi.EventPage) { p.Next.Block += 5 },
		"next goes back":            func(p *ffcapi.EventPage) { p.Next = ffcapi.Cursor{} },
		"event not before next":     func(p *ffcapi.EventPage) { p.Next = p.Events[len(p.Events)-1].Cursor },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chain.mine("B")
			r.chain.mine("A")
			r.stream("s")
			l := r.listenFrom("s", "1", "A")
			_ = l
			r.live("s").finish(nil)
			r.chain.set(func(c *fakeChain) {
				c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
					q := *p
					spoil(&q)
					return &q
				}
			})
			r.chain.mine("A", "A")
			r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "page of ledger") })
			r.quiet("s")
			r.chain.set(func(c *fakeChain) { c.tamper = nil })
			require.Equal(t, []string{"3/0", "3/1"}, ids(t, r.live("s").Batch))
		})
	}
}

func TestRepeatedEventsAreDeliveredOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A")
	r.chain.set(func(c *fakeChain) {
		c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
			q := *p
			q.Events = append(append([]ffcapi.Event{}, p.Events...), p.Events...)
			return &q
		}
	})
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	r.listen("s", "l", "A")
	require.Equal(t, []string{"1/0", "1/1"}, ids(t, r.live("s").Batch))
}

// One event may come in a form for each of two listeners. Who matches both forms of it gets the first.
func TestAnEventInTwoFormsReachesBothListeners(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]uint64{"in one batch": 10, "one by one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chain.mine("A", "A")
			r.chain.set(func(c *fakeChain) {
				c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
					q := *p
					q.Events = nil
					for _, ev := range p.Events {
						full, brief, again := ev, ev, ev
						full.Matches, brief.Matches = []int{0}, []int{1}
						brief.Data = json.RawMessage("null")
						q.Events = append(q.Events, full, brief, again)
					}
					return &q
				}
			})
			r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(size) })
			r.listen("s", "full", "A")
			r.listen("s", "brief", "A")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			var got []string
			for len(got) < 4 {
				d := r.live("s")
				for i := range d.Events {
					var ev apitypes.Event
					require.NoError(t, json.Unmarshal(d.Events[i].JSON, &ev))
					got = append(got, ev.ListenerName+" "+ev.TransactionIndex)
					require.Equal(t, ev.ListenerName == "brief", string(ev.Data) == "null", "%s", d.Events[i].JSON)
				}
				d.finish(nil)
			}
			require.Equal(t, []string{"full 0", "brief 0", "full 1", "brief 1"}, got)
			r.quiet("s")
		})
	}
}

func TestAnotherChainWithInstantFinalityFailsTheStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.live("s").finish(nil)
	r.stored(l, "000000000002/000000/000000")
	r.stop()
	r.chain.reorganise(0, "b", "A")
	r.start()
	r.eventually(func() bool { return r.state("s").State == stateFailed })
	require.Contains(t, r.state("s").LastError, "chain changed")
	s, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, "stopped", s.Status)

	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	r.eventually(func() bool { return r.state("s").State == stateFailed })

	// A reset is how the user says that the other chain is meant.
	_, err = r.m.ResetListener(t.Context(), "s", l, nil, false)
	require.NoError(t, err)
	require.Equal(t, []string{"0/0", "1/0"}, ids(t, r.live("s").Batch))
}

func TestACheckpointAheadOfTheNodeWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.live("s").finish(nil)
	r.stored(l, "000000000002/000000/000000")
	r.stop()
	var last *fakeBlock
	r.chain.set(func(c *fakeChain) { // a node that lags behind
		last = c.blocks[1]
		c.blocks, c.safe = c.blocks[:1], 0
	})
	r.start()
	r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "has no block 1") })
	require.Equal(t, stateStarting, r.state("s").State)
	r.chain.set(func(c *fakeChain) { c.blocks, c.safe = append(c.blocks, last), 1 })
	r.chain.mine("A")
	require.Equal(t, []string{"2/0"}, ids(t, r.live("s").Batch))
}

func TestTheAlarmOfALedgerFailsTheStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	r.listen("s", "l", "A")
	r.eventually(func() bool { return r.state("s").State == stateLive })
	r.chain.set(func(c *fakeChain) { c.alarm = errTest })
	r.eventually(func() bool { return r.state("s").State == stateFailed })
	require.Contains(t, r.state("s").LastError, errTest.Error())
}

func TestProgressTakesNoEventBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.chain.finality = ffcapi.Confirmations
		r.opts.UnstableHead = 4
	})
	r.stream("s")
	l := r.listen("s", "l", "A")
	for range 9 {
		r.chain.mine("B")
		r.caughtUp("s")
	}
	r.chain.mine("A")
	r.live("s").finish(nil)
	r.stored(l, "000000000011/000000/000000")
	r.chain.mine("B")
	r.caughtUp("s")
	r.stop()
	r.stored(l, "000000000011/000000/000000")
	r.start()
	r.caughtUp("s")
	r.quiet("s")
}

func TestProgressStaysOutOfTheUnstableHead(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.chain.finality = ffcapi.Confirmations
		r.opts.UnstableHead = 4
		r.opts.CheckpointInterval = time.Millisecond
	})
	r.stream("s")
	l := r.listen("s", "l", "A")
	for range 10 { // blocks 1 to 10
		r.chain.mine("B")
		r.caughtUp("s")
	}
	r.stored(l, "000000000007/000000/000000")
	r.stop()
	r.stored(l, "000000000007/000000/000000")
	r.start()
}

func TestAResetIsNotUndoneByALateWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	late := r.live("s")
	// The write of the first run hangs, and comes through after the reset.
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hanging := &hangingStore{fakeStore: r.store, reached: reached, release: release, once: &once}
	r.stop()
	r.opts.Store = hanging
	r.start()
	again := r.live("s")
	require.Equal(t, late.Body, again.Body)
	again.finish(nil)
	<-reached
	reset := make(chan error, 1)
	go func() {
		_, err := r.m.ResetListener(context.Background(), "s", l, nil, false)
		reset <- err
	}()
	require.NoError(t, <-reset)
	close(release)
	again = r.live("s")
	require.Equal(t, late.Body, again.Body, "delivered again from the start")
	require.ErrorIs(t, <-hanging.result(), store.ErrFenced)
	_, stored := r.store.checkpoint(l)
	require.False(t, stored)
}

// hangingStore holds up the first checkpoint write, also beyond the end of its context, as a database may.
type hangingStore struct {
	*fakeStore
	reached, release chan struct{}
	once             *sync.Once
	mu               sync.Mutex
	ch               chan error
}

func (h *hangingStore) result() chan error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ch == nil {
		h.ch = make(chan error, 1)
	}
	return h.ch
}

func (h *hangingStore) WriteCheckpoints(ctx context.Context, f store.Fence, stream string, epoch int64, cps []store.Checkpoint) error {
	first := false
	h.once.Do(func() { first = true })
	if !first {
		return h.fakeStore.WriteCheckpoints(ctx, f, stream, epoch, cps)
	}
	close(h.reached)
	go func() { // the caller leaves, the write stays
		<-h.release
		h.result() <- h.fakeStore.WriteCheckpoints(context.WithoutCancel(ctx), f, stream, epoch, cps)
	}()
	<-ctx.Done()
	return ctx.Err()
}

func TestAnotherOwnerEndsTheRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	id := r.stream("s")
	l := r.listen("s", "l", "A")
	d := r.live("s")
	_, err := r.store.NewEpoch(t.Context(), store.Fence{}, id) // somebody else runs the stream now
	require.NoError(t, err)
	d.finish(nil)
	r.eventually(func() bool { return r.state("s").State == stateFailed })
	require.Contains(t, r.state("s").LastError, "taken the stream over")
	_, stored := r.store.checkpoint(l)
	require.False(t, stored)
}

func TestALostStoreStopsEverything(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{})
	r := newRig(t, func(r *rig) { r.opts.Lost = lost })
	r.chain.mine("A")
	r.stream("s")
	l := r.listen("s", "l", "A")
	d := r.live("s")
	close(lost)
	<-d.ctx.Done()
	r.eventually(func() bool { return r.state("s").State == stateFailed })
	require.Contains(t, r.state("s").LastError, "lost")
	_, stored := r.store.checkpoint(l)
	require.False(t, stored)
}

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

func TestAChainThatCannotBeReachedIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Ledger" || call == "Events" {
				return ffcapi.Errorf(ffcapi.Unavailable, "%s is down", call)
			}
			return nil
		}
	})
	r.listen("s", "l", "A")
	r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "Ledger is down") })
	require.Equal(t, stateStarting, r.state("s").State)
	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Events" {
				return ffcapi.Errorf(ffcapi.Unavailable, "%s is down", call)
			}
			return nil
		}
	})
	r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "Events is down") })
	r.chain.set(func(c *fakeChain) { c.fault = nil })
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch))
}

// A connector that panics, or says what cannot be, has failed to read: the run goes on.
func TestAPanickingConnectorHasFailedToRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(*ffcapi.EventPage) *ffcapi.EventPage
		want   string
	}{
		"panic":         {func(*ffcapi.EventPage) *ffcapi.EventPage { panic("oh") }, "the connector panicked: oh"},
		"no page":       {func(*ffcapi.EventPage) *ffcapi.EventPage { return nil }, "neither a page nor an error"},
		"wrong matches": {func(p *ffcapi.EventPage) *ffcapi.EventPage { p.Events[0].Matches = []int{17}; return p }, "matches [17] of 1 listeners"},
		"no listener":   {func(p *ffcapi.EventPage) *ffcapi.EventPage { p.Events[0].Matches = []int{0, -1}; return p }, "matches [0 -1] of 1 listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var once sync.Once
			r.chain.set(func(f *fakeChain) {
				f.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
					once.Do(func() { p = c.tamper(p) })
					return p
				}
			})
			r.chain.mine("A")
			r.stream("s", suspended)
			r.listen("s", "l", "A")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			d := r.live("s")
			require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
			d.finish(nil)
			require.Contains(t, r.state("s").LastError, c.want)
			require.EqualValues(t, 1, r.epoch(), "it is still the first run")
		})
	}
}
