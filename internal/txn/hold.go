package txn

import (
	"container/heap"
	"time"
)

// hold keeps an item that is about to be suspended where it is. One that a worker has is called back once that is stored, see recall.
func (s *schedule) hold(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(id)
	if it == nil || it.place == running {
		return
	}
	it.held = true
	s.weigh(it)
	s.want(it.lane)
	if it.doubt {
		return // it is asked what became of it, and goes no further
	}
	s.untime(it)
}

// recall calls a suspended item back from the worker that has it, which may have read it before it was suspended. Whoever takes it next
// reads that it is. What its sends were answered is forgotten: it may be resumed, and taken by a worker, before this is told that it was.
func (s *schedule) recall(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(id)
	switch {
	case it == nil:
	case it.place == running:
		it.news |= changed | suspended | anew
	default:
		it.answered(nil, 0)
	}
}

// inquire has a suspended item looked at once, which says whether it has to be asked again what became of it. It keeps its place, and what
// comes after it stays where it is.
func (s *schedule) inquire(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(id)
	if it == nil || it.place == running {
		return
	}
	it.held, it.doubt = true, true
	s.weigh(it)
	s.want(it.lane)
	s.look(it)
}

// look has an item looked at now that no worker has.
func (s *schedule) look(it *item) {
	s.untime(it)
	switch it.place {
	case parked:
		now := s.now()
		it.due = instantOf(now, now)
		s.put(it)
	case inLine:
		it.due = 0
		s.list(it.lane)
	default: // it will be looked at anyway
	}
}

// untime takes an item's timer away.
func (s *schedule) untime(it *item) {
	if it.slot != noTimer {
		heap.Remove(&s.due, int(it.slot))
	}
}

// recalled reports whether an item that a worker has was suspended meanwhile.
func (s *schedule) recalled(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return it.news&suspended != 0
}

// blocker is what a transaction in line, or left in the store behind it, waits for: the first one there, if that may not go now.
func (s *schedule) blocker(key laneKey, id string, order uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, it := s.lanes[key], s.items[id]
	if l == nil || len(l.line) == 0 || it == nil && order < l.rest.floor || it != nil && it.place != inLine {
		return ""
	}
	first := l.line[0]
	if first != it && first.place == inLine && (first.held || first.due.after(s.now())) {
		return first.id
	}
	return ""
}

// behind is when to ask again about an item that a node has taken before, while one with a lower nonce is refused: after the next send of
// that, or as soon as that is not refused any more. false: there is none.
func (s *schedule) behind(id string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	if it == nil || !s.sequenced || it.lane.lost == nil || it.lane.lost.order >= it.order {
		return time.Time{}, false
	}
	if it.lane.behind == nil {
		it.lane.behind = map[*item]struct{}{}
	}
	it.lane.behind[it] = struct{}{}
	now, due := s.now(), it.lane.lost.due
	if !due.after(now) {
		return now.Add(behindMost), true // a worker has it, or it is suspended
	}
	return now.Add(due.until(now) + behindPause), true
}

// holding is how many transactions of a signer are open.
func (s *schedule) holding(key laneKey) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[key]; l != nil {
		return l.items + l.rest.n
	}
	return 0
}
