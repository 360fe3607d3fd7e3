package stream

import (
	"context"
	"slices"
	"time"
)

// storePatience is how long delivery may wait for the store before the stream counts as blocked.
const storePatience = 5 * time.Second

// unstored are the batches that were sent and whose positions are not stored: those that come again after a crash. It bounds their number, so
// that it can be known beforehand how many that are: a batch that would be one too many is not sent before a position is stored. What was sent
// already may be sent again at any time, whole or in parts, or the position would never move.
//
// It is guarded by delivery.mu.
type unstored struct {
	limit  int           // the window, and what may be unstored besides
	sent   []uint64      // their sequences in the tracker, ascending
	since  time.Time     // when a batch began to wait for nothing but the store; zero: none does
	hungry chan struct{} // to the checkpointer: a batch waits for the store
}

func newUnstored() unstored { return unstored{limit: 1, hungry: make(chan struct{}, 1)} }

// add notes that a batch is sent, for the first time.
func (u *unstored) add(w *whole) {
	if !w.sent {
		w.sent = true
		u.sent = append(u.sent, w.seq)
	}
}

// below is how many there are below a sequence.
func (u *unstored) below(seq uint64) int {
	n, _ := slices.BinarySearch(u.sent, seq)
	return n
}

// full says that a batch has to wait while so many are unstored, of which so many wait for the store only. If these are none, the receiver is waited
// for.
func (u *unstored) full(count, acknowledged int, now time.Time) bool {
	if count < u.limit || acknowledged == 0 {
		u.since = time.Time{}
	} else if u.since.IsZero() {
		u.since = now
	}
	if count < u.limit {
		return false
	}
	signal(u.hungry)
	return true
}

// stored says that all below a sequence are stored, and returns whether there were any.
func (u *unstored) stored(seq uint64) bool {
	select {
	case <-u.hungry: // who still waits says so again
	default:
	}
	n := u.below(seq)
	if n > 0 {
		u.sent = slices.Delete(u.sent, 0, n)
		u.since = time.Time{}
	}
	return n > 0
}

// exposed is how many batches count when another one is to be sent. Of a sink that keeps no order, those that are acknowledged behind one that is
// not do not count: nobody waits there for anybody. The caller holds mu.
func (d *delivery) exposed() int {
	if d.unordered {
		return d.acknowledged() + len(d.flights)
	}
	return len(d.unstored.sent)
}

// acknowledged is how many batches only wait for the store. The caller holds mu.
func (d *delivery) acknowledged() int { return d.unstored.below(d.tracker.Done()) }

// spare waits, so that the store is not busy with checkpoints all the time, unless a batch waits for it.
func (d *delivery) spare(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.unstored.hungry:
	case <-ctx.Done():
	}
}
