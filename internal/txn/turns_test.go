package txn

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestTakeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Nil(t, s.take(ctx))
	s.accept(t, "alice", 0)
	require.Nil(t, s.take(ctx), "whatever there is to do")
}

// TestClockPutBack: what was due, and is not any more, is not forgotten.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	for _, listed := range []bool{false, true} {
		s, c := opened(true, 8)
		s.accept(t, "alice", 0)
		due := c.at.Add(time.Second)
		s.done(s.next(), []verdict{{ordered: true, due: due}})
		rings := 0
		s.now = func() time.Time { // it rings, and then the clock is put back
			if rings++; rings == 1 || listed && rings == 2 {
				return due
			}
			return due.Add(-time.Minute)
		}
		s.expire()
		require.Nil(t, s.next())
		require.Equal(t, time.Minute, s.expire())
		s.now = func() time.Time { return due }
		require.Equal(t, idleTimerPeriod, s.expire())
		require.Equal(t, []string{"alice/0"}, ids(s.next()))
	}
}

// TestLookingAgainLeavesRoomForTheLine: however much there is to be looked at, what is new leaves in its turn.
func TestLookingAgainLeavesRoomForTheLine(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	for n := range uint64(4 * batchSize) {
		s.accept(t, "alice", n)
		s.done(s.next(), []verdict{{due: c.at.Add(time.Second)}})
	}
	c.at = c.at.Add(time.Second)
	s.expire()
	s.accept(t, "alice", 1000)
	var sent []string
	for range 2 {
		batch := s.next()
		sent = append(sent, ids(batch)...)
		s.done(batch, all(batch, verdict{due: c.at}))
	}
	require.Len(t, sent, batchSize+1)
	require.Contains(t, sent, "alice/1000")
}

// TestHandoverOfWhatEndsUntouched: a worker that could not even begin leaves the handover, and it is given back with its transaction.
func TestHandoverOfWhatEndsUntouched(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	l, ticket, _ := s.begin(laneKey{signer: "alice"}, 100, false)
	it := numbered("alice", 0)
	it.fresh = &handover{}
	s.accepted(l, ticket, it)
	batch := s.next()
	s.remove("alice/0")
	s.done(batch, []verdict{{ordered: true}})
	require.Zero(t, s.handed)
	require.Zero(t, s.handedBy)
	require.Empty(t, s.lanes)
}

// TestWhatHasLeftHoldsNobodyUp: it is with its worker still, and is put back as ever.
func TestWhatHasLeftHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	s.accept(t, "alice", 0)
	first := s.next()
	s.accept(t, "alice", 1)
	require.Nil(t, s.next(), "the first may not have left")
	s.left(first)
	second := s.next()
	require.Equal(t, []string{"alice/1"}, ids(second))
	s.accept(t, "alice", 2)
	s.done(first, []verdict{{ordered: true}})
	require.Nil(t, s.next(), "the second may not have left")
	s.done(second, []verdict{{gone: true}})
	require.Equal(t, "alice/0", s.next()[0].id, "nobody knows what became of it: it goes first")
}

// TestWhatIsUrgentGoesFirst, also when a worker has it just then, and in the way of nobody when it ends.
func TestWhatIsUrgentGoesFirst(t *testing.T) {
	t.Parallel()
	s, c := opened(false, 8)
	later := []verdict{{due: c.at.Add(time.Hour)}}
	s.accept(t, "alice", 0)
	s.done(s.next(), later)
	s.accept(t, "alice", 1)
	held := s.next()
	for n := range uint64(3) {
		s.accept(t, "alice", 2+n)
	}
	s.hasten("alice/0")
	s.hasten("alice/1")
	s.done(held, later)
	s.hasten("alice/9")
	require.Equal(t, []string{"alice/0"}, ids(s.next()))
	require.Equal(t, []string{"alice/1"}, ids(s.next()))
	second := s.next()
	require.Equal(t, []string{"alice/2"}, ids(second))
	s.done(second, later)
	s.rouse("alice/2", false)
	require.Equal(t, []string{"alice/3"}, ids(s.next()), "it was urgent once")

	for n := range uint64(5) {
		s.hasten("alice/2")
		s.remove(numbered("alice", n).id)
	}
	require.Equal(t, 3, s.busy)
	require.Nil(t, s.next())
	require.Zero(t, s.waiting)
}

// TestUrgentAmongThoseThatAreReady: it need not wait until those that were ready before it have been looked at.
func TestUrgentAmongThoseThatAreReady(t *testing.T) {
	t.Parallel()
	s, c := opened(false, 8)
	var all []*item
	for n := range uint64(3) {
		all = append(all, s.accept(t, "alice", n))
		s.done(s.next(), []verdict{{due: c.at.Add(time.Hour)}})
	}
	for _, it := range all {
		s.rouse(it.id, false)
	}
	s.hasten(all[2].id)
	s.hasten(all[2].id)
	for _, n := range []int{2, 0, 1} {
		require.Equal(t, []string{all[n].id}, ids(s.next()))
	}
	require.Nil(t, s.next())
	require.Zero(t, s.waiting)
}

// TestASuspensionForgetsWhatSendsWereAnswered, also when a worker has the transaction: it may have been resumed before that worker is back.
func TestASuspensionForgetsWhatSendsWereAnswered(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		s, c := opened(false, 1)
		it := s.accept(t, "alice", 0)
		batch := s.next()
		if !taken {
			s.done(batch, all(batch, verdict{due: c.at.Add(time.Minute)}))
		}
		it.answered(ffcapi.Errorf(ffcapi.Unavailable, "later"), 1)
		s.recall(it.id)
		if taken {
			require.True(t, s.recalled(it))
			s.done(batch, all(batch, verdict{due: c.at.Add(time.Minute)}))
			require.Len(t, s.next(), 1, "it is looked at once more")
		}
		require.Nil(t, it.known().lastErr)
	}
}
