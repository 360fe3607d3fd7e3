package stream

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// stoppedBehind is a stream that has delivered the one event that there is, and does not run.
func stoppedBehind(t *testing.T) (r *rig, listener string) {
	t.Helper()
	r = newRig(t)
	r.chain.mine("A")
	r.stream("s")
	listener = r.listen("s", "l", "A")
	r.live("s").finish(nil)
	r.stored(listener, "000000000002/000000/000000")
	r.stop()
	return r, listener
}

func TestAnotherChainWithInstantFinalityFailsTheStream(t *testing.T) {
	t.Parallel()
	r, l := stoppedBehind(t)
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
	r, _ := stoppedBehind(t)
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
