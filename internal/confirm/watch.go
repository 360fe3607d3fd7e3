package confirm

import (
	"context"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// report is what the node said of the ledger.
type report struct {
	info  *ffcapi.Ledger
	final ffcapi.BlockRef // newest final block; zero if none, or if the run is about to see it itself

	depths map[uint64]ffcapi.BlockRef // safe heads for other numbers of confirmations that the run cannot see itself
}

// watch asks the node for its head from time to time, more often while the run is behind, and at once when a safe head is asked for
// that the node has to tell.
func (r *run) watch(ctx context.Context) {
	timer := time.NewTimer(watchInterval)
	defer timer.Stop()
	for first := r.hasDepths(); ; first = false {
		interval := watchInterval
		switch {
		case first:
			interval = 0
		case r.catchingUp():
			interval = catchUpInterval
		}
		timer.Reset(interval)
		select {
		case <-timer.C:
		case <-r.deeper:
		case <-ctx.Done():
			return
		}
		rep, err := r.look(ctx)
		if err != nil {
			r.log.WithError(err).Debug("The node did not tell its head")
			continue
		}
		select {
		case r.reports <- rep:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) look(ctx context.Context) (report, error) {
	info, err := r.ask(ctx)
	if err != nil {
		return report{}, err
	}
	rep := report{info: info}
	if head, ok := r.head(); r.instant() || !ok || info.Head.Number > head.Number+uint64(r.opts.Required) {
		rep.final, err = r.finalOf(ctx, info.Head)
	}
	rep.depths = r.readDepths(ctx, info.Head.Number)
	return rep, err
}

func (f *follower) hasDepths() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.depths) > 0
}

func (f *follower) catchingUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.CatchingUp()
}

// observe compares what the node says with what its blocks said.
func (r *run) observe(rep report) error {
	if rep.info.ID != r.id {
		return r.otherLedger(rep.info.ID, r.id)
	}
	if r.linked {
		if err := r.believe(rep.final); err != nil {
			return err
		}
		r.believeDepths(rep.depths)
	}
	head, now := r.view.Head(), r.opts.Now()
	hash, known := r.view.Canonical(rep.info.Head.Number)
	ahead := rep.info.Head.Number > head.Number || known && hash != rep.info.Head.Hash
	if !ahead || head != r.stuckAt || len(r.blocks) > 0 || r.stuckSince.IsZero() {
		r.stuckAt, r.stuckSince = head, now
		return nil
	}
	if now.Sub(r.stuckSince) >= halfOpenAfter {
		return errHalfOpen
	}
	return nil
}
