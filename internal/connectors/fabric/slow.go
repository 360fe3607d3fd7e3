package fabric

import (
	"sync"
	"time"
)

// slowBlocks bounds how many blocks slow remembers.
const slowBlocks = 100

// slow knows the blocks that were given up while they were on their way. A large block on a slow link cannot be told from one that never comes, and
// begins again from nothing each time, so that it is given more time each time, whoever reads it and from whichever peer. That a block came changes
// nothing: who had more time for it than others shows nothing about theirs.
type slow struct {
	mu    sync.Mutex
	times map[blockOn]int // guarded by mu: how often a block was given up
}

// blockOn is a block of a channel.
type blockOn struct {
	channel string
	number  uint64
}

// patience is how many quiet times to wait for a block, as long as they are not longer than most together.
func (s *slow) patience(at blockOn, quiet, most time.Duration) int {
	return max(patience, min(patience<<s.grown(at), int(most/quiet)))
}

// limit is how long the delivery of a block alone may take: least at first, and not more than most.
func (s *slow) limit(at blockOn, least, most time.Duration) time.Duration {
	return max(least, min(least<<s.grown(at), most))
}

// grown is how often the time for a block is to be doubled.
func (s *slow) grown(at blockOn) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(s.times[at], 16)
}

// gaveUp notes that a block did not come.
func (s *slow) gaveUp(at blockOn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil || len(s.times) >= slowBlocks {
		s.times = map[blockOn]int{at: s.times[at]}
	}
	s.times[at]++
}
