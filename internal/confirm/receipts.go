package confirm

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// receipts returns the outcomes of those transactions of a block that may be ours, where the block does not tell them. It asks until
// each has an answer from this block, in rounds, so that one without keeps no other waiting.
func (r *run) receipts(ctx context.Context, b ffcapi.BlockRef, mine []ffcapi.TxOutcome) ([]ffcapi.TxOutcome, error) {
	asked := make([]asked, len(mine))
	for round := 1; ; round++ {
		open, err := r.round(ctx, b, mine, asked)
		if err != nil {
			return nil, err
		}
		if open == 0 {
			break
		}
		if gone, err := r.replaced(ctx, b); err == nil && gone {
			return nil, fmt.Errorf("%w: block %d", errReplaced, b.Number)
		}
		if err := retry.Sleep(ctx, receiptBackoff.Delay(round, nil)); err != nil {
			return nil, err
		}
	}
	var outcomes []ffcapi.TxOutcome
	for i := range asked {
		if asked[i].here {
			outcomes = append(outcomes, asked[i].outcome)
		}
	}
	return outcomes, nil
}

// asked is what became of the question for a receipt. An answer that is not here is in an earlier block: the first occurrence counts, and
// was seen.
type asked struct {
	answered, here, warned bool

	outcome ffcapi.TxOutcome
}

// round asks for every receipt that is still open, and returns how many stay so.
func (r *run) round(ctx context.Context, b ffcapi.BlockRef, mine []ffcapi.TxOutcome, asked []asked) (open int64, err error) {
	var left atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(r.opts.ReceiptWorkers)
	for i := range mine {
		if asked[i].answered {
			continue
		}
		workers.Go(func() error {
			select {
			case r.line.asking <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			err := r.receipt(ctx, b, &mine[i], &asked[i])
			<-r.line.asking
			if err != nil && !asked[i].warned {
				asked[i].warned = true
				r.log.WithError(err).WithField("hash", mine[i].Hash).Warn("A receipt could not be read; it is tried again")
			}
			if !asked[i].answered {
				left.Add(1)
			}
			return nil
		})
	}
	err = workers.Wait()
	return left.Load(), err
}

// receipt asks for one receipt. The error says why its answer does not count.
func (r *run) receipt(ctx context.Context, b ffcapi.BlockRef, listed *ffcapi.TxOutcome, to *asked) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rec, err := survive.Ask(survive.Log(r.log), func() (*ffcapi.Receipt, error) {
		return r.opts.Connector.Receipt(call, &ffcapi.ReceiptQuery{Ledger: r.ledger, Hash: listed.Hash})
	})
	switch {
	case err != nil:
		return err
	case rec.Block == b:
		to.outcome = ffcapi.TxOutcome{
			Hash: listed.Hash, Index: rec.TxIndex, From: listed.From, Nonce: listed.Nonce,
			Success: rec.Success, Reason: rec.Reason, Retryable: rec.Retryable, Result: rec.Result,
			ContractLocation: rec.ContractLocation,
		}
		to.answered, to.here = true, true
		return nil
	}
	earlier, err := r.earlier(call, b, rec.Block)
	if err == nil && !earlier {
		err = ffcapi.Errorf(ffcapi.Unavailable, "the node that answered has %s in block %d (%s)", listed.Hash, rec.Block.Number, rec.Block.Hash)
	}
	to.answered = earlier
	return err
}

// earlier reports whether at is a canonical block before b. What is too deep for the view to hold is compared with the node's own block.
func (r *run) earlier(ctx context.Context, b, at ffcapi.BlockRef) (bool, error) {
	if at.Number >= b.Number {
		return false, nil
	}
	if hash, known := r.canonical(at.Number); known {
		return hash == at.Hash, nil
	}
	block, err := r.block(ctx, at.Number)
	if err != nil {
		return false, err
	}
	return block.Hash == at.Hash, nil
}

// replaced asks whether the node has another block in the place of b.
func (r *run) replaced(ctx context.Context, b ffcapi.BlockRef) (bool, error) {
	now, err := r.block(ctx, b.Number)
	if err != nil {
		return false, err
	}
	return now.Hash != b.Hash, nil
}
