package stream

import (
	"context"
	"sync"
)

// budget is the memory that all streams share. It is asked before a page is read and told afterwards, so that it may be
// exceeded by one page per stream. A stream that holds nothing always gets one page: however many others hold on to theirs,
// it makes progress.
type budget struct {
	max int64

	mu    sync.Mutex
	used  int64         // guarded by mu
	freed chan struct{} // guarded by mu; closed and replaced when memory is given back
}

func newBudget(limit int64) *budget { return &budget{max: limit, freed: make(chan struct{})} }

func (b *budget) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	if n < 0 {
		close(b.freed)
		b.freed = make(chan struct{})
	}
}

// inUse is what all streams hold.
func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// wait returns when there is room or the caller holds nothing.
func (b *budget) wait(ctx context.Context, held func() int64) error {
	for {
		b.mu.Lock()
		room, freed := b.used < b.max, b.freed
		b.mu.Unlock()
		if room || held() == 0 {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
