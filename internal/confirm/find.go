package confirm

import (
	"context"
	"slices"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// maxLinks is how many confirmations of one block are read from the node.
const maxLinks = 256

// Final reports whether a canonical block with this number is final for somebody who wants so many confirmations; a negative number is
// the configured one.
func (e *Engine) Final(ledger string, number uint64, required int) bool {
	return e.ledger(ledger).isFinal(number, required)
}

// Find reads the blocks above one again that have been walked, as far back as hashes are retained, and returns the first one that holds
// a transaction, with its place there. block is nil when none does. It is for a transaction whose hash was not known while its block
// passed.
func (e *Engine) Find(ctx context.Context, ledger, hash string, above uint64) (block *ffcapi.Block, index int, err error) {
	f := e.ledger(ledger)
	from, head, ok := f.walked(above)
	if !ok {
		return nil, 0, nil
	}
	r := &run{follower: f}
	for n := from; n <= head; n++ {
		b, err := r.block(ctx, n)
		if err != nil {
			return nil, 0, err
		}
		if want, known := f.canonical(n); known && want != b.Hash {
			return nil, 0, ffcapi.Errorf(ffcapi.Unavailable, "the node that answered has another block %d", n)
		}
		if i := slices.IndexFunc(b.Transactions, func(tx ffcapi.TxOutcome) bool { return tx.Hash == hash }); i >= 0 {
			return b, i, nil
		}
	}
	return nil, 0, nil
}

// Confirming returns the canonical blocks that follow one, up to n of them and as far as there are any, with number, hash and parent
// hash only; a negative n is the configured number. There are none when the block is not canonical or not retained, or finality is instant.
func (e *Engine) Confirming(ledger string, of ffcapi.BlockRef, n int) []ffcapi.Block {
	f := e.ledger(ledger)
	if instant, known := f.finality(); instant || !known {
		return nil
	}
	blocks, _ := f.above(of, f.needs(n))
	return blocks
}

// Confirmations is Confirming that reads from the node what is not retained, 256 blocks at most.
func (e *Engine) Confirmations(ctx context.Context, ledger string, of ffcapi.BlockRef, n int) ([]ffcapi.Block, error) {
	f := e.ledger(ledger)
	instant, known := f.finality()
	if !known {
		info, err := (&run{follower: f}).ask(ctx)
		if err != nil {
			return nil, err
		}
		instant = info.Finality == ffcapi.Instant
	}
	if n = f.needs(n); instant || n == 0 {
		return nil, nil
	}
	return f.confirmations(ctx, of, n)
}

func (f *follower) confirmations(ctx context.Context, of ffcapi.BlockRef, n int) ([]ffcapi.Block, error) {
	if hash, known := f.canonical(of.Number); known && hash != of.Hash {
		return nil, nil
	}
	r := &run{follower: f}
	last, links := of, []ffcapi.Block{}
	for len(links) < n {
		more, retained := f.above(last, n-len(links))
		if retained {
			return append(links, more...), nil
		}
		if len(links) == maxLinks {
			return links, nil
		}
		b, err := r.block(ctx, last.Number+1)
		switch {
		case isKind(err, ffcapi.NotFound):
			return links, nil // above the head
		case err != nil:
			return nil, err
		case b.ParentHash != last.Hash:
			return links, nil // not the chain of this node
		}
		links = append(links, ffcapi.Block{BlockRef: b.BlockRef, ParentHash: b.ParentHash})
		last = b.BlockRef
	}
	return links, nil
}

// needs is the number of confirmations that a negative one stands for.
func (f *follower) needs(n int) int {
	if n < 0 {
		return f.opts.Required
	}
	return n
}

// finality tells whether each block is final. It is known from the first run on.
func (f *follower) finality() (instant, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view != nil && f.view.Instant(), f.view != nil
}

func (f *follower) isFinal(number uint64, required int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alarm != nil || f.view == nil {
		return false
	}
	safe := !f.safe.IsZero() && number <= f.safe.Number
	if required < 0 || required == f.opts.Required || f.view.Instant() {
		return safe
	}
	head := f.view.Newest()
	return !head.IsZero() && number+uint64(required) <= head.Number || safe && required < f.opts.Required
}

// walked returns the first and the last of the retained blocks above one.
func (f *follower) walked(above uint64) (from, head uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil || f.view.Head().IsZero() {
		return 0, 0, false
	}
	head = f.view.Head().Number
	low := head + 1 - min(head, f.view.Retained())
	return max(above+1, low), head, true
}

// above returns up to n retained blocks that follow one. retained is false when they are not, or the block is not.
func (f *follower) above(of ffcapi.BlockRef, n int) (blocks []ffcapi.Block, retained bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		return nil, false
	}
	return f.view.Above(of, n)
}
