package stream

import (
	"context"
	"errors"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

var storeBackoff = retry.Backoff{Initial: 50 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: true}

const (
	// manyRows is how many positions make a write that is worth sparing: each costs about as much as delivering ten events.
	manyRows = 32
	// longestRest bounds how much is delivered again after a crash for that.
	longestRest = 100 * time.Millisecond
)

// rest is how long to wait after a write of so many rows, so that writes of many take a quarter of the time at most.
func rest(rows int, took time.Duration) time.Duration {
	if rows < manyRows {
		return 0
	}
	return min(3*took, longestRest)
}

// checkpoints stores positions until ctx is done: after acknowledgements at once, the newest ones whenever a write is over, and progress
// without events once per interval. It returns an error only when the run is no longer the stream's newest.
func (r *run) checkpoints(ctx context.Context) error {
	ticker := time.NewTicker(r.m.opts.CheckpointInterval)
	defer ticker.Stop()
	for {
		progress := false
		select {
		case <-r.delivery.dirty:
		case <-ticker.C:
			progress = true
		case <-ctx.Done():
			return nil
		}
		rows, began := 0, time.Now()
		err := r.insist(ctx, func(ctx context.Context) (err error) {
			rows, err = r.checkpoint(ctx, progress)
			return err
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		r.delivery.spare(ctx, rest(rows, time.Since(began)))
	}
}

// lastCheckpoint stores what is known when the run has ended.
func (r *run) lastCheckpoint(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if _, err := r.checkpoint(ctx, true); err != nil && !errors.Is(err, store.ErrFenced) {
		r.log.WithError(err).Warn("The last checkpoint of the run was not stored; what it covers will be delivered again")
	}
}

// checkpoint stores the positions that are due, and says how many they were.
func (r *run) checkpoint(ctx context.Context, progress bool) (int, error) {
	rows, done := r.delivery.rows(false)
	if progress {
		all, _ := r.delivery.rows(true)
		rows = r.stable(rows, all)
	}
	if len(rows) == 0 {
		r.delivery.written(nil, done)
		return 0, nil
	}
	now := r.m.opts.Now()
	cps := make([]store.Checkpoint, len(rows))
	for i, row := range rows {
		cps[i] = store.Checkpoint{Listener: r.listeners[row.Listener].ID, Cursor: row.At.Cursor, Block: row.At.Block, Updated: now}
		if progress || len(rows) < manyRows {
			cps[i].Older = r.older(row.Listener, row.At.Block)
		}
	}
	if err := r.m.opts.Store.WriteCheckpoints(ctx, r.m.opts.Fence(), r.def.ID, r.epoch, cps); err != nil {
		return 0, err
	}
	r.delivery.written(rows, done)
	for i, row := range rows {
		if cps[i].Older != nil {
			r.trailed[row.Listener] = row.At.Block.Number
		}
	}
	return len(rows), nil
}

// older are the blocks to be stored with a position, by which the next process finds where the chain forked; nil if those that are stored do.
func (r *run) older(listener int, at ffcapi.BlockRef) []ffcapi.BlockRef {
	ledger := r.listeners[listener].Resolved.Ledger
	if at.IsZero() || r.finality[ledger] == ffcapi.Instant || r.trailed[listener] == at.Number {
		return nil
	}
	return r.s.trail.below(ledger, at.Number)
}

// stable adds to the urgent rows those of mere progress. On ledgers whose blocks can be replaced, progress stays out of the
// unstable head, so that a reorganisation does not make a listener fall back that had nothing there.
func (r *run) stable(urgent, all []inflight.Row) []inflight.Row {
	rows := urgent
	next := 0
	for _, row := range all {
		if next < len(urgent) && urgent[next].Listener == row.Listener {
			next++
			continue
		}
		ledger := r.listeners[row.Listener].Resolved.Ledger
		if !r.readsChanges(row.Listener) && r.finality[ledger] != ffcapi.Instant {
			head, ok := r.m.opts.Chain.Head(ledger)
			margin := uint64(r.m.opts.UnstableHead)
			if !ok || head.Number < margin {
				continue
			}
			ref, ok := r.s.trail.upTo(ledger, head.Number-margin)
			if at := ffcapi.BlockStart(ref.Number + 1); ok && at.Before(row.At.Cursor) {
				row.At = inflight.Position{Cursor: at, Block: ref}
			} else if !ok || row.At.Block.Number > head.Number-margin {
				continue
			}
			if !row.Written.Before(row.At.Cursor) {
				continue // what is stored behind an event of the unstable head is not taken back
			}
		}
		rows = append(rows, row)
	}
	return rows
}
