package txn

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestItemsAreSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(item{}), uintptr(96), "a hundred thousand may wait for their blocks")
}

// TestBacklogStaysInTheStore: what waits takes no memory, and counts as open all the same.
func TestBacklogStaysInTheStore(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s := newShelves(sequenced)
		for range 100 {
			s.accept("ann")
			s.accept("bob")
		}
		require.LessOrEqual(t, len(s.items), s.backlog.most+2*s.backlog.share)
		require.Equal(t, 200, s.pending())
		require.Equal(t, 100, s.holding(laneKey{signer: "ann"}))
		_, _, ok := s.begin(laneKey{signer: "ann"}, 200, false)
		require.False(t, ok, "it is counted against the limit")
		sends := 0
		for range 1000 {
			s.page(false)
			require.LessOrEqual(t, s.unsent, s.backlog.most+2*s.backlog.share)
			s.work(t, func() (bool, bool) { sends++; return true, true })
		}
		require.Equal(t, 200, sends)
		require.Zero(t, s.pending())

		// After a restart, too.
		again := newShelves(sequenced)
		again.rows = s.rows
		for _, r := range again.rows {
			r.sent, r.ended = false, false
		}
		for again.page(true); again.reading != nil; {
			again.page(true)
		}
		require.LessOrEqual(t, len(again.items), s.backlog.most+2*s.backlog.share)
		require.Equal(t, 200, again.pending())
	}
}

// TestBacklogOfOneKeepsNobodyWaiting: one signer has filled what there is room for, and cannot send.
func TestBacklogOfOneKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s := newShelves(sequenced)
		for range 100 {
			s.accept("ann")
		}
		first := s.accept("bob")
		require.NotNil(t, s.items[first.id()])
		for range 100 {
			s.accept("bob")
		}
		for range 1000 {
			s.page(false)
			if batch := s.schedule.next(); len(batch) > 0 {
				verdicts := make([]verdict, len(batch))
				for i, it := range batch {
					r := s.row(it)
					if r.key.signer == "ann" { // her node is away
						verdicts[i] = verdict{unsent: true, ordered: sequenced, due: s.clock.at.Add(time.Hour)}
						continue
					}
					r.sent, r.ended, verdicts[i].gone = true, true, true
				}
				s.done(batch, verdicts)
			}
		}
		for _, r := range s.rows {
			require.Equal(t, r.key.signer == "bob", r.ended, r.id())
		}
		require.LessOrEqual(t, len(s.items), s.backlog.most+s.backlog.share, "and what she tries in vain stays bounded")
	}
}

// TestBacklogPassesTheSuspended: what is suspended takes nobody's place.
func TestBacklogPassesTheSuspended(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	for range 100 {
		r := s.accept("ann")
		r.held = true
		s.hold(r.id())
	}
	later := s.accept("ann")
	for range 300 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	require.True(t, later.ended)
}

// TestNonceThatFillsAGapIsTaken: what goes before others in memory is there, too, whether there is room or not.
func TestNonceThatFillsAGapIsTaken(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	key := laneKey{signer: "ann"}
	s.next[key] = 10
	for range 20 {
		s.accept("ann")
	}
	gap := func(nonce uint64) { // between what is not in memory
		s.rows[nonce-10].ended = true
		s.remove(s.rows[nonce-10].id())
		s.next[key] = nonce
		r := s.accept("ann")
		require.NotNil(t, s.items[r.id()], nonce)
	}
	s.next[key] = 5 // before what is in memory
	r := s.accept("ann")
	require.NotNil(t, s.items[r.id()])
	gap(25)
	for range 4 {
		s.work(t, func() (bool, bool) { return true, true })
	}
	for s.page(false); s.reading != nil; {
		s.page(false)
	}
	require.NotEqual(t, noRest(), s.lanes[key].rest)
	gap(26)
	for range 200 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	for _, r := range s.rows {
		require.True(t, r.ended, "%d", r.nonce)
	}
}

// TestBlockerOfTheBacklog: who asks why a transaction waits that is left in the store is told what those before it wait for.
func TestBlockerOfTheBacklog(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	first := s.accept("ann")
	var last *shelved
	for range 50 {
		last = s.accept("ann")
	}
	require.Nil(t, s.items[last.id()])
	require.Empty(t, s.blocker(last.key, last.id(), last.nonce))
	first.held = true
	s.hold(first.id())
	require.Equal(t, first.id(), s.blocker(last.key, last.id(), last.nonce))
	require.Empty(t, s.blocker(first.key, first.id(), first.nonce))
	require.Empty(t, s.blocker(laneKey{signer: "bob"}, "x", 3))

	s = newShelves(true)
	first = s.accept("ann")
	first.held = true
	s.hold(first.id())
	require.Empty(t, s.blocker(first.key, "ended", 7), "nothing is left in the store")
}

