package txn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// TestBacklogWaitsForAcceptsUnderWay: one that began earlier may hold a lower nonce than what is read.
func TestBacklogWaitsForAcceptsUnderWay(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for range s.backlog.most {
		s.accept("bob")
	}
	for range s.backlog.share {
		s.accept("ann")
	}
	l, ticket, _ := s.begin(laneKey{signer: "ann"}, 1000, false)
	slow := s.commit("ann")
	fast := s.accept("ann")
	require.Nil(t, s.items[fast.id()])
	for range 50 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	require.False(t, fast.sent)
	s.accepted(l, ticket, s.item(slow))
	slow.known = true
	for range 50 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	require.True(t, slow.sent)
	require.True(t, fast.sent)
}

// TestBacklogServesOthersByTheWay: what is read for one signer and lies beside it is there for another, who can send it at once.
func TestBacklogServesOthersByTheWay(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for range 4 {
		s.accept("ann")
		s.accept("bob")
	}
	s.accept("ann")
	beside := s.accept("bob")
	for range 20 {
		s.accept("ann")
	}
	s.accept("bob")
	ann, bob := s.lanes[laneKey{signer: "ann"}], s.lanes[laneKey{signer: "bob"}]
	for len(ann.line) > 0 { // bob's node is away
		batch := s.schedule.next()
		verdicts := all(batch, verdict{unsent: true, ordered: true, due: s.clock.at.Add(time.Hour)})
		if batch[0].lane == ann {
			verdicts = all(batch, verdict{gone: true})
			for _, it := range batch {
				s.row(it).ended = true
			}
		}
		s.done(batch, verdicts)
	}
	s.rows[bob.line[0].seq-1].ended = true
	s.remove(bob.line[0].id)
	for s.page(false); s.reading != nil; {
		s.page(false)
	}
	require.NotNil(t, s.items[beside.id()])
	require.True(t, bob.rest.some())
	require.Greater(t, bob.rest.floor, beside.nonce, "it can be sent")
}

// TestBacklogKeepsWhatBecomesKnownLate: one that was accepted before where a reading began becomes known while it goes on.
func TestBacklogKeepsWhatBecomesKnownLate(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	l, ticket, _ := s.begin(laneKey{signer: "ann"}, 1000, false)
	early := s.commit("ann")
	for range 10 {
		s.accept("bob")
	}
	for range 6 {
		s.accept("ann")
	}
	for range 20 {
		s.accept("bob")
	}
	for s.reading == nil {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	s.accepted(l, ticket, s.item(early))
	early.known = true
	for range 300 {
		s.page(false)
		s.check(t)
		s.work(t, func() (bool, bool) { return true, true })
	}
	for _, r := range s.rows {
		require.True(t, r.ended, r.id())
	}
}

// TestWhatAReadingPassesOverStaysCounted: one signer has had her fill, and the reading goes on where another's begins, at the end.
func TestWhatAReadingPassesOverStaysCounted(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for range 100 {
		s.accept("ann")
	}
	for range 6 {
		s.accept("bob")
	}
	sent := 0
	for s.work(t, func() (bool, bool) { sent++; return true, true }) {
	}
	s.read()
	require.Equal(t, 106-sent, s.pending())

	ann := laneKey{signer: "ann"}
	s.rows[50].ended = true
	s.remove(s.rows[50].id())
	s.next[ann] = 50
	s.accept("ann")
	for range 500 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	require.Zero(t, s.pending())
}

// TestBacklogIsCountedAgain: what has ended in the store does not keep new transactions out.
func TestBacklogIsCountedAgain(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	m := &Manager{sched: s.schedule}
	for range 100 {
		s.accept("ann")
	}
	s.stall()
	for _, r := range s.rows[10:] {
		r.ended = true
		s.remove(r.id())
	}
	again := func() (counted bool) {
		require.ErrorIs(t, m.tooMany(), apitypes.ErrTooManyPending)
		select {
		case <-s.recount:
		default:
			return false
		}
		for s.page(true); s.reading != nil; {
			s.page(true)
		}
		return true
	}
	require.True(t, again())
	require.Equal(t, 10, s.pending())
	require.False(t, again(), "not all the time")
	s.clock.at = s.clock.at.Add(recountEvery)
	require.True(t, again())
}

// TestAReadingEndsSoon: what is read can be sent at its end, so it does not look through all of somebody else's backlog at once.
func TestAReadingEndsSoon(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for _, signer := range []string{"sparse", "stuck", "dense"} {
		for range 20 {
			s.accept(signer)
		}
	}
	for range 300 {
		s.accept("stuck")
	}
	for range 40 {
		s.accept("sparse")
	}
	for range 2000 {
		pages := 0
		for s.page(false); s.reading != nil; pages++ {
			s.page(false)
		}
		require.LessOrEqual(t, pages, 2*readingPages+2)
		if batch := s.schedule.next(); len(batch) > 0 {
			if batch[0].lane.key.signer == "stuck" {
				s.done(batch, all(batch, verdict{unsent: true, ordered: true, due: s.clock.at.Add(time.Hour)}))
				continue
			}
			for _, it := range batch {
				s.row(it).ended = true
			}
			s.done(batch, all(batch, verdict{gone: true}))
		}
	}
	for _, r := range s.rows {
		require.Equal(t, r.key.signer != "stuck", r.ended, r.id())
	}
}

// TestBurstEndsInTheStore: one transaction that comes with each reading is handed on in memory again.
func TestBurstEndsInTheStore(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s := newShelves(sequenced)
		for range 30 {
			s.accept("ann")
		}
		handed := 0
		for range 100 {
			for s.work(t, func() (bool, bool) { return true, true }) {
			}
			s.page(false)
			if s.items[s.accept("ann").id()] != nil {
				handed++
			}
			s.read()
		}
		require.Greater(t, handed, 80)
	}
}

// TestGapThatIsFilledWhileAllIsRead: when the last page of a reading of everything is there, what fills a gap in it is still told apart.
func TestGapThatIsFilledWhileAllIsRead(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	ann := laneKey{signer: "ann"}
	for range 40 {
		s.commit("ann").known = true
	}
	s.rows[25].ended = true
	for range 6 {
		s.accept("bob")
	}
	for s.page(true); s.fetched == nil || len(s.fetched) == 3; {
		s.page(true)
	}
	s.next[ann] = 25
	s.accept("ann")
	s.page(true)
	require.Nil(t, s.reading)
	for range 500 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	require.Zero(t, s.pending())
}

// TestNewsOfWhatIsBeingRead: a suspended transaction is resumed between the reading of its page and its coming into memory.
func TestNewsOfWhatIsBeingRead(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s := newShelves(sequenced)
		r := s.commit("ann")
		r.known, r.held = true, true
		s.page(true)
		require.Len(t, s.fetched, 1)
		r.held = false
		s.rouse(r.id(), true)
		s.page(true)
		require.Nil(t, s.reading)
		require.True(t, s.work(t, func() (bool, bool) { return true, true }))
		require.True(t, r.ended)
	}
}
