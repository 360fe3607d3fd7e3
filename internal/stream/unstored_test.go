package stream

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// heldStore holds up each write of checkpoints until the test lets it through.
type heldStore struct {
	*fakeStore
	through chan struct{}
}

func (h *heldStore) WriteCheckpoints(ctx context.Context, f store.Fence, stream string, epoch int64, cps []store.Checkpoint) error {
	select {
	case <-h.through:
		return h.fakeStore.WriteCheckpoints(ctx, f, stream, epoch, cps)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eager acknowledges everything at once, and returns how many events it got.
func eager(r *rig, stream string) (events int) {
	synctest.Wait()
	for out := r.factory.of(stream).out; len(out) > 0; {
		d := <-out
		events += len(d.Events)
		d.finish(nil)
		synctest.Wait()
	}
	return events
}

// However fast a receiver is, what it got is ahead of what is stored by the window and what is allowed besides, and not by a batch more.
func TestDeliveryStaysNearWhatIsStored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ window, allowed int }{{1, 0}, {1, 1}, {1, 8}, {3, 0}, {3, 2}, {20, 8}} {
		synctest.Test(t, func(t *testing.T) {
			const size, events = 2, 100
			bound := (c.window + c.allowed) * size
			held := &heldStore{newFakeStore(), make(chan struct{})}
			r := newRig(t, windowed(c.window), func(r *rig) { r.opts.Store, r.opts.MaxUnstored = held, &c.allowed })
			r.stream("s")
			l := r.listen("s", "l", "A")
			for range events {
				r.chain.mine("A")
			}
			got := 0
			for stored := 0; stored < events; {
				got += eager(r, "s")
				require.Equal(t, min(stored+bound, events), got, "of which %d are stored, %+v", stored, c)
				held.through <- struct{}{}
				synctest.Wait()
				cp, ok := held.checkpoint(l)
				require.True(t, ok)
				require.Greater(t, int(cp.Cursor.Block)-1, stored)
				stored = int(cp.Cursor.Block) - 1 // an event a block, from 1 on
				require.Zero(t, stored%size)
			}
			require.Equal(t, events, got, "each once")
		})
	}
}

// A crash brings no more back than that, whenever it happens; what a listener passes over, and the status changes of transactions, do not hold it up.
func TestACrashRepeatsNoMoreThanTheBound(t *testing.T) {
	t.Parallel()
	const size, events = 3, 200
	for _, c := range []struct{ window, allowed int }{{1, 0}, {2, 0}, {1, 4}, {4, 4}} {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowStore{newFakeStore(), make(chan [2]time.Time, 10000)}
			log := newFakeLog()
			log.addN(1, events)
			r := newRig(t, windowed(c.window), withLog(log), func(r *rig) { r.opts.Store, r.opts.MaxUnstored, r.store = slow, &c.allowed, slow.fakeStore })
			for range events {
				r.chain.mine("A", "B", "B")
			}
			r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(size)) })
			r.listen("s", "l", "A")
			r.program("s", "some", `.blockNumber | tonumber % 7 == 0`, "")
			r.program("s", "none", "false", "")
			r.changes("s", "earliest")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			want := events + events/7*3 + events
			seen, most := make(map[string]int), 0
			for run := 1; len(seen) < want; run++ {
				again := 0
				for end := time.Now().Add(time.Duration(run) * 1700 * time.Microsecond); time.Now().Before(end); {
					again += r.takeInto(seen, run)
					require.NoError(t, retry.Sleep(t.Context(), 250*time.Microsecond))
				}
				if run%2 == 0 {
					again += r.takeInto(seen, run)
				}
				require.LessOrEqual(t, again, (c.window+c.allowed)*size, "%+v", c)
				most = max(most, again)
				r.crash()
			}
			require.Positive(t, most, "no crash came between an acknowledgement and the store")
			require.Len(t, seen, want)
		})
	}
}

// takeInto acknowledges everything at once, notes in which run it came last, and returns how many events came in the run before as well.
func (r *rig) takeInto(seen map[string]int, run int) (again int) {
	synctest.Wait()
	for out := r.factory.of("s").out; len(out) > 0; synctest.Wait() {
		d := <-out
		for _, e := range d.Events {
			key := e.Listener.ID + " " + e.ID
			require.NotEqual(r.t, run, seen[key], "%s comes twice without a crash", key)
			if run > 1 && seen[key] == run-1 {
				again++
			}
			seen[key] = run
		}
		d.finish(nil)
	}
	return again
}

// crash ends the process without a word to the store, and starts it again.
func (r *rig) crash() {
	r.t.Helper()
	r.store.setFault(func(call string) error {
		if call == "WriteCheckpoints" {
			return store.ErrUnavailable
		}
		return nil
	})
	r.stop()
	r.store.setFault(nil)
	r.start()
}

