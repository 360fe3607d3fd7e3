package stream

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

// topsOf are the highest blocks of verified positions, by ledger.
func (r *run) topsOf(start []inflight.Position) map[string]*ffcapi.BlockRef {
	tops := make(map[string]*ffcapi.BlockRef)
	for ledger, f := range r.finality {
		if f != ffcapi.Instant {
			tops[ledger] = &ffcapi.BlockRef{}
		}
	}
	for i, at := range start {
		if t := tops[r.listeners[i].Resolved.Ledger]; t != nil && !r.readsChanges(i) && at.Block.Number >= t.Number {
			*t = at.Block
		}
	}
	return tops
}

// passed notes that a run has read a ledger up to a block; none if it is zero.
func (r *reader) passed(ledger string, ref ffcapi.BlockRef) {
	t := r.tops[ledger]
	if t == nil || ref.IsZero() {
		return
	}
	if ref.Number >= t.Number {
		*t = ref
	}
	r.run.s.trail.add(ledger, ref)
}

// oneChain ends a run of which something is not on the chain any more. All that a run reads is of one chain: a position on the new one, behind
// what was read of the old one, would pass over the past of the new one. It is asked after the new block was found to be canonical.
func (r *reader) oneChain(ctx context.Context, ledger string) error {
	t := r.tops[ledger]
	if t == nil || t.IsZero() {
		return nil
	}
	same, err := r.run.onChain(ctx, ledger, *t)
	if err == nil && !same {
		err = fmt.Errorf("%w: block %d of ledger %q was %s", errChainChanged, t.Number, ledger, t.Hash)
	}
	return err
}
