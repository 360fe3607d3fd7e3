package txn

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

const (
	batchSize       = 32      // items of one signer that a worker takes at once, on a chain with nonces
	handovers       = 4096    // transactions that wait for their first send with their payloads in memory
	handoverBytes   = 8 << 20 // and what these may hold
	limitRecovery   = 32      // sends without a "slow down" until one more may be under way
	noTimer         = -1
	idleTimerPeriod = time.Hour
)

// schedule says which transaction is worked on next. It does no I/O.
type schedule struct {
	now       func() time.Time
	sequenced bool
	wake      chan struct{} // a token: a worker should look
	rearm     chan struct{} // a token: the timers' first has changed

	mu       sync.Mutex
	items    map[string]*item
	lanes    map[laneKey]*lane
	ring     []*lane // lanes with something to do, each once
	due      timerHeap
	open     bool // what was accepted before is loaded
	shut     bool // nothing is sent any more
	unread   int  // accepted before, and not loaded yet
	accepts  int  // under way
	handed   int  // handovers in memory
	handedBy int  // their size
	workers  int
	limit    int // batches under way at most; shrinks when the chain says "slow down"
	busy     int
	calm     int
}

func newSchedule(sequenced bool, workers int, now func() time.Time) *schedule {
	return &schedule{
		now: now, sequenced: sequenced, workers: workers, limit: workers,
		wake: make(chan struct{}, 1), rearm: make(chan struct{}, 1),
		items: map[string]*item{}, lanes: map[laneKey]*lane{},
	}
}

// expect says how many open transactions will be loaded.
func (s *schedule) expect(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = n
}

// loaded lets the sending begin.
func (s *schedule) loaded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.unread = true, 0
	s.signal()
}

// close ends the sending.
func (s *schedule) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// pending is how many transactions count against the limit.
func (s *schedule) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count()
}

func (s *schedule) count() int { return max(len(s.items), s.unread) + s.accepts }

// begin notes an Accept that is about to be made; false: there are too many transactions. Its end is noted by accepted or
// abandoned.
func (s *schedule) begin(key laneKey, most int) (*lane, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count() >= most {
		return nil, 0, false
	}
	s.accepts++
	l := s.lane(key)
	l.begun++
	return l, l.begun, true
}

// age is how long ago a nonce of the lane was assigned by this process; false: never.
func (s *schedule) age(l *lane) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(l.newest), !l.newest.IsZero()
}

// accepted adds what an Accept has stored.
func (s *schedule) accepted(l *lane, ticket uint64, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.newest = s.now()
	if s.items[it.id] == nil {
		it.barrier = l.begun
		if h := it.fresh; h != nil && (s.handed >= handovers || s.handedBy+h.size() > handoverBytes) {
			it.fresh = nil
		}
		if it.fresh != nil {
			s.handed++
			s.handedBy += it.fresh.size()
		}
		s.add(l, it)
	}
	s.end(l, ticket)
}

// abandoned notes that an Accept has stored nothing, or that what it stored has been loaded.
func (s *schedule) abandoned(l *lane, ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(l, ticket)
}

func (s *schedule) end(l *lane, ticket uint64) {
	s.accepts--
	l.finish(ticket)
	s.list(l)
	s.drop(l)
}

// load adds a transaction that was read from the store, if it is not here.
func (s *schedule) load(key laneKey, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.id] != nil {
		return
	}
	s.add(s.lane(key), it)
}

// add puts a new item where it belongs: into its lane, or if it has a time and holds up nobody, to the timers.
func (s *schedule) add(l *lane, it *item) {
	it.lane, it.slot = l, noTimer
	it.ordered = it.ordered && s.sequenced
	s.items[it.id] = it
	l.items++
	s.put(it)
}

// put places an item that no worker has, by its time.
func (s *schedule) put(it *item) {
	l := it.lane
	later := it.due.After(s.now())
	switch {
	case it.ordered:
		it.place = inLine
		l.insert(it)
	case later, it.due.IsZero() && it.place == running:
		it.place = parked
	default:
		it.place = again
		l.ready = append(l.ready, it)
	}
	if later {
		heap.Push(&s.due, it)
		if it.slot == 0 {
			signal(s.rearm)
		}
	}
	s.list(l)
}

// lane finds or makes a lane.
func (s *schedule) lane(key laneKey) *lane {
	l := s.lanes[key]
	if l == nil {
		l = &lane{key: key, width: batchSize}
		s.lanes[key] = l
	}
	return l
}

// drop forgets a lane that has nothing left.
func (s *schedule) drop(l *lane) {
	if l.idle() && !l.listed && s.lanes[l.key] == l {
		delete(s.lanes, l.key)
	}
}

