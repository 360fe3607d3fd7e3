package txn

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestItemsAreSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(item{}), uintptr(128), "a hundred thousand may wait for their blocks")
}

// shelved is a transaction in the store of a test.
type shelved struct {
	key         laneKey
	seq         int64
	nonce       uint64
	known       bool // its Accept has ended
	held        bool
	doubt       bool // what became of its send is not known
	sent, ended bool
}

func (r *shelved) id() string { return fmt.Sprintf("%s/%d", r.key.signer, r.seq) }

// shelves is a store, and a schedule that has room for little of it.
type shelves struct {
	*schedule
	clock *clock
	rows  []*shelved
	next  map[laneKey]uint64

	reading *reading
	after   int64
	fetched []shelved // the page that was read

	move bool // the next one to be sent gets a new nonce instead
}

func newShelves(sequenced bool) *shelves {
	s, c := opened(sequenced, 4)
	s.backlog = backlog{most: 6, share: 4}
	return &shelves{schedule: s, clock: c, next: map[laneKey]uint64{}}
}

func (s *shelves) commit(signer string) *shelved {
	key := laneKey{signer: signer}
	r := &shelved{key: key, seq: int64(len(s.rows) + 1), nonce: s.next[key]}
	s.next[key]++
	s.rows = append(s.rows, r)
	return r
}

func (s *shelves) item(r *shelved) *item {
	return &item{id: r.id(), seq: r.seq, order: r.nonce, ordered: s.sequenced && !r.sent, unsent: !r.sent, held: r.held, doubt: r.doubt, slot: noTimer}
}

func (s *shelves) accept(signer string) *shelved {
	l, ticket, _ := s.begin(laneKey{signer: signer}, 1_000_000, false)
	r := s.commit(signer)
	s.accepted(l, ticket, s.item(r))
	r.known = true
	return r
}

// page reads on, everything or what is asked for, and reports whether there was anything to read. What is read is handed over by the next call.
func (s *shelves) page(everything bool) bool {
	if s.reading == nil {
		if everything {
			s.reading = s.readAll()
		} else {
			select {
			case <-s.refill:
				s.reading = s.readMore()
			default:
			}
		}
		s.after, s.fetched = 0, nil
		if s.reading == nil {
			return false
		}
	}
	if s.fetched == nil {
		after, more := s.onward(s.reading, s.after)
		if s.after = after; !more {
			s.finish(s.reading, s.after, false)
			s.reading = nil
			return true
		}
		s.fetched = []shelved{}
		for _, r := range s.rows {
			if len(s.fetched) < 3 && r.seq > s.after && !r.ended {
				s.fetched = append(s.fetched, *r)
			}
		}
		return true
	}
	for _, r := range s.fetched {
		s.offer(s.reading, r.key, s.item(&r))
		s.after = r.seq
	}
	if len(s.fetched) < 3 {
		s.finish(s.reading, s.after, true)
		s.reading = nil
	}
	s.fetched = nil
	return true
}

// restart begins with what is stored.
func (s *shelves) restart() {
	again := newShelves(s.sequenced)
	again.open, again.backlog = false, s.backlog
	again.rows, again.next = s.rows, s.next
	for again.page(true); again.reading != nil; {
		again.page(true)
	}
	again.loaded()
	*again.clock = *s.clock
	s.schedule, s.clock, s.reading, s.fetched = again.schedule, again.clock, nil, nil
}

func (s *shelves) row(it *item) *shelved { return s.rows[it.seq-1] }

// work takes a batch, sends what choose says, and gives it back. In the order of nonces nothing may leave before what is unsent.
func (s *shelves) work(t require.TestingT, choose func() (sent, gone bool)) bool {
	batch := s.schedule.next()
	verdicts := make([]verdict, len(batch))
	blocked := false
	for i, it := range batch {
		r := s.row(it)
		if r.ended {
			verdicts[i] = verdict{gone: true}
			continue
		}
		sent, gone := choose()
		switch {
		case r.sent:
			verdicts[i] = verdict{}
		case r.held:
			verdicts[i] = verdict{unsent: it.unsent, ordered: it.ordered, held: true}
			blocked = true
		case s.move && it.ordered && !blocked:
			r.nonce = s.next[r.key]
			s.next[r.key]++
			verdicts[i] = verdict{unsent: true, ordered: true, moved: true, order: r.nonce}
			blocked, s.move = true, false
		case blocked && it.ordered, !sent:
			verdicts[i] = verdict{unsent: it.unsent, ordered: it.ordered, due: s.clock.at.Add(time.Second)}
			blocked = blocked || it.ordered
		default:
			for _, before := range s.rows {
				if s.sequenced && before.key == r.key && before.nonce < r.nonce && !before.sent && !before.ended {
					require.Fail(t, "out of order", "%s leaves before %s", r.id(), before.id())
				}
			}
			r.sent, r.ended = true, gone
			verdicts[i] = verdict{gone: gone}
		}
	}
	if len(batch) > 0 {
		s.done(batch, verdicts)
	}
	return len(batch) > 0
}

