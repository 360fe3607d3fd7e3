package confirm

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// verify checks a fork that lies below everything the view knew, and that may be too high: outcomes can wait for more confirmations than
// there are hashes. Their blocks are asked for one by one, newest first, down to one that still stands. The real fork is not below
// that one: what is above it is undone and read again by the next run.
func (r *run) verify(ctx context.Context, fork ffcapi.BlockRef) error {
	if !r.batch.on {
		return nil
	}
	low := fork.Number
	for more := true; more; {
		open, err := r.openBlocks(ctx, low)
		if err != nil {
			return fmt.Errorf("looking for a fork: %w", err)
		}
		more = len(open) > 0
		for _, was := range open {
			now, err := r.block(ctx, was.Number)
			if err != nil {
				return fmt.Errorf("looking for a fork: %w", err)
			}
			if more = now.Hash != was.Hash; !more {
				low = was.Number
				break
			}
			if was.Number == 0 {
				return alarmf("%w: block 0 is %s, and was %s", ErrChainChanged, now.Hash, was.Hash)
			}
			low = was.Number - 1
		}
	}
	if low == fork.Number {
		return nil
	}
	below, err := r.block(ctx, low)
	if err != nil {
		return fmt.Errorf("looking for a fork: %w", err)
	}
	r.leave(low)
	r.batch.undo(below.BlockRef)
	r.log.WithField("fork", low).Warn("The chain was reorganised far below what was final")
	if err := r.store(ctx, false); err != nil {
		return err
	}
	return fmt.Errorf("%w: the fork is at block %d or below", errMoved, low)
}

func (r *run) openBlocks(ctx context.Context, upTo uint64) ([]ffcapi.BlockRef, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.opts.Store.OpenBlocks(ctx, r.ledger, upTo)
}