// list puts a lane into the ring if it has something to do.
func (s *schedule) list(l *lane) {
	if l.listed || (s.sequenced && l.running > 0) {
		return
	}
	if len(l.ready) == 0 && (len(l.line) == 0 || !l.sendable(l.line[0], s.now())) {
		return
	}
	l.listed = true
	s.ring = append(s.ring, l)
	s.signal()
}

func (s *schedule) signal() { signal(s.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take waits for something to do. The items are of one lane, in its order, and belong to the caller until done.
func (s *schedule) take(ctx context.Context) []*item {
	for {
		s.mu.Lock()
		batch := s.pick()
		more := batch != nil && len(s.ring) > 0
		s.mu.Unlock()
		if more {
			s.signal()
		}
		if batch != nil {
			return batch
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// pick takes from the lanes in turn.
func (s *schedule) pick() []*item {
	for s.open && !s.shut && s.busy < s.limit && len(s.ring) > 0 {
		l := s.ring[0]
		s.ring[0] = nil
		s.ring = s.ring[1:]
		l.listed = false
		batch := s.from(l)
		if len(batch) == 0 {
			s.drop(l)
			continue
		}
		for _, it := range batch {
			it.place, it.woken = running, false
			if it.slot != noTimer {
				heap.Remove(&s.due, it.slot)
			}
		}
		l.running++
		s.busy++
		s.list(l)
		return batch
	}
	return nil
}

// from takes a batch out of a lane: first what is to be looked at again, which is older than what is in line.
func (s *schedule) from(l *lane) []*item {
	if len(l.ready) > 0 {
		n := 1
		if s.sequenced {
			n = min(len(l.ready), batchSize)
		}
		batch := append([]*item(nil), l.ready[:n]...)
		clear(l.ready[:n])
		l.ready = l.ready[n:]
		return batch
	}
	now := s.now()
	var batch []*item
	for len(batch) < l.width && len(batch) < len(l.line) {
		it := l.line[len(batch)]
		if !l.sendable(it, now) || (it.doubt && len(batch) > 0) {
			break
		}
		batch = append(batch, it)
		l.next = it.order + 1
		if it.doubt {
			break // what was under way is found out one by one
		}
	}
	clear(l.line[:len(batch)])
	l.line = l.line[len(batch):]
	return batch
}

// verdict is what a worker has to say about an item.
type verdict struct {
	gone    bool
	ordered bool      // still not taken by a node
	due     time.Time // when to look at it again; zero: when something changes
}

// done takes a batch back.
func (s *schedule) done(batch []*item, verdicts []verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := batch[0].lane
	l.running--
	s.busy--
	l.width = min(2*l.width, batchSize)
	for i, it := range batch {
		v := verdicts[i]
		if v.gone || it.gone {
			s.forget(it)
			continue
		}
		it.due, it.ordered = v.due, v.ordered && s.sequenced
		if it.ordered {
			l.next = min(l.next, it.order)
			l.width = 1
		}
		if it.woken {
			it.due = s.now()
		}
		s.put(it)
	}
	s.list(l)
	s.drop(l)
	s.signal()
}

// took notes that a worker has taken the handover out of an item.
func (s *schedule) took(h *handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed--
	s.handedBy -= h.size()
}

// paced adapts the number of batches under way to what the chain says.
func (s *schedule) paced(slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slow {
		s.limit, s.calm = max(1, s.limit/2), 0
		return
	}
	if s.limit == s.workers {
		return
	}
	if s.calm++; s.calm >= limitRecovery {
		s.limit, s.calm = s.limit+1, 0
		s.signal()
	}
}

// rouse has an item looked at, because something changed.
func (s *schedule) rouse(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	switch {
	case it == nil:
	case it.place == running:
		it.woken = true
	case it.place == parked:
		if it.slot != noTimer {
			heap.Remove(&s.due, it.slot)
		}
		it.due = s.now()
		s.put(it)
	default: // it will be looked at anyway
	}
}

// remove forgets a transaction that has ended.
func (s *schedule) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	if it == nil {
		return
	}
	if it.place == running {
		it.gone = true
		return
	}
	s.forget(it)
}

func (s *schedule) forget(it *item) {
	if s.items[it.id] != it {
		return
	}
	delete(s.items, it.id)
	if it.slot != noTimer {
		heap.Remove(&s.due, it.slot)
	}
	l := it.lane
	if it.place == inLine || it.place == again {
		l.remove(it)
	}
	if it.fresh != nil && it.place != running {
		s.handed--
		s.handedBy -= it.fresh.size()
	}
	l.items--
	s.list(l)
	s.drop(l)
}
