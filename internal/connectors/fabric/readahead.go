package fabric

import (
	"context"
	"sync/atomic"
)

// readAheadBytes bounds what all block streams together hold ready for readers that have not come for it yet.
const readAheadBytes = 32 << 20

// readAhead counts the bytes of blocks that wait for their readers. When they are too many, each stream goes on with one block at a time.
type readAhead struct {
	limit int64
	held  atomic.Int64
}

// waiting is what one stream holds of it.
type waiting struct {
	all   *readAhead
	held  atomic.Int64
	taken chan struct{} // has one element when the reader took a block
}

func newWaiting(all *readAhead) *waiting {
	return &waiting{all: all, taken: make(chan struct{}, 1)}
}

// room waits until another block may be received: there is room for it, or the reader has taken all that was ready.
func (w *waiting) room(ctx context.Context, ready func() int) {
	for w.all.held.Load() >= w.all.limit && ready() > 0 {
		select {
		case <-w.taken:
		case <-ctx.Done():
			return
		}
	}
}

// add counts a block, until the function that it returns is called.
func (w *waiting) add(size int) (take func()) {
	w.count(int64(size))
	return func() {
		w.count(-int64(size))
		select {
		case w.taken <- struct{}{}:
		default:
		}
	}
}

func (w *waiting) count(size int64) {
	w.held.Add(size)
	w.all.held.Add(size)
}

// drop is for a stream that is over: nobody comes for what is left.
func (w *waiting) drop() { w.count(-w.held.Load()) }
