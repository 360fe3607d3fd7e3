package txn

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
)

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
