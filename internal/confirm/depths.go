package confirm

import (
	"context"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
)

// depths are the safe heads for other numbers of confirmations than the configured one, by that number, from when they were first asked
// for. Each stays as it is while a new run walks up to it again; the zero value is one that is not known yet.
type depths map[uint64]ffcapi.BlockRef

// keep has a view retain what the depths need.
func (d depths) keep(v *chainview.View) {
	for n := range d {
		v.Keep(n)
	}
}

// raise brings all up to what the view knows, and reports whether one changed.
func (d depths) raise(v *chainview.View) (changed bool) {
	for n, was := range d {
		if now := newer(v, n, was); now != was {
			d[n], changed = now, true
		}
	}
	return changed
}

// newer returns the safe head for n confirmations, after it was another one.
func newer(v *chainview.View, n uint64, was ffcapi.BlockRef) ffcapi.BlockRef {
	if hash, known := v.Canonical(was.Number); known && hash != was.Hash {
		was = ffcapi.BlockRef{} // replaced while nobody looked
	}
	if at, ok := v.At(n); ok && (was.IsZero() || at.Number > was.Number) {
		return at
	}
	return was
}

// cut takes back what is above a fork, and reports whether there was anything.
func (d depths) cut(v *chainview.View, fork uint64) (changed bool) {
	for n, was := range d {
		if was.Number > fork {
			d[n], changed = newer(v, n, ffcapi.BlockRef{}), true
		}
	}
	return changed
}

// safeAt is safeHead for another number of confirmations.
func (f *follower) safeAt(required int) (ffcapi.BlockRef, bool, <-chan struct{}) {
	if required < 0 || required == f.opts.Required {
		return f.safeHead()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(required)
	at, known := f.depths[n]
	if !known {
		if f.view != nil {
			f.view.Keep(n)
			at = newer(f.view, n, at)
		}
		f.depths[n] = at
		select {
		case f.deeper <- struct{}{}:
		default:
		}
	}
	switch {
	case f.alarm != nil || f.view == nil:
		return ffcapi.BlockRef{}, false, f.moved
	case f.view.Instant():
		at = f.safe
	}
	return at, !at.IsZero(), f.moved
}

// unknown returns the blocks that are safe heads when the node's head has this number, and that the view cannot tell.
func (f *follower) unknown(head uint64) map[uint64]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	numbers := map[uint64]uint64{}
	for n, at := range f.depths {
		if head < n || !at.IsZero() && head-n <= at.Number {
			continue
		}
		if _, known := f.view.Canonical(head - n); !known {
			numbers[n] = head - n
		}
	}
	return numbers
}

// readDepths reads those blocks. What cannot be read now is read another time.
func (r *run) readDepths(ctx context.Context, head uint64) map[uint64]ffcapi.BlockRef {
	if r.instant() {
		return nil
	}
	told := map[uint64]ffcapi.BlockRef{}
	for n, number := range r.unknown(head) {
		b, err := r.block(ctx, number)
		if err != nil {
			r.log.WithError(err).WithField("confirmations", n).Debug("The safe head for other confirmations is not known yet")
			continue
		}
		told[n] = b.BlockRef
	}
	return told
}

// believeDepths takes the word of a node that holds our position.
func (f *follower) believeDepths(told map[uint64]ffcapi.BlockRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	for n, at := range told {
		if hash, known := f.view.Canonical(at.Number); known && hash != at.Hash {
			continue // this changed meanwhile, or the node is on another branch
		}
		if was := f.depths[n]; was.IsZero() || at.Number > was.Number {
			f.depths[n], changed = at, true
		}
	}
	if changed {
		f.wake()
	}
}