// TestBacklogIsSentInTurn: on a chain without nonces, too, what came later does not overtake much of what waits.
func TestBacklogIsSentInTurn(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	for range 60 {
		s.accept("ann")
	}
	var order []int64
	for len(order) < 60 {
		s.page(false)
		for _, it := range s.schedule.next() {
			order = append(order, it.seq)
			s.row(it).ended = true
			s.done([]*item{it}, []verdict{{gone: true}})
		}
		if len(s.rows) < 100 {
			s.accept("ann")
		}
	}
	require.True(t, slices.IsSorted(order[:50]), "%v", order)
}

// TestBacklogComesBeforeWhatWasMoved: all that is in memory got new nonces, behind what is left in the store, and there is room for nothing.
func TestBacklogComesBeforeWhatWasMoved(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for range 50 {
		s.accept("bob")
		s.accept("ann")
	}
	batch := s.schedule.next()
	for batch[0].lane.key.signer != "ann" {
		s.done(batch, all(batch, verdict{unsent: true, ordered: true, due: s.clock.at.Add(time.Hour)}))
		batch = s.schedule.next()
	}
	verdicts := all(batch, verdict{unsent: true, ordered: true, moved: true})
	for i, it := range batch {
		verdicts[i].order = 1000 + uint64(i)
		s.row(it).nonce = verdicts[i].order
	}
	s.done(batch, verdicts)
	for range 500 {
		s.page(false)
		s.work(t, func() (bool, bool) { return true, true })
	}
	for _, r := range s.rows {
		require.Equal(t, r.key.signer == "ann", r.ended, r.id())
	}
}

func TestBacklogEndsTheCrowd(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for range s.crowd.size {
		s.begin(laneKey{signer: "ann"}, 1_000_000, false)
	}
	require.True(t, s.crowded())
	s.crowd.burst = 20
	for range 30 {
		s.accept("ann")
	}
	require.False(t, s.crowded(), "however little of it is in memory")
}

// TestBacklogGoesOnBesideAFewThatWait: where there are no nonces, what waits for its time holds up nothing but itself.
func TestBacklogGoesOnBesideAFewThatWait(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	s.backlog = backlog{most: 100, share: 8}
	for range 1000 {
		s.accept("ann")
	}
	for range 5000 {
		s.page(false)
		batch := s.schedule.next()
		switch {
		case len(batch) == 0:
		case batch[0].seq <= 5:
			s.done(batch, all(batch, verdict{unsent: true, due: s.clock.at.Add(time.Hour)}))
		default:
			s.row(batch[0]).ended = true
			s.done(batch, all(batch, verdict{gone: true}))
		}
	}
	require.Equal(t, 5, s.pending())
}

// TestTurnOfOneInTheStoreIsPassedOn: one that is changed joins the line of its keys again, and is not in memory when its turn comes.
func TestTurnOfOneInTheStoreIsPassedOn(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	m := &Manager{sched: s.schedule, contention: newContention(30*time.Second, s.clock.now)}
	var last *shelved
	for range 30 {
		last = s.accept("ann")
	}
	require.Nil(t, s.items[last.id()])
	first, other := s.rows[0].id(), s.rows[1].id()
	require.True(t, m.contention.enter(first, 1, "", []string{"k"}, true).turn)
	m.next(m.contention.rejoin(last.id(), 2, "", []string{"k"}))
	require.False(t, m.contention.enter(other, 1, "", []string{"k"}, true).turn)
	m.yield(first)
	require.True(t, m.contention.enter(other, 1, "", []string{"k"}, true).turn, "%s has the turn, and nobody reads it", last.id())
}

// TestShortBacklogIsNotOvertakenForEver: as much comes as is sent, and enough of it is always there to be sent.
func TestShortBacklogIsNotOvertakenForEver(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		s := newShelves(sequenced)
		for range s.backlog.most + s.backlog.share - 1 {
			s.accept("ann")
		}
		for range 200 {
			s.read()
			s.work(t, func() (bool, bool) { return true, true })
			for s.pending() < s.backlog.most+s.backlog.share-1 {
				s.accept("ann")
			}
		}
		for _, r := range s.rows[:100] {
			require.True(t, r.ended, r.id())
		}
	}
}

// TestRoomIsForWhoeverLacksIt: what another signer no longer needs is used at once.
func TestRoomIsForWhoeverLacksIt(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	var bobs []*shelved
	for range 4 {
		bobs = append(bobs, s.accept("bob"))
	}
	for range 20 {
		s.accept("ann")
	}
	for range 10 {
		s.stall()
		s.read()
	}
	before := len(s.items)
	for _, r := range bobs {
		r.ended = true
		s.remove(r.id())
	}
	s.read()
	require.Greater(t, len(s.items), before-len(bobs))
}