// A store that is away stops the delivery, which shows, and nothing is lost or comes twice for it.
func TestDeliveryWaitsForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const events = 50
		r := newRig(t, func(r *rig) { r.opts.MaxUnstored = ptr(3) })
		r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
		r.listen("s", "l", "A")
		r.store.setFault(func(call string) error {
			if call == "WriteCheckpoints" {
				return store.ErrUnavailable
			}
			return nil
		})
		for range events {
			r.chain.mine("A")
		}
		began := time.Now()
		require.Equal(t, 4, eager(r, "s"), "the window and three")
		st := r.state("s")
		require.NotEqual(t, stateBlocked, st.State, "it may be there again at once")
		require.Equal(t, 4, st.UnstoredBatches)
		require.Zero(t, st.InFlightBatches)
		require.NoError(t, retry.Sleep(t.Context(), storePatience))
		require.Zero(t, eager(r, "s"))
		st = r.state("s")
		require.Equal(t, stateBlocked, st.State)
		require.WithinDuration(t, began, *st.BlockedSince.Time(), 0)
		require.Contains(t, st.LastError, store.ErrUnavailable.Error())

		r.store.setFault(nil)
		require.NoError(t, retry.Sleep(t.Context(), storeBackoff.Max))
		require.Equal(t, events-4, eager(r, "s"))
		st = r.state("s")
		require.Equal(t, stateLive, st.State)
		require.Nil(t, st.BlockedSince)
		require.Zero(t, st.UnstoredBatches)
		require.Zero(t, st.Redelivered)
	})
}

// After a write of many positions the store has a rest, but not while a batch waits for it.
func TestNobodyWaitsForTheRestOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{newFakeStore(), make(chan [2]time.Time, 1000)}
		r := newRig(t, func(r *rig) { r.opts.Store, r.opts.MaxUnstored = slow, ptr(1) })
		r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(manyRows)) })
		for i := range manyRows {
			r.listen("s", fmt.Sprintf("l%d", i), "A")
		}
		for range 20 {
			r.chain.mine("A")
		}
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		began := time.Now()
		for range 20 {
			r.live("s").finish(nil)
		}
		require.LessOrEqual(t, time.Since(began), 20*slowWrite, "a batch takes a write at most")
		require.NotZero(t, time.Since(began))
	})
}

// A receiver that answers one batch late gets only so many behind it, since they all come again with it. One that gave up the order for speed gets on.
func TestBatchesBehindAnOpenOne(t *testing.T) {
	t.Parallel()
	const events = "abcdefghijklmnopqrstuvwxyz"
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			out := newFakeSink(3)
			l := newLane(t, out, func(p *policy) { p.unstored = 2 })
			if unordered {
				l.quit()
				l = newLane(t, anyOrder{out}, func(p *policy) { p.unstored = 2 })
				l.sink = out
			}
			defer l.quit()
			for _, e := range strings.Split(events, "") {
				l.push(e)
			}
			first := l.take("a")
			got := "a"
			for l.pump(); len(l.there) > 0; l.pump() {
				d := l.any()
				got += called(d.Batch)
				d.finish(nil)
			}
			if unordered {
				require.Equal(t, events, got)
			} else {
				require.Equal(t, "abcde", got, "the window, and two")
			}
			require.Zero(t, l.safe)
			l.wait(2 * storePatience)
			require.False(t, l.d.state().blocked, "the receiver is waited for, and not the store")
			first.finish(nil)
			for l.pump(); len(l.there) > 0; l.pump() {
				d := l.any()
				got += called(d.Batch)
				d.finish(nil)
			}
			require.Equal(t, events, got)
			require.Equal(t, len(events), l.safe)
		})
	}
}

// What was sent already goes again, in parts as well, while there is no room for anything new: the position could never move without it.
func TestPartsNeedNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(t, newFakeSink(2), skipping)
		defer l.quit()
		l.push("abcd")
		l.push("e")
		l.push("f")
		first := l.take("abcd")
		l.take("e").finish(nil)
		l.idle()
		first.finish(errNo)
		synctest.Wait()
		l.take("ab").finish(nil)
		l.take("cd").finish(errNo)
		l.take("c").finish(nil)
		l.take("d").finish(errNo)
		l.take("f").finish(nil)
		l.aside("d permanent 3")
		require.Equal(t, 6, l.done())
	})
}

// A search for an event that the receiver takes goes on while the store is away, and only so far.
func TestASearchNeedsNoRoomForWhatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(t, newFakeSink(1), skipping)
		defer l.quit()
		for _, e := range "abcd" {
			l.push(string(e))
		}
		l.leave(true)
		l.refuse("a", errNack, laneRetry)
		l.take("a").finish(errNack)
		l.take("b").finish(nil)
		synctest.Wait()
		require.Equal(t, []string{"a refused"}, l.set())
		l.idle()
		l.wait(time.Minute)
		l.idle()
		l.leave(false)
		l.take("c").finish(nil)
		l.take("d").finish(nil)
		require.Equal(t, 4, l.done())
	})
}

// A batch of replayed dead letters moves no position, and holds nothing up for that.
func TestReplaysLeaveNoPositionToWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.opts.MaxUnstored = ptr(0) })
		stream, _ := r.setAside(3)
		r.ask(stream)
		got := 0
		for range 3 {
			got += eager(r, "s")
			require.NoError(t, retry.Sleep(t.Context(), time.Second))
		}
		require.Equal(t, 3, got)
		r.chain.mine("A")
		require.Equal(t, 1, eager(r, "s"))
		require.Empty(t, r.letters(stream))
	})
}
