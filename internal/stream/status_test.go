package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestStatusSaysHowFarAStreamIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream("s", func(s *apitypes.EventStream) { s.RetryTimeout = ptr(ms(1000)) })
		r.listenFrom("s", "1", "A")
		r.chain.mine("A")
		r.chain.mine("A")
		r.chain.mine("B")
		d := r.live("s")
		r.chain.mine("B")
		synctest.Wait()
		<-time.After(1500 * time.Millisecond)
		st := r.state("s")
		require.Equal(t, stateLive, st.State)
		require.Equal(t, uint64(4), *st.HeadBlock)
		require.Equal(t, uint64(1), *st.CheckpointBlock, "the first block with something unacknowledged")
		require.Equal(t, uint64(4), *st.LagBlocks)
		require.InDelta(t, 3, *st.LagSeconds, 0, "a block a second")
		require.Equal(t, 1, st.InFlightBatches)
		require.InDelta(t, 1.5, *st.OldestUnackedSeconds, 0)
		require.Nil(t, st.BlockedSince)

		began := time.Now()
		d.finish(errTest)
		again := <-r.factory.of("s").out
		<-time.After(1500 * time.Millisecond)
		again.finish(errTest)
		synctest.Wait()
		st = r.state("s")
		require.Equal(t, stateBlocked, st.State)
		require.WithinDuration(t, began, *st.BlockedSince.Time(), 0)
		require.GreaterOrEqual(t, *st.OldestUnackedSeconds, 3.0, "since it was sent first; the pause between may be none")
		require.Equal(t, uint64(len(again.Events)), st.Redelivered)

		again = <-r.factory.of("s").out
		again.finish(nil)
		synctest.Wait()
		if len(again.Events) == 1 {
			(<-r.factory.of("s").out).finish(nil)
			synctest.Wait()
		}
		st = r.state("s")
		require.Equal(t, stateLive, st.State)
		require.Equal(t, uint64(2), st.Delivered)
		require.Equal(t, uint64(5), *st.CheckpointBlock)
		require.Zero(t, *st.LagBlocks)
		require.Zero(t, *st.LagSeconds)
		require.Nil(t, st.OldestUnackedSeconds)
		require.Nil(t, st.BlockedSince)
		require.Zero(t, *st.DeadLetters)
		require.Zero(t, st.Rewinds)
	})
}

// One that does not run stands where the store has it; one that has failed as well as one that was suspended.
func TestStatusOfStreamsThatDoNotRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.chain.mine("A")
	r.live("s").finish(nil)
	r.stored(l, ffcapi.BlockStart(2).String())
	r.caughtUp("s")
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	r.chain.mine("A")
	r.chain.mine("A")
	st := r.state("s")
	require.Equal(t, stateSuspended, st.State)
	require.Equal(t, uint64(3), *st.HeadBlock)
	require.Equal(t, uint64(2), *st.CheckpointBlock)
	require.Equal(t, uint64(2), *st.LagBlocks)
	require.InDelta(t, 1, *st.LagSeconds, 0)
	require.Equal(t, uint64(1), st.Delivered)

	r.chain.set(func(c *fakeChain) { c.blocks[1].ref.Hash = "0xother" })
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	r.eventually(func() bool { return r.state("s").State == stateFailed })
	require.Equal(t, uint64(2), *r.state("s").LagBlocks)
}

// A list costs a handful of reads of the store however long it is, and is given without a store that answers.
func TestAListOfStreamsAsksTheStoreOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const many = 100
	for i := range many {
		name := fmt.Sprintf("s%d", i)
		r.stream(name, suspended)
		r.listen(name, "l", "A")
	}
	r.stream("live") // so that the ledger is followed
	r.listen("live", "l", "A")
	r.caughtUp("live")
	require.NoError(t, r.m.SuspendStream(t.Context(), "live")) // it has reads of its own
	var calls atomic.Int64
	r.store.setFault(func(string) error { calls.Add(1); return nil })
	list, err := r.m.Streams(t.Context(), many, "")
	require.NoError(t, err)
	require.Len(t, list, many)
	for _, s := range list {
		require.Equal(t, uint64(1), *s.StreamState.LagBlocks)
	}
	require.LessOrEqual(t, calls.Load(), int64(2))

	r.store.setFault(func(string) error { return store.ErrUnavailable })
	list, err = r.m.Streams(t.Context(), many, "")
	require.NoError(t, err)
	require.Nil(t, list[0].StreamState.LagBlocks)
	require.Nil(t, list[0].StreamState.DeadLetters)
	require.Equal(t, stateSuspended, list[0].StreamState.State)
	r.store.setFault(nil)
}

// twoLedgers has heads of its own.
type twoLedgers struct {
	*fakeChain
	heads map[string]uint64
}

func (c *twoLedgers) SafeAt(ledger string, _ int) (ffcapi.BlockRef, bool, <-chan struct{}) {
	head, ok := c.heads[ledger]
	return ffcapi.BlockRef{Number: head, Hash: "0x"}, ok, nil
}

func (c *twoLedgers) Time(string, uint64) (time.Time, bool) { return time.Time{}, false }

