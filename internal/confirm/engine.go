package confirm

import (
	"context"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
)

// Engine follows ledgers. Its methods are safe for concurrent use, also before Start and after Stop.
type Engine struct {
	opts  Options
	group lifecycle.Group

	mu      sync.Mutex
	started bool
	ledgers map[string]*follower // by name
}

// New returns an engine that follows nothing yet. It runs from Start to Stop.
func New(o Options) (*Engine, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Engine{opts: o, ledgers: make(map[string]*follower)}, nil
}

// Start begins to follow what Follow named, and what it will name.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.group.Start(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started = true
	for _, f := range e.ledgers {
		e.begin(f)
	}
	return nil
}

// Stop ends all runs. Each stores its position first, if the store answers within two seconds.
func (e *Engine) Stop(ctx context.Context) error { return e.group.Stop(ctx) }

// begin runs a follower that was asked for, once. The caller holds e.mu.
func (e *Engine) begin(f *follower) {
	if e.started && f.asked && !f.begun {
		f.begun = e.group.Go("ledger "+f.ledger, f.follow)
	}
}

// ledger returns a ledger's follower, which may not follow yet.
func (e *Engine) ledger(name string) *follower {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.followerOf(name)
}

func (e *Engine) followerOf(name string) *follower {
	f, ok := e.ledgers[name]
	if !ok {
		f = newFollower(&e.opts, name)
		e.ledgers[name] = f
	}
	return f
}

// Follow starts following a ledger. It is idempotent and returns at once; without a stored position it starts at the head.
func (e *Engine) Follow(ledger string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.followerOf(ledger)
	f.asked = true
	e.begin(f)
}

// Ready follows a ledger and returns when a position is stored, so that the outcome of anything submitted from now on will be found. It
// waits for the node and the store, as long as ctx lasts: the error is then Unavailable and says what went wrong last. It
// returns the alarm of a ledger that failed.
func (e *Engine) Ready(ctx context.Context, ledger string) error {
	e.Follow(ledger)
	f := e.ledger(ledger)
	f.want()
	select {
	case <-f.failed:
		return f.failure()
	default:
	}
	select {
	case <-f.ready:
		return nil
	case <-f.failed:
		return f.failure()
	case <-ctx.Done():
		return f.notReady(context.Cause(ctx))
	case <-e.group.Context().Done():
		return f.notReady(context.Cause(e.group.Context()))
	}
}

// Safe returns the newest block that is final; its events may be delivered. moved is closed when that changes, or the ledger fails. ok
// is false while no such block is known, and once the ledger has failed.
func (e *Engine) Safe(ledger string) (head ffcapi.BlockRef, ok bool, moved <-chan struct{}) {
	return e.ledger(ledger).safeHead()
}

// SafeAt is Safe for another number of confirmations than the configured one, which is meant by a negative one. With instant finality
// there is no difference. For more confirmations than configured the first answer may take a call of the node. For fewer, a reorganisation
// may replace what was called safe: SafeAt then falls below the fork.
func (e *Engine) SafeAt(ledger string, required int) (head ffcapi.BlockRef, ok bool, moved <-chan struct{}) {
	return e.ledger(ledger).safeAt(required)
}

// Head returns the newest canonical block that is known. While a run catches up that is the newest one the node called final.
func (e *Engine) Head(ledger string) (ffcapi.BlockRef, bool) { return e.ledger(ledger).head() }

// Canonical returns the hash of a canonical block. known is false above the head, and below what is retained: the last
// max(2·required, 128) blocks of those that were walked since the last restart of a run.
func (e *Engine) Canonical(ledger string, number uint64) (hash string, known bool) {
	return e.ledger(ledger).canonical(number)
}

// Failed returns the alarm that stopped a ledger, or nil.
func (e *Engine) Failed(ledger string) error { return e.ledger(ledger).failure() }
