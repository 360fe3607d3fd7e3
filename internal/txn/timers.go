package txn

import (
	"container/heap"
	"context"
	"time"
)

// timerHeap holds the items that wait for their time, the first one first.
type timerHeap []*item

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = int32(i), int32(j)
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	it, ok := x.(*item)
	if !ok {
		return // never: only put calls it
	}
	it.slot = int32(len(*h))
	*h = append(*h, it)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	it.slot = noTimer
	return it
}

// timers has items looked at when their time comes.
func (s *schedule) timers(ctx context.Context) {
	timer := time.NewTimer(idleTimerPeriod)
	defer timer.Stop()
	for {
		timer.Reset(s.expire())
		select {
		case <-timer.C:
		case <-s.rearm:
		case <-ctx.Done():
			return
		}
	}
}

// expire moves what is due to its lane and returns the time until the next one.
func (s *schedule) expire() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var lanes []*lane // listed last: that may set timers
	for len(s.due) > 0 && !s.due[0].due.after(now) {
		it, ok := heap.Pop(&s.due).(*item)
		if !ok {
			continue // never
		}
		if it.place == parked {
			it.place = again
			s.waiting++
			it.lane.ready = append(it.lane.ready, it)
		}
		lanes = append(lanes, it.lane)
	}
	for _, l := range lanes {
		s.list(l)
	}
	if len(s.due) == 0 {
		return idleTimerPeriod
	}
	return s.due[0].due.until(now)
}
