package txn

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// paused is a schedule with as many transactions of a ledger, each of its own signer, as is said.
func paused(sequenced bool, n int) *schedule {
	s, _ := opened(sequenced, 8)
	for i := range n {
		s.load(laneKey{"away", fmt.Sprint("signer", i)}, numbered(fmt.Sprint("away", i), 0))
	}
	return s
}

// TestAPauseIsForAllOfALedger: whatever it has in line, and whatever comes, it costs no worker anything, and others go on.
func TestAPauseIsForAllOfALedger(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{false, true} {
		s := paused(sequenced, 1000)
		batch := s.next()
		require.Len(t, batch, 1)
		require.True(t, s.pause("away"))
		require.False(t, s.pause("away"), "somebody waits for it")
		require.Nil(t, s.next())
		s.done(batch, []verdict{{unsent: true, ordered: true, due: s.now(), untouched: true}})
		s.rouse("away7/0", true)
		s.load(laneKey{"away", "another"}, numbered("away-another", 0))
		require.Nil(t, s.next())

		s.accept(t, "here", 0)
		other := s.next()
		require.Equal(t, []string{"here/0"}, ids(other))
		s.done(other, []verdict{{gone: true}})
		require.Nil(t, s.next())

		s.unpause("away")
		sent := map[string]bool{}
		for batch := s.next(); batch != nil; batch = s.next() {
			for _, id := range ids(batch) {
				sent[id] = true
			}
			s.done(batch, all(batch, verdict{gone: true}))
		}
		require.Len(t, sent, 1001)
		require.Empty(t, s.items)
		require.Empty(t, s.lanes)
	}
}

// TestAPauseCostsNoBreadth: what comes back untouched goes together again as if it had never been taken.
func TestAPauseCostsNoBreadth(t *testing.T) {
	t.Parallel()
	s, _ := opened(true, 8)
	for n := range uint64(20) {
		s.accept(t, "alice", n)
	}
	batch := s.next()
	require.Len(t, batch, 20)
	s.pause("")
	s.done(batch, all(batch, verdict{unsent: true, ordered: true, due: s.now(), untouched: true}))
	s.unpause("")
	require.Equal(t, ids(batch), ids(s.next()))
}

// TestAPauseKeepsTheOrder: those that were first in turn are so after it, what a worker had among them, whenever it gives that back.
func TestAPauseKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			s := paused(sequenced, 100)
			batch := s.next()
			s.pause("away")
			if late {
				s.unpause("away")
			}
			s.done(batch, all(batch, verdict{unsent: true, ordered: true, due: s.now(), untouched: true}))
			s.unpause("away")
			for i := range 100 {
				batch := s.next()
				require.Equal(t, []string{fmt.Sprintf("away%d/0", i)}, ids(batch))
				s.done(batch, all(batch, verdict{gone: true}))
			}
		}
	}
}
