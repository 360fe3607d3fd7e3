package txn

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// take waits for something to do. The items are of one lane, in its order, and belong to the caller until done.
func (s *schedule) take(ctx context.Context) []*item {
	for ctx.Err() == nil {
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
		}
	}
	return nil
}

// pick takes from the lanes in turn.
func (s *schedule) pick() []*item {
	for s.open && !s.shut && len(s.ring) > 0 && s.busy < s.slots() {
		l := s.ring[0]
		s.ring[0] = nil
		s.ring = s.ring[1:]
		l.listed = false
		batch := s.from(l)
		if len(batch) == 0 {
			s.list(l)
			s.drop(l)
			continue
		}
		s.waiting -= len(batch)
		s.inHand += len(batch)
		for _, it := range batch {
			it.place, it.news, it.left, it.urgent = running, 0, false, false
			if it.slot != noTimer {
				heap.Remove(&s.due, int(it.slot))
			}
		}
		l.running++
		s.busy++
		s.list(l)
		return batch
	}
	return nil
}

// from takes a batch out of a lane: what is to be looked at again and what is in line take turns, since there may be so much of the
// former that the latter would never leave.
func (s *schedule) from(l *lane) []*item {
	now := s.now()
	if len(l.urgent) > 0 {
		batch := []*item{l.urgent[0]}
		l.urgent = cut(l.urgent, 0)
		return batch
	}
	if l.looked = len(l.ready) > 0 && (!l.looked || len(l.line) == 0 || !l.sendable(l.line[0], now)); l.looked {
		n := 1
		if s.sequenced {
			n = min(len(l.ready), s.breadth())
			if !slices.IsSortedFunc(l.ready, byOrder) {
				slices.SortStableFunc(l.ready, byOrder) // what the chain misses first goes first
			}
		}
		batch := append([]*item(nil), l.ready[:n]...)
		clear(l.ready[:n])
		l.ready = l.ready[n:]
		return batch
	}
	var batch []*item
	width := min(l.width, s.breadth())
	if s.crowded() {
		width = min(width, crowdWidth)
	}
	for len(batch) < width && len(batch) < len(l.line) {
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
	unsent  bool      // no node has taken it, as far as is known
	ordered bool      // what comes after it waits for it
	held    bool      // suspended
	refused bool      // its last send was
	moved   bool      // it has another nonce
	order   uint64    // that nonce
	due     time.Time // when to look at it again; zero: when something changes

	untouched bool // its ledger is away, which says nothing about it
}

// left lets what comes after a batch in its lane go: all of the batch has left, and is with its worker only until that is stored.
func (s *schedule) left(batch []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := batch[0].lane
	for _, it := range batch {
		it.left = true
	}
	l.running--
	s.list(l)
}

// done takes a batch back. It returns those that have ended: what they asked for meanwhile is wanted no more.
func (s *schedule) done(batch []*item, verdicts []verdict) (ended []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := batch[0].lane, s.now()
	if !batch[0].left {
		l.running--
	}
	s.busy--
	s.inHand -= len(batch)
	l.width = min(2*l.width, batchSize)
	for i, it := range batch {
		v := verdicts[i]
		if v.gone || it.news&over != 0 {
			ended = append(ended, it.id)
			s.forget(it)
			continue
		}
		it.due, it.unsent, it.ordered, it.held = instantOf(v.due, now), v.unsent, v.ordered && s.sequenced, v.held
		if v.moved {
			it.order, it.barrier = v.order, l.begun
		}
		if !v.untouched {
			l.refused(it, v.refused)
		}
		if it.ordered {
			l.next = min(l.next, it.order)
			if !v.untouched {
				l.width = 1
			}
		}
		if it.news&anew != 0 {
			it.answered(nil, 0)
		}
		if it.news&changed != 0 {
			it.due, it.held = instantOf(now, now), false // it is looked at once more, whatever that shows
		}
		s.weigh(it)
		s.put(it)
	}
	s.relieve(l)
	s.list(l)
	if verdicts[0].untouched {
		s.returned(l)
	}
	s.drop(l)
	s.signal()
	return ended
}

// pause has no worker take anything of a ledger until unpause; false: that is so already. What they have of it comes back as it is.
func (s *schedule) pause(ledger string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.away[ledger]; ok {
		return false
	}
	paused := []*lane{}
	ring := make([]*lane, 0, len(s.ring))
	for _, l := range s.ring {
		if l.key.ledger == ledger {
			paused = append(paused, l)
		} else {
			ring = append(ring, l)
		}
	}
	s.away[ledger], s.ring = paused, ring
	return true
}

// returned puts a lane of which a worker had something before the others: it has not had its turn.
func (s *schedule) returned(l *lane) {
	listed, ok := s.away[l.key.ledger]
	if !ok {
		listed = s.ring
	}
	if i := slices.Index(listed, l); i > 0 {
		copy(listed[1:i+1], listed[:i])
		listed[0] = l
	}
}

// unpause ends a pause.
func (s *schedule) unpause(ledger string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring = append(s.ring, s.away[ledger]...)
	delete(s.away, ledger)
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
