package txn

import (
	"context"
	"math"
	"time"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// What waits for its first send is in the store, and only the next of it in memory: a backlog may be a million long, and the node that it
// waits for away. What is left in the store is read by signer, in the order of acceptance, as that signer's part in memory runs out, so one who
// cannot send keeps no other waiting. Of one signer, on a chain without nonces, what is tried in vain does keep others waiting, once it fills
// all the room there is.
type backlog struct {
	most  int // unsent transactions in memory, of all signers together
	share int // but each signer may have so many, whatever the others have; with less than half of that to do, the next are read
}

func newBacklog() backlog { return backlog{most: 16384, share: 128} }

// nowhere is a position that no row has.
const nowhere int64 = math.MaxInt64

// rest is what of a lane is left in the store. On a chain with nonces it is in their order, because what would have to go before something
// that is left there already is always taken.
type rest struct {
	from  int64  // all of it was accepted there or later; nowhere: there is none
	floor uint64 // its lowest nonce: what has a higher one must wait until it is read
	top   uint64 // its highest
	n     int    // about how much it is: what ends there, and what is accepted while it is read, is set right when all of it was read
}

func noRest() rest { return rest{from: nowhere, floor: math.MaxUint64} }

func (r *rest) some() bool { return r.from != nowhere }

// note adds a transaction.
func (r *rest) note(it *item) {
	r.from, r.n = min(r.from, it.seq), r.n+1
	if it.ordered {
		r.floor, r.top = min(r.floor, it.order), max(r.top, it.order)
	}
}

// and is what either of both is.
func (r rest) and(q rest) rest {
	return rest{from: min(r.from, q.from), floor: min(r.floor, q.floor), top: max(r.top, q.top), n: r.n + q.n}
}

// weigh counts what waits for its first send. What is suspended does not count: it may stay for ever, and others would have to.
func (s *schedule) weigh(it *item) { s.counted(it, it.unsent && !it.held) }

func (s *schedule) counted(it *item, counts bool) {
	if counts == it.counts {
		return
	}
	it.counts = counts
	n := 1
	if !counts {
		n = -1
	}
	s.unsent += n
	it.lane.unsent += n
	if !counts && s.unsent == s.backlog.most-1 && len(s.resting) > 0 { // there is room again for those for whom there was none
		signal(s.refill)
	}
}

// want has more of a lane read, if it is time to.
func (s *schedule) want(l *lane) {
	if s.wanting(l) && !s.reading.serves(l) { // it is asked again when that has ended
		signal(s.refill)
	}
}

// wanting: there is little left to do in memory, or what is there has to wait for something that is not. Where there are no nonces, what waits for its
// time is nothing to do, as long as there is room beside it.
func (s *schedule) wanting(l *lane) bool {
	switch {
	case !l.rest.some():
		return false
	case s.sequenced:
		return l.unsent < s.backlog.share/2 || len(l.line) > 0 && l.line[0].order > l.rest.floor
	default:
		return len(l.ready)+len(l.urgent) < s.backlog.share/2 && s.room(l)
	}
}

// room reports whether one more of a lane may be in memory.
func (s *schedule) room(l *lane) bool { return s.unsent < s.backlog.most || l.unsent < s.backlog.share }

// takes reports whether an item must be in memory even if there is no room, given what of its lane is left in the store: what may have
// been sent, what is suspended, and what goes before any of those that are left.
func (s *schedule) takes(it *item, left *rest) bool {
	return it.seq == 0 || !it.unsent || it.held || it.doubt || it.ordered && left.some() && it.order < left.top
}

// leave reports whether what was just accepted is left in the store: for lack of room, or because more of its lane is there, which it would
// overtake. Behind a little that is about to be read it is not, or all that comes meanwhile would have to be read as well, and so on for ever.
func (s *schedule) leave(l *lane, it *item) bool {
	soon := !l.rest.some() || l.rest.n <= s.backlog.share && s.wanting(l)
	if s.takes(it, &l.rest) || soon && s.room(l) {
		return false
	}
	s.keep(l, it)
	l.late.note(it)
	return true
}

// keep notes that a transaction is left in the store.
func (s *schedule) keep(l *lane, it *item) {
	l.rest.note(it)
	s.rest++
	s.resting[l] = struct{}{}
}

// recountEvery is how often at most it is counted again what is left in the store because nothing more can be accepted.
const recountEvery = time.Minute

// recount reads everything again if much less is open than counts. While it is read, no more of what is left in the store is sent, so not otherwise.
func (m *Manager) recount(ctx context.Context) {
	open, err := m.opts.Store.CountOpen(ctx)
	if err == nil && m.sched.pending()-open > m.sched.backlog.share {
		m.readOpen(ctx, m.sched.readAll())
	}
}

// tooMany is the refusal of what comes when too much is pending. What has ended in the store may have gone on to count until now.
func (m *Manager) tooMany() error {
	m.sched.again()
	return apitypes.ErrTooManyPending
}

// again has it counted once more what is left in the store.
func (s *schedule) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.rest > 0 && now.Sub(s.recounted) >= recountEvery {
		s.recounted = now
		signal(s.recount)
	}
}

