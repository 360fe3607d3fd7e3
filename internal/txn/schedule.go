package txn

import (
	"container/heap"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/metrics"
)

const (
	batchSize       = 128     // items of one signer that a worker takes at once, on a chain with nonces
	handovers       = 16384   // transactions that wait for their first send with their payloads in memory
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
	refill    chan struct{} // a token: a lane wants more of what is left in the store
	recount   chan struct{} // a token: what is left in the store is to be counted again
	recounted time.Time     // when it was last
	backlog   backlog

	mu      sync.Mutex
	items   map[string]*item
	lanes   map[laneKey]*lane
	ring    []*lane // lanes with something to do, each once
	due     timerHeap
	open    bool // what was accepted before is loaded
	shut    bool // nothing is sent any more
	unread  int  // accepted before, and not loaded yet
	accepts int  // under way
	waiting int  // items in a line or ready
	inHand  int  // items that workers have
	unsent  int  // items that count as unsent, see weigh
	rest    int  // transactions that are left in the store

	away    map[string][]*lane  // ledgers to which nothing can be sent now, and what is listed of them: no worker gets that
	resting map[*lane]struct{}  // lanes of which something is left in the store
	reading *reading            // the one under way
	news    map[string]struct{} // of what is not here, while a page of it is being read; else nil

	crowd    crowd
	handed   int // handovers in memory
	handedBy int // their size
	workers  int
	limit    int // batches under way at most; shrinks when the chain says "slow down"
	busy     int
	calm     int
}

func newSchedule(sequenced bool, workers int, now func() time.Time) *schedule {
	return &schedule{
		now: now, sequenced: sequenced, workers: workers, limit: workers,
		wake: make(chan struct{}, 1), rearm: make(chan struct{}, 1), refill: make(chan struct{}, 1), recount: make(chan struct{}, 1), backlog: newBacklog(),
		items: map[string]*item{}, lanes: map[laneKey]*lane{}, away: map[string][]*lane{}, resting: map[*lane]struct{}{},
		crowd: newCrowd(),
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

func (s *schedule) count() int { return max(len(s.items)+s.rest, s.unread) + s.accepts }

// begin notes an Accept that is about to be made; false: there are too many transactions. Its end is noted by accepted or
// abandoned. slow: see slowed.
func (s *schedule) begin(key laneKey, most int, slow bool) (*lane, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count() >= most {
		return nil, 0, false
	}
	s.accepts++
	if !slow {
		s.crowd.note(s.accepts, s.now())
	}
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
	if known := s.items[it.id]; known != nil { // it was read when the open ones were
		if known.place != running {
			known.trace = it.trace
		}
	} else if it.ordered = it.ordered && s.sequenced; !s.leave(l, it) {
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

// add puts a new item where it belongs: into its lane, or if it has a time and holds up nobody, to the timers.
func (s *schedule) add(l *lane, it *item) {
	it.lane, it.slot = l, noTimer
	s.items[it.id] = it
	l.items++
	s.weigh(it)
	s.put(it)
}

// put places an item that no worker has, by its time.
func (s *schedule) put(it *item) {
	l := it.lane
	later := it.due.after(s.now())
	switch {
	case it.ordered:
		it.place = inLine
		s.waiting++
		l.insert(it)
	case later, it.held && !it.doubt, it.due == 0 && it.place == running:
		it.place = parked
	default:
		it.place = again
		s.waiting++
		if it.urgent {
			l.urgent = append(l.urgent, it)
		} else {
			l.ready = append(l.ready, it)
		}
	}
	if later {
		s.await(it)
	}
	s.list(l)
}

// await sets an item's timer.
func (s *schedule) await(it *item) {
	heap.Push(&s.due, it)
	if it.slot == 0 {
		signal(s.rearm)
	}
}

// lane finds or makes a lane.
func (s *schedule) lane(key laneKey) *lane {
	l := s.lanes[key]
	if l == nil {
		l = &lane{key: key, width: batchSize, rest: noRest(), late: noRest()}
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

// list puts a lane into the ring if it has something to do. If all that has to be is that a time comes, there is a timer for it: the one
// there was may have rung before a clock was put back.
func (s *schedule) list(l *lane) {
	s.want(l)
	if l.listed || (s.sequenced && l.running > 0) {
		return
	}
	if now := s.now(); len(l.ready)+len(l.urgent) == 0 && (len(l.line) == 0 || !l.sendable(l.line[0], now)) {
		if len(l.line) > 0 && l.line[0].slot == noTimer && l.line[0].due.after(now) {
			s.await(l.line[0])
		}
		return
	}
	l.listed = true
	if paused, ok := s.away[l.key.ledger]; ok {
		s.away[l.key.ledger] = append(paused, l)
		return
	}
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

// find returns the item of a transaction about which there is news.
func (s *schedule) find(id string) *item {
	it := s.items[id]
	if it == nil {
		s.missing(id)
	}
	return it
}

// rouse has an item looked at, because something changed. again: somebody wants it to be tried as if it had never been.
func (s *schedule) rouse(id string, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.find(id); it != nil {
		why := changed
		if again {
			why |= anew
		}
		s.wakeUp(it, why)
	}
}

// hasten has an item looked at before the others of its signer: its turn has come, which does not last for ever, and others wait for it. false: it
// is not here.
func (s *schedule) hasten(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(id)
	if it == nil {
		return false
	}
	if it.place == again && !it.urgent && !s.sequenced {
		l := it.lane
		l.remove(it)
		l.urgent = append(l.urgent, it)
		s.list(l)
	}
	it.urgent = !s.sequenced
	s.wakeUp(it, changed)
	return true
}

// wakeUp has an item looked at because of news.
func (s *schedule) wakeUp(it *item, why news) {
	if it.place == running {
		it.news |= why
		return
	}
	if why&anew != 0 {
		it.answered(nil, 0)
	}
	it.held = false
	s.weigh(it)
	s.look(it)
}

// remove forgets a transaction that has ended, and returns its trace.
func (s *schedule) remove(id string) *metrics.Trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.find(id)
	if it == nil {
		return nil
	}
	if it.place == running {
		it.news |= over
		return it.trace
	}
	s.forget(it)
	return it.trace
}

// busyness is how much the schedule has to do.
func (s *schedule) busyness() metrics.Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	return metrics.Load{Pending: s.count(), Sending: s.busy, Limit: s.limit, Signers: len(s.lanes)}
}

func (s *schedule) forget(it *item) {
	if s.items[it.id] != it {
		return
	}
	delete(s.items, it.id)
	s.missing(it.id)
	s.counted(it, false)
	s.untime(it)
	l := it.lane
	l.refused(it, false)
	delete(l.behind, it)
	s.relieve(l)
	if it.place == inLine || it.place == again {
		s.waiting--
		l.remove(it)
	}
	if it.fresh != nil { // its worker, if it had one, did not get as far as taking it
		s.handed--
		s.handedBy -= it.fresh.size()
	}
	l.items--
	s.list(l)
	s.drop(l)
}
