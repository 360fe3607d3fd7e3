package fabric

import (
	"sync"
	"time"
)

// slowBlocks bounds of how many blocks a channel's slow remembers.
const slowBlocks = 100

// slow knows the blocks of a channel that were given up while they were on their way. A large block on a slow link cannot be told from one that never
// comes, and begins again from nothing each time, so that it is given more time each time.
type slow struct {
	mu    sync.Mutex
	times map[uint64]int // guarded by mu: how often a block was given up
}

// patience is how many quiet times to wait for a block, as long as they are not longer than most together.
func (s *slow) patience(number uint64, quiet, most time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(patience, min(patience<<min(s.times[number], 16), int(most/quiet)))
}

// gaveUp notes that a block did not come.
func (s *slow) gaveUp(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil || len(s.times) >= slowBlocks {
		s.times = map[uint64]int{number: s.times[number]}
	}
	s.times[number]++
}

// came forgets a block.
func (s *slow) came(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.times, number)
}
