package txn

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// gather makes a crowd of accepts of which none has ended, and as many lanes with something to send.
func gather(t *testing.T, s *schedule) {
	t.Helper()
	for i := range s.crowd.size {
		signer := fmt.Sprintf("signer-%d", i)
		for n := range uint64(4) {
			s.accept(t, signer, n)
		}
	}
	for range s.crowd.size {
		_, _, ok := s.begin(laneKey{signer: "newcomer"}, 1_000_000, false)
		require.True(t, ok)
	}
}

func TestSendsStepBackForACrowd(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	gather(t, s)
	batch := s.next()
	require.Len(t, batch, crowdWidth)
	require.Nil(t, s.next(), "one batch at a time")
	s.done(batch, all(batch, verdict{}))
	require.Len(t, s.next(), crowdWidth, "but one always")

	c.at = c.at.Add(crowdGap)
	require.Len(t, s.next(), 4, "it has gone")
	require.Len(t, s.next(), 4)
}

func TestACrowdThatStaysDoesNotHoldSendsForLong(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	gather(t, s)
	require.NotNil(t, s.next())
	for end := c.at.Add(crowdFor); c.at.Before(end); c.at = c.at.Add(crowdGap / 2) {
		require.Nil(t, s.next())
		_, _, ok := s.begin(laneKey{signer: "newcomer"}, 1_000_000, false)
		require.True(t, ok)
	}
	require.NotNil(t, s.next())
}

func TestMuchThatWaitsEndsTheStepBack(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	s.crowd.burst = 4*s.crowd.size + 10
	gather(t, s)
	require.NotNil(t, s.next())
	require.Nil(t, s.next())
	for n := range uint64(s.crowd.burst) {
		s.accept(t, "more", n)
	}
	require.NotNil(t, s.next())
}

// What waits is counted as it comes and goes, whichever way.
func TestWhatWaitsIsCounted(t *testing.T) {
	t.Parallel()
	s, c := opened(true, 8)
	for n := range uint64(3) {
		s.accept(t, "alice", n)
	}
	s.accept(t, "bob", 0)
	require.Equal(t, 4, s.waiting)
	batch := s.next()
	require.Len(t, batch, 3)
	require.Equal(t, 1, s.waiting)
	s.done(batch, []verdict{{gone: true}, {ordered: true}, {due: c.at.Add(time.Second)}})
	require.Equal(t, 2, s.waiting)
	c.at = c.at.Add(time.Second)
	s.expire()
	require.Equal(t, 3, s.waiting)
	s.remove("bob/0")
	require.Equal(t, 2, s.waiting)
	s.remove("alice/1")
	s.remove("alice/2")
	require.Zero(t, s.waiting)
}

// When the one batch that may be under way hangs, nothing else may happen once the crowd has gone.
func TestABatchThatHangsHoldsNobodyAfterACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(true, 8, time.Now)
		s.loaded()
		gather(t, s)
		require.NotNil(t, s.take(t.Context()))
		began := time.Now()
		require.NotNil(t, s.take(t.Context()), "without an end of the first")
		require.LessOrEqual(t, time.Since(began), 2*crowdGap)
	})
}

// A node that takes its time to prepare sets the rate of a burst: sends that stepped back would only be later.
func TestSendsDoNotStepBackBehindASlowNode(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	for n := range uint64(4) {
		s.accept(t, "alice", n)
		s.accept(t, "bob", n)
	}
	for range 2 * s.crowd.size {
		_, _, ok := s.begin(laneKey{signer: "newcomer"}, 1_000_000, true)
		require.True(t, ok)
	}
	require.Len(t, s.next(), 4)
	require.Len(t, s.next(), 4)
}
