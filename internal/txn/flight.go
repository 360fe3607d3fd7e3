package txn

import (
	"context"
	"errors"
	"sync"

	"github.com/pyralis-io/pyralis/internal/store"
)

// flights lets one request per idempotency key through at a time; those that come meanwhile wait for its result.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
}

// flight is one request under way. Its result is written before done is closed.
type flight struct {
	hash [32]byte
	done chan struct{}
	tx   *store.Tx
	err  error
}

var errPanicked = errors.New("the request with this id that came first did not come to an end")

// do runs accept for r, or waits for the request with its key that is under way. replay says that the transaction was there
// before this request.
func (f *flights) do(ctx context.Context, r *request, accept func() (*store.Tx, bool, error)) (tx *store.Tx, replay bool, err error) {
	mine, theirs := f.board(r)
	return f.ride(ctx, r, mine, theirs, accept)
}

// ride is do from when it is known whose flight is under way: mine or theirs.
func (f *flights) ride(
	ctx context.Context, r *request, mine, theirs *flight, accept func() (*store.Tx, bool, error),
) (tx *store.Tx, replay bool, err error) {
	for ; ; mine, theirs = f.board(r) {
		if mine != nil {
			return f.lead(r.id, mine, accept)
		}
		select {
		case <-theirs.done:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		same := theirs.hash == r.hash
		switch {
		case theirs.err == nil && same:
			return theirs.tx, true, nil
		case theirs.err == nil:
			return nil, false, store.ErrKeyReused
		case same && !errors.Is(theirs.err, context.DeadlineExceeded) && !errors.Is(theirs.err, context.Canceled):
			return nil, false, theirs.err
		}
		// What stopped the other one, its body or its deadline, need not stop this one.
	}
}

func (f *flights) board(r *request) (mine, theirs *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if theirs = f.flying[r.id]; theirs != nil {
		return nil, theirs
	}
	if f.flying == nil {
		f.flying = map[string]*flight{}
	}
	mine = &flight{hash: r.hash, done: make(chan struct{}), err: errPanicked}
	f.flying[r.id] = mine
	return mine, nil
}

func (f *flights) lead(id string, mine *flight, accept func() (*store.Tx, bool, error)) (*store.Tx, bool, error) {
	defer f.land(id, mine)
	tx, replay, err := accept()
	mine.tx, mine.err = tx, err
	return tx, replay, err
}

// land ends a flight, whose result is written.
func (f *flights) land(id string, mine *flight) {
	f.mu.Lock()
	delete(f.flying, id)
	f.mu.Unlock()
	close(mine.done)
}