// check compares the schedule with what is stored.
func (s *shelves) check(t require.TestingT) {
	unsent, rest := 0, 0
	for _, l := range s.lanes {
		n := 0
		for _, it := range s.items {
			if it.lane == l && it.counts {
				n++
			}
			require.True(t, it.place == running || it.counts == (it.unsent && !it.held), it.id)
		}
		require.Equal(t, n, l.unsent)
		require.GreaterOrEqual(t, l.rest.n, 0)
		unsent, rest = unsent+n, rest+l.rest.n
	}
	require.Equal(t, unsent, s.unsent)
	require.Equal(t, rest, s.rest)
	for _, r := range s.rows {
		if l := s.lanes[r.key]; r.known && !r.ended && s.items[r.id()] == nil {
			require.NotNil(t, l, r.id())
			require.LessOrEqual(t, l.rest.from, r.seq, "%s is neither in memory nor read later", r.id())
			require.False(t, r.sent, r.id())
		}
	}
}

// TestBacklogIsSentInTheEnd: whatever happens, in any order, all that was accepted leaves, of each signer in the order of nonces.
func TestBacklogIsSentInTheEnd(t *testing.T) {
	t.Parallel()
	type accept struct {
		l      *lane
		ticket uint64
		key    laneKey
		row    *shelved
	}
	rapid.Check(t, func(t *rapid.T) {
		s := newShelves(rapid.Bool().Draw(t, "sequenced"))
		signer := rapid.SampledFrom([]string{"ann", "bob", "cyd"})
		var accepts []*accept
		known := func(a *accept) {
			s.accepted(a.l, a.ticket, s.item(a.row))
			a.row.known = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"accept": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					s.accept(signer.Draw(t, "signer"))
				}
			},
			"begin": func(t *rapid.T) {
				key := laneKey{signer: signer.Draw(t, "signer")}
				l, ticket, _ := s.begin(key, 1_000_000, false)
				accepts = append(accepts, &accept{l: l, ticket: ticket, key: key})
			},
			"commit": func(t *rapid.T) {
				for _, a := range accepts {
					if a.row == nil && rapid.Bool().Draw(t, "this one") {
						a.row = s.commit(a.key.signer)
						return
					}
				}
			},
			"known": func(t *rapid.T) {
				for i, a := range accepts {
					if a.row != nil && rapid.Bool().Draw(t, "this one") {
						known(a)
						accepts = slices.Delete(accepts, i, i+1)
						return
					}
				}
			},
			"abandon": func(*rapid.T) {
				for i, a := range accepts {
					if a.row == nil {
						s.abandoned(a.l, a.ticket)
						accepts = slices.Delete(accepts, i, i+1)
						return
					}
				}
			},
			"fill": func(t *rapid.T) { // a nonce is given back, and given by the caller
				for _, r := range s.rows {
					if s.sequenced && r.known && !r.ended && !r.sent && s.items[r.id()] == nil && rapid.Bool().Draw(t, "gap") {
						r.ended = true
						s.remove(r.id())
						next := s.next[r.key]
						s.next[r.key] = r.nonce
						s.accept(r.key.signer)
						s.next[r.key] = next
						return
					}
				}
			},
			"move": func(*rapid.T) { s.move = s.sequenced },
			"restart": func(t *rapid.T) {
				if len(accepts) == 0 && rapid.Bool().Draw(t, "now") {
					s.restart()
				}
			},
			"read more": func(*rapid.T) { s.page(false) },
			"read all":  func(*rapid.T) { s.page(true) },
			"work": func(t *rapid.T) {
				s.work(t, func() (bool, bool) { return rapid.Bool().Draw(t, "sent"), rapid.Bool().Draw(t, "gone") })
			},
			"time": func(*rapid.T) {
				s.clock.at = s.clock.at.Add(time.Second)
				s.expire()
			},
			"suspend": func(t *rapid.T) {
				for _, r := range s.rows {
					if r.known && !r.ended && !r.sent && rapid.Bool().Draw(t, "this one") {
						r.held = true
						s.hold(r.id())
						return
					}
				}
			},
			"resume": func(t *rapid.T) {
				for _, r := range s.rows {
					if r.held && rapid.Bool().Draw(t, "this one") {
						r.held = false
						s.rouse(r.id(), true)
						return
					}
				}
			},
			"end": func(t *rapid.T) { // what is suspended or waits is cancelled; where there are nonces only what was sent ends
				for _, r := range s.rows {
					if r.known && !r.ended && (r.sent || !s.sequenced) && rapid.Bool().Draw(t, "this one") {
						r.ended = true
						s.remove(r.id())
						return
					}
				}
			},
			"": func(t *rapid.T) { s.check(t) },
		})

		for _, a := range accepts {
			if a.row == nil {
				s.abandoned(a.l, a.ticket)
			} else {
				known(a)
			}
		}
		for _, r := range s.rows {
			if r.held {
				r.held = false
				s.rouse(r.id(), true)
			}
			if r.sent && !r.ended {
				r.ended = true
				s.remove(r.id())
			}
		}
		for still := 0; still < 3; {
			s.clock.at = s.clock.at.Add(time.Second)
			s.expire()
			read := s.page(false)
			worked := s.work(t, func() (bool, bool) { return true, true })
			s.check(t)
			if still++; read || worked {
				still = 0
			}
		}
		for _, r := range s.rows {
			require.True(t, r.ended, "%s was left behind", r.id())
		}
		require.Empty(t, s.items)
		require.Empty(t, s.lanes)
		require.Zero(t, s.pending())
	})
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

