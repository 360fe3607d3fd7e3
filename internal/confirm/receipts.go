package confirm

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

// outcomes returns the outcomes of a block's transactions that may be ours. Where the block does not tell them, receipts are asked
// for until each has an answer.
func (r *run) outcomes(ctx context.Context, b *ffcapi.Block) ([]ffcapi.TxOutcome, error) {
	if b.Outcomes || len(b.Transactions) == 0 {
		return b.Transactions, nil
	}
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	mine, err := r.opts.Mine(call, r.ledger, b.Transactions)
	if err != nil {
		return nil, fmt.Errorf("which transactions of block %d are ours: %w", b.Number, err)
	}
	found := make([]bool, len(mine))
	got := make([]ffcapi.TxOutcome, len(mine))
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(r.opts.ReceiptWorkers)
	for i, listed := range mine {
		workers.Go(func() (err error) {
			got[i], found[i], err = r.receipt(ctx, b, listed)
			return err
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, fmt.Errorf("receipts of block %d: %w", b.Number, err)
	}
	outcomes := got[:0]
	for i := range got {
		if found[i] {
			outcomes = append(outcomes, got[i])
		}
	}
	return outcomes, nil
}

// receipt asks for one outcome until there is an answer from this block. found is false when the transaction's outcome is in an earlier
// one: the first occurrence counts, and was seen.
func (r *run) receipt(ctx context.Context, b *ffcapi.Block, listed ffcapi.TxOutcome) (out ffcapi.TxOutcome, found bool, err error) {
	err = retry.Do(ctx, receiptBackoff, func(ctx context.Context, attempt int) error {
		rec, err := r.askReceipt(ctx, listed.Hash)
		switch {
		case err == nil && rec.Block == b.BlockRef:
			out = ffcapi.TxOutcome{
				Hash: listed.Hash, Index: rec.TxIndex, From: listed.From, Nonce: listed.Nonce,
				Success: rec.Success, Reason: rec.Reason, Retryable: rec.Retryable, Result: rec.Result,
			}
			found = true
			return nil
		case err == nil && r.earlier(b, rec.Block):
			return nil
		case err == nil:
			err = ffcapi.Errorf(ffcapi.Unavailable, "the node that answered has %s in block %d (%s)", listed.Hash, rec.Block.Number, rec.Block.Hash)
		}
		if gone, e := r.replaced(ctx, b); e == nil && gone {
			return retry.Permanent(fmt.Errorf("%w: block %d", errReplaced, b.Number))
		}
		if attempt == 1 {
			r.log.WithError(err).WithField("hash", listed.Hash).Warn("A receipt could not be read; it is tried again")
		}
		return err
	})
	return out, found, err
}

func (r *run) askReceipt(ctx context.Context, hash string) (*ffcapi.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.opts.Connector.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: r.ledger, Hash: hash})
}

// earlier reports whether at is a canonical block before b.
func (r *run) earlier(b *ffcapi.Block, at ffcapi.BlockRef) bool {
	hash, known := r.canonical(at.Number)
	return known && at.Number < b.Number && hash == at.Hash
}

// replaced asks whether the node has another block in the place of b.
func (r *run) replaced(ctx context.Context, b *ffcapi.Block) (bool, error) {
	now, err := r.block(ctx, b.Number)
	if err != nil {
		return false, err
	}
	return now.Hash != b.Hash, nil
}
