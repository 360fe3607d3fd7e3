package stream

import (
	"context"
	"sync"
)

// budget is the memory that all streams share. It is asked before a page is read and told afterwards, so that it may be
// exceeded by what one page makes per stream. A stream that holds nothing always gets one page: however many others hold on to theirs,
// it makes progress.
//
// Once it is full there is room again when an eighth of it is free: those who wait are not woken by each batch that goes.
type budget struct {
	max, low int64

	mu    sync.Mutex
	used  int64         // guarded by mu
	full  bool          // guarded by mu; used has reached max, and has not fallen below low since
	freed chan struct{} // guarded by mu; closed and replaced when it is full no more
}

func newBudget(limit int64) *budget {
	return &budget{max: limit, low: limit - limit/8, freed: make(chan struct{})}
}

func (b *budget) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	switch {
	case b.used >= b.max:
		b.full = true
	case b.full && b.used < b.low:
		b.full = false
		close(b.freed)
		b.freed = make(chan struct{})
	}
}

// claim adds n if there is room for it, and says whether there was.
func (b *budget) claim(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full || b.used+n > b.max {
		return false
	}
	b.used += n
	b.full = b.used == b.max
	return true
}

// inUse is what all streams hold.
func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// wait returns when there is room or the caller holds nothing: held is asked when there is none, and again when emptied tells that it may be so.
func (b *budget) wait(ctx context.Context, held func() int64, emptied <-chan struct{}) error {
	for {
		b.mu.Lock()
		full, freed := b.full, b.freed
		b.mu.Unlock()
		if !full || held() == 0 {
			return nil
		}
		select {
		case <-freed:
		case <-emptied:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
