package txn

import (
	"runtime"
	"time"
)

// While many requests are being accepted at once, sends step back: one batch at a time, of few items. So a burst is taken at full rate,
// and sent a moment later. Where preparing asks a node, that node sets the rate of a burst, and sends do not step back: they would only be
// later.
const (
	slowPrepare = 5 * time.Millisecond
	crowdPerCPU = 16 // accepts at once, for each processor
	burstPerCPU = 16384
	crowdWidth  = 2
	// A group of accepts ends together, so a crowd is one until none was seen for crowdGap. It has the machine for crowdFor.
	crowdGap = 50 * time.Millisecond
	crowdFor = 3 * time.Second
)

// crowd is the crowd of requests, if there is one. It belongs to the schedule and is guarded by its mu.
type crowd struct {
	size   int // accepts at once that make one
	burst  int // transactions that wait to be sent at most: more end it
	seen   time.Time
	since  time.Time
	nudged bool // a look at whether it has gone is under way
}

// slowed reports whether preparing, which began then and has just ended, took so long that something else than this machine's processors
// must have been waited for.
func slowed(began time.Time) bool { return time.Since(began) >= slowPrepare }

func newCrowd() crowd {
	cpus := runtime.GOMAXPROCS(0)
	return crowd{size: crowdPerCPU * cpus, burst: burstPerCPU * cpus}
}

// note tells how many requests are being accepted.
func (c *crowd) note(accepts int, now time.Time) {
	if accepts < c.size {
		return
	}
	if now.Sub(c.seen) >= crowdGap {
		c.since = now
	}
	c.seen = now
}

// crowded reports whether accepting has the machine first.
func (s *schedule) crowded() bool {
	c := &s.crowd
	if c.seen.IsZero() || s.waiting+s.rest >= c.burst {
		return false
	}
	now := s.now()
	return now.Sub(c.seen) < crowdGap && now.Sub(c.since) < crowdFor
}

// slots is how many batches may be under way.
func (s *schedule) slots() int {
	if !s.crowded() {
		return s.limit
	}
	if s.busy > 0 {
		s.nudge()
	}
	return min(s.limit, 1)
}

// nudge has a worker look again a little later: nothing else may happen when the crowd goes, if the one batch under way hangs.
func (s *schedule) nudge() {
	if s.crowd.nudged {
		return
	}
	s.crowd.nudged = true
	time.AfterFunc(crowdGap, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.crowd.nudged = false
		s.signal()
	})
}