func TestStatusShowsTheLedgerThatIsFurthestBehind(t *testing.T) {
	t.Parallel()
	c := &twoLedgers{fakeChain: newFakeChain(), heads: map[string]uint64{"a": 1000, "b": 50}}
	m := &Manager{opts: Options{Chain: c, Now: time.Now}}
	p := &place{}
	p.add(apitypes.ListenerEvents, "a", ffcapi.BlockStart(999))
	p.add(apitypes.ListenerEvents, "b", ffcapi.BlockStart(30))
	p.add(apitypes.ListenerEvents, "b", ffcapi.BlockStart(40))
	p.add(apitypes.ListenerEvents, "unknown", ffcapi.BlockStart(1))
	m.clock.note("b", 50, blockTime(50))
	m.clock.note("b", 30, blockTime(30))
	st := &apitypes.StreamStatus{}
	sv := survey{m: m}
	sv.measure(t.Context(), st, &store.Stream{}, p)
	require.Equal(t, [3]uint64{50, 30, 21}, [3]uint64{*st.HeadBlock, *st.CheckpointBlock, *st.LagBlocks})
	require.InDelta(t, 20, *st.LagSeconds, 0)
	require.Nil(t, st.LagTransactions)
}

func TestTimesOfBlocksAreEstimatedBetweenThoseThatAreKnown(t *testing.T) {
	t.Parallel()
	var c clock
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	head := blockMark{1000, at(5000)}
	_, _, known := c.at("l", 500, head)
	require.False(t, known)
	c.note("l", 100, at(100))
	c.note("l", 300, time.Time{}) // says nothing
	got, off, known := c.at("l", 100, head)
	require.True(t, known)
	require.Zero(t, off)
	require.Equal(t, at(100), got)
	got, off, known = c.at("l", 550, head)
	require.True(t, known)
	require.Equal(t, at(2550), got)
	require.Equal(t, 4900*time.Second, off)
	c.note("l", 600, at(4900))
	got, _, _ = c.at("l", 350, head)
	require.Equal(t, at(2500), got)
	_, _, known = c.at("l", 99, head)
	require.False(t, known, "it may be as old as it likes")
	_, _, known = c.at("other", 500, head)
	require.False(t, known)

	for n := range uint64(20_000) {
		c.note("l", 1000+n, at(5000+int(n)))
	}
	require.LessOrEqual(t, len(c.marks["l"]), clockMarks)
	const top = 20_999
	for _, lag := range []uint64{20_000, 10_000, 1000, 100, 10} { // which is a second for each block
		_, off, known = c.at("l", top-lag, blockMark{top, at(top + 4000)})
		require.True(t, known)
		require.LessOrEqual(t, off, time.Duration(lag)*time.Second/8)
	}
}

// What is not known is asked for in the background, one block at a time; what cannot be told does not keep others from being asked for.
func TestTimesOfBlocksAreLookedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.chain.window = 1 })
		for range 100 {
			r.chain.mine()
		}
		var calls atomic.Int64
		gone := atomic.Bool{}
		gone.Store(true)
		r.chain.set(func(c *fakeChain) {
			c.fault = func(call string) error {
				if call != "Block" {
					return nil
				}
				calls.Add(1)
				if gone.Load() {
					return ffcapi.Errorf(ffcapi.Pruned, "gone")
				}
				return nil
			}
		})
		for _, at := range []string{"10", "50"} {
			r.stream("s"+at, suspended)
			r.listenFrom("s"+at, at, "A")
		}
		list := func() (lags []*float64) {
			out, err := r.m.Streams(t.Context(), 10, "")
			require.NoError(t, err)
			synctest.Wait()
			for _, s := range out {
				lags = append(lags, s.StreamState.LagSeconds)
			}
			return lags
		}
		require.Equal(t, []*float64{nil, nil}, list())
		require.Equal(t, int64(1), calls.Load())
		list()
		require.Equal(t, int64(1), calls.Load(), "not so often")
		gone.Store(false)
		<-time.After(clockPause)
		list()
		require.Equal(t, int64(2), calls.Load(), "of the other one")
		<-time.After(clockPause)
		require.Equal(t, []*float64{nil, ptr(50.0)}, list())
		<-time.After(clockFailurePause)
		list()
		require.Equal(t, []*float64{ptr(90.0), ptr(50.0)}, list())
		<-time.After(clockPause)
		n := calls.Load()
		list()
		require.Equal(t, n, calls.Load(), "all is known")
	})
}

// BenchmarkStatus lists a thousand streams, every other one suspended.
func BenchmarkStatus(b *testing.B) {
	r := newRig(b)
	for i := range 1000 {
		name := fmt.Sprintf("s%d", i)
		s, err := r.m.CreateStream(b.Context(), &apitypes.EventStream{Name: &name, Suspended: ptr(i%2 == 0)})
		require.NoError(b, err)
		_, err = r.m.CreateListener(b.Context(), s.ID.String(), &apitypes.Listener{Filters: filters("A")})
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		list, err := r.m.Streams(context.Background(), 1000, "")
		require.NoError(b, err)
		require.Len(b, list, 1000)
	}
}

func TestWarningsOfBothReceiversAreToldApart(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, new(reachable)} })
	r.stream("one", withOutlet)
	r.stream("both", withOutlet, func(s *apitypes.EventStream) { s.Type, s.Kafka = ptr("kafka"), json.RawMessage(`{"topic":"a"}`) })
	require.Equal(t, []string{"deadLetter: there is one copy only"}, r.state("one").Warnings)
	require.Equal(t, []string{"there is one copy only", "deadLetter: there is one copy only"}, r.state("both").Warnings)
}