// reading is one way through the open transactions in the store, in the order of their acceptance.
type reading struct {
	everything bool
	parts      map[*lane]*part // whose it reads, or has read
	pages      int
}

// readingPages is how much is read in one go for those who want more: what is read can be sent at the end of it, and others want some, too.
const readingPages = 16

func (r *reading) serves(l *lane) bool { return r != nil && (r.everything || r.parts[l] != nil) }

// part is what a reading has met of one lane.
type part struct {
	wanted bool  // the reading is for this lane; it serves others by the way
	from   int64 // rest.from when it began
	left   rest  // in the store again
	passed bool  // more of it may be there than was read
	taken  int
	top    uint64 // the highest nonce of those
}

func newPart(l *lane) *part { return &part{from: l.rest.from, left: noRest()} }

// readAll begins to read everything.
func (s *schedule) readAll() *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &reading{everything: true, parts: map[*lane]*part{}}
	s.reading = r
	for _, l := range s.lanes {
		l.late = noRest()
	}
	return r
}

// readMore begins to read for those who have little left in memory; nil: nobody has. Who has room and can be served by the way is: signers
// take turns, so they run out one after the other, and what is left of them lies side by side.
func (s *schedule) readMore() *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := nowhere
	for l := range s.resting {
		if s.wanting(l) {
			from = min(from, l.rest.from)
		}
	}
	if from == nowhere {
		return nil
	}
	r := &reading{parts: map[*lane]*part{}}
	s.reading = r
	for l := range s.resting {
		if wanted := s.wanting(l); wanted || l.rest.from >= from && s.room(l) {
			l.late = noRest()
			r.parts[l] = newPart(l)
			r.parts[l].wanted = wanted
		}
	}
	return r
}

// missing notes news of a transaction that is not in memory: what is just being read about it may be older.
func (s *schedule) missing(id string) {
	if s.news != nil {
		s.news[id] = struct{}{}
	}
}

// onward is the position after which to read the next page; false: those who wanted more have it, or enough was read for them. What lies before
// the first that somebody still has room for is passed over.
func (s *schedule) onward(r *reading, after int64) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = map[string]struct{}{}
	if r.everything {
		return after, true
	}
	from, wanted := nowhere, false
	for l, p := range r.parts {
		if !p.left.some() {
			from, wanted = min(from, l.rest.from), wanted || p.wanted
		}
	}
	if r.pages++; !wanted || r.pages > readingPages {
		return after, false
	}
	if from-1 <= after {
		return after, true
	}
	for _, p := range r.parts {
		p.passed = p.passed || p.left.some()
	}
	return from - 1, true
}

// offer hands over a transaction that was read.
func (s *schedule) offer(r *reading, key laneKey, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.id] != nil {
		return
	}
	l, p := s.part(r, key)
	if p == nil {
		return // it waits for another reading
	}
	it.ordered = it.ordered && s.sequenced
	if !s.takes(it, &p.left) && (p.left.some() || (p.taken >= s.backlog.share/2 || !p.wanted) && !s.room(l)) {
		p.left.note(it)
		switch { // from now on what is accepted comes after it
		case !l.rest.some():
			s.keep(l, it)
		case it.ordered:
			l.rest.top = max(l.rest.top, it.order)
		}
		return
	}
	p.taken++
	if it.ordered {
		p.top = max(p.top, it.order)
	}
	if l.rest.n > 0 && it.seq >= l.rest.from {
		l.rest.n--
		s.rest--
	}
	if _, changed := s.news[it.id]; changed { // maybe since it was read: its worker reads it again
		it.held, it.due = false, 0
	}
	it.barrier = l.begun // an Accept that is under way may hold a lower nonce
	s.add(l, it)
}

// part returns the lane of what was read, and what the reading has met of it; nil: the reading is not for it.
func (s *schedule) part(r *reading, key laneKey) (*lane, *part) {
	l := s.lanes[key]
	if p := r.parts[l]; p != nil || !r.everything {
		return l, p
	}
	if l == nil {
		l = s.lane(key)
	}
	p := newPart(l)
	r.parts[l] = p
	return l, p
}

// finish ends a reading that came to a position, or to the end of what there is.
func (s *schedule) finish(r *reading, after int64, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news, s.reading = nil, nil
	if r.everything {
		for _, l := range s.lanes {
			if r.parts[l] == nil {
				r.parts[l] = newPart(l)
			}
		}
	}
	for l, p := range r.parts {
		left := p.left.and(l.late)
		if !ended || p.passed { // more is left than was read
			left.n, left.top = l.rest.n, max(left.top, l.rest.top)
			if !p.left.some() { // all of it up to here is in memory
				left.from = min(max(p.from, after+1), l.late.from)
				left.floor = l.rest.floor
				if p.taken > 0 {
					left.floor = min(max(left.floor, p.top+1), l.late.floor)
				}
			}
		}
		s.rest += left.n - l.rest.n
		if l.rest = left; !left.some() {
			delete(s.resting, l)
		}
		s.list(l)
		s.drop(l)
	}
}
