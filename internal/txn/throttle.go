package txn

import (
	"sync"
	"time"
)

// throttle lets one of many equal log lines through every ten seconds: when the store is away, every transaction has the same to
// say.
type throttle struct {
	now  func() time.Time
	mu   sync.Mutex
	last time.Time
}

func (t *throttle) ok() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if !t.last.IsZero() && now.Sub(t.last) < 10*time.Second {
		return false
	}
	t.last = now
	return true
}
