package confirm

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

// follower follows one ledger, run by run.
type follower struct {
	opts   *Options
	ledger string
	log    *logrus.Entry
	kick   chan struct{} // has one element when somebody waits for ready
	deeper chan struct{} // has one element when a safe head for another number of confirmations was asked for first
	ready  chan struct{} // closed when a position is stored and belongs to this ledger
	failed chan struct{} // closed when alarm is set

	asked, begun bool // guarded by Engine.mu

	// These belong to the goroutine of follow.
	id   string          // identity, as soon as it is known
	last ffcapi.BlockRef // newest linked final block of earlier runs
	top  uint64          // highest head of earlier runs

	mu      sync.Mutex
	view    *chainview.View // guarded by mu, changed by the run only; nil before the first
	safe    ffcapi.BlockRef // guarded by mu; as last shown
	depths  depths          // guarded by mu
	times   times           // guarded by mu
	moved   chan struct{}   // guarded by mu; closed and replaced when safe or one of depths changes
	wanted  bool            // guarded by mu; somebody waits for ready
	alarm   error           // guarded by mu
	trouble error           // guarded by mu; why the last run ended

	reorganisations uint64 // guarded by mu; how many there were
}

func newFollower(o *Options, ledger string) *follower {
	return &follower{
		opts: o, ledger: ledger, log: o.Log.WithField("ledger", ledger), kick: make(chan struct{}, 1),
		deeper: make(chan struct{}, 1), depths: depths{}, ready: make(chan struct{}), failed: make(chan struct{}), moved: make(chan struct{}),
	}
}

// follow makes one run after the other until ctx is done or the ledger has failed.
func (f *follower) follow(ctx context.Context) {
	for attempt := 1; ; attempt++ {
		progress, err := f.run(ctx)
		if ctx.Err() != nil {
			return
		}
		var a *alarm
		if errors.As(err, &a) || errors.Is(err, store.ErrFenced) {
			f.fail(err)
			return
		}
		if progress {
			attempt = 1
		}
		delay := restartBackoff.Delay(attempt, nil)
		if progress && expected(err) {
			delay = 0
		}
		f.note(err)
		entry := f.log.WithError(err).WithField("delay", delay)
		if expected(err) {
			entry.Debug("Following the ledger starts again")
		} else {
			entry.Warn("Following the ledger was interrupted")
		}
		if retry.Sleep(ctx, delay) != nil {
			return
		}
	}
}

// fail stops the ledger for good.
func (f *follower) fail(err error) {
	f.log.WithError(err).Error("The ledger is stopped: nothing is sent to it or delivered from it any more")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alarm = err
	close(f.failed)
	f.wake()
}

// wake tells those who wait for the safe head. The caller holds mu.
func (f *follower) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *follower) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = err
}

func (f *follower) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alarm
}

func (f *follower) want() {
	f.mu.Lock()
	f.wanted = true
	f.mu.Unlock()
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *follower) isWanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}

// setReady lets go who waits in Ready.
func (f *follower) setReady() {
	select {
	case <-f.ready:
	default:
		close(f.ready)
	}
}

func (f *follower) notReady(cause error) error {
	f.mu.Lock()
	trouble := f.trouble
	f.mu.Unlock()
	err := fmt.Errorf("ledger %q is not followed yet: %w", f.ledger, cause)
	if trouble != nil {
		err = fmt.Errorf("%w (%w)", err, trouble)
	}
	return &ffcapi.Error{Kind: ffcapi.Unavailable, Message: err.Error(), Err: err}
}

func (f *follower) safeHead() (ffcapi.BlockRef, bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alarm != nil {
		return ffcapi.BlockRef{}, false, f.moved
	}
	return f.safe, !f.safe.IsZero(), f.moved
}

func (f *follower) head() (ffcapi.BlockRef, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		return ffcapi.BlockRef{}, false
	}
	ref := f.view.Newest()
	return ref, !ref.IsZero()
}

func (f *follower) canonical(number uint64) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		return "", false
	}
	return f.view.Canonical(number)
}

// setView begins a run. The safe head of the run before stays until the new view knows better.
func (f *follower) setView(v *chainview.View) chainview.Effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = v
	f.depths.keep(v)
	return v.Announce(f.safe)
}

func (f *follower) step(b *ffcapi.Block) chainview.Effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times.note(b)
	e := f.view.Step(b)
	if r, ok := e.(chainview.Reorganised); ok && f.depths.cut(f.view, r.Fork) {
		f.wake()
	}
	return e
}

func (f *follower) announce(ref ffcapi.BlockRef) chainview.Effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.Announce(ref)
}

// publish shows the view's safe head. fell is the former one when the new one is below it or in place of it.
func (f *follower) publish() (now, fell ffcapi.BlockRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.depths.raise(f.view)
	now, ok := f.view.Safe()
	if ok && now != f.safe {
		if !f.safe.IsZero() && now.Number <= f.safe.Number {
			fell = f.safe
		}
		f.safe, changed = now, true
	}
	if changed {
		f.wake()
	}
	return f.safe, fell
}