// TestBacklogAfterARestart: what may have been sent is in memory, however much it is, and what is accepted meanwhile goes last.
func TestBacklogAfterARestart(t *testing.T) {
	t.Parallel()
	s := newShelves(true)
	for n := range 60 {
		s.commit("ann").known = true
		s.rows[n].sent = n < 20
	}
	s.rows[55].held = true
	for page := 0; page == 0 || s.reading != nil; page++ {
		s.page(true)
		if page == 25 {
			s.accept("ann")
		}
		s.work(t, func() (bool, bool) { return page%2 == 0, false })
	}
	for _, r := range s.rows[:20] {
		require.NotNil(t, s.items[r.id()])
	}
	require.NotNil(t, s.items[s.rows[55].id()], "it may be resumed")
	require.Less(t, len(s.items), 40)
	s.check(t)
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

func TestWhatWasSentIsNotBacklog(t *testing.T) {
	t.Parallel()
	m := &Manager{opts: Options{Now: time.Now}}
	for sub, unsent := range map[store.SubStatus]bool{
		store.SubTracking: false, store.SubStale: false, store.SubReceived: true, store.SubPrepared: true, store.SubUnknownOutcome: true,
	} {
		it := m.restored(&store.Tx{ID: "a", Seq: 7, Sub: sub})
		require.Equal(t, unsent, it.unsent, sub)
		require.Equal(t, int64(7), it.seq)
		require.Equal(t, sub == store.SubUnknownOutcome, it.doubt)
	}
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

// read lets a reading that is asked for go on to its end.
func (s *shelves) read() {
	for s.page(false); s.reading != nil; {
		s.page(false)
	}
}

// stall takes all that there is to do, and has it tried again in an hour.
func (s *shelves) stall() {
	for batch := s.schedule.next(); len(batch) > 0; batch = s.schedule.next() {
		s.done(batch, all(batch, verdict{unsent: true, ordered: s.sequenced, due: s.clock.at.Add(time.Hour)}))
	}
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

// TestWhatMayHaveLeftIsInMemory: there is room for nothing, and it is looked after all the same.
func TestWhatMayHaveLeftIsInMemory(t *testing.T) {
	t.Parallel()
	s := newShelves(false)
	for n := range 60 {
		r := s.commit("ann")
		r.known, r.sent, r.doubt = true, n%3 == 0, n%3 == 1
	}
	for s.page(true); s.reading != nil; {
		s.page(true)
	}
	left := 0
	for _, r := range s.rows {
		if s.items[r.id()] == nil {
			require.False(t, r.sent || r.doubt, r.id())
			left++
		}
	}
	require.Positive(t, left)
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

// TestWhatWasSentIsLeftAloneAfterARestart: for a while, in which its block may be read, or until its time.
func TestWhatWasSentIsLeftAloneAfterARestart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &Manager{opts: Options{Now: func() time.Time { return now }}}
	due := m.restored(&store.Tx{Sub: store.SubTracking, Due: now.Add(time.Second)}).due
	require.False(t, due.Before(now.Add(settle)), due)
	require.True(t, due.Before(now.Add(3*settle)), due)
	due = m.restored(&store.Tx{Sub: store.SubTracking, Due: now.Add(time.Hour)}).due
	require.Equal(t, now.Add(time.Hour), due)
}
