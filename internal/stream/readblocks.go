package stream

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

// blocks is a session over the blocks from the position of a group of listeners of type blocks to the safe head.
func (r *reader) blocks(ctx context.Context, g *group, upto ffcapi.BlockRef) session {
	return func(yield func(deliver func(context.Context) error, err error) bool) {
		book := r.run.m.book(g.ledger, r.run.finality[g.ledger])
		for g.at.Cursor.Block <= upto.Number {
			list, err := book.read(ctx, g.at.Cursor.Block, upto.Number)
			if err != nil {
				yield(nil, r.pruned(g, err))
				return
			}
			if !yield(func(ctx context.Context) error { return r.deliverBlocks(ctx, g, upto, book, list) }, nil) {
				return
			}
		}
	}
}

// pruned tells what to do about blocks that the nodes no longer have.
func (r *reader) pruned(g *group, err error) error {
	if ffcapi.KindOf(err) != ffcapi.Pruned {
		return err
	}
	return fmt.Errorf("listener %q waits for a block that no node has any more; reset it to a later block, or connect a node that has it: %w",
		r.run.listeners[r.hindmost(g)].Name, err)
}

// deliverBlocks puts blocks into batches and moves the group, as far as they are canonical.
func (r *reader) deliverBlocks(ctx context.Context, g *group, upto ffcapi.BlockRef, book *blockBook, list []*chainBlock) error {
	if err := r.oneChain(ctx, g.ledger); err != nil {
		return err
	}
	for _, b := range list {
		if b.ref.Number > g.until {
			break
		}
		if err := r.canonical(ctx, g, upto, b); err != nil {
			book.forget(b.ref.Number)
			return err
		}
		at := ffcapi.BlockStart(b.ref.Number)
		before := inflight.Position{Cursor: at, Block: g.at.Block}
		after := inflight.Position{Cursor: ffcapi.BlockStart(b.ref.Number + 1), Block: b.ref}
		for _, l := range g.listeners {
			if at.Before(r.groups.from[l]) {
				continue
			}
			if err := r.room(ctx, g, before); err != nil {
				return err
			}
			r.asm.block(b, l, after)
			if err := r.judge(ctx, g, l, before); err != nil {
				return err
			}
		}
		g.at = after
		r.asm.mark(g, g.at)
		r.passed(g.ledger, b.ref)
	}
	if r.asm.full() {
		return r.run.delivery.push(ctx, r.asm.take())
	}
	return nil
}

// canonical refuses a block that is not the canonical one, and one that does not follow that which was delivered before it.
func (r *reader) canonical(ctx context.Context, g *group, upto ffcapi.BlockRef, b *chainBlock) error {
	hash, known := r.run.m.opts.Chain.Canonical(g.ledger, b.ref.Number)
	if b.ref.Number == upto.Number {
		hash, known = upto.Hash, true
	}
	if known && hash != b.ref.Hash {
		return ffcapi.Errorf(ffcapi.Unavailable, "the node gives block %d of ledger %q as %s, the canonical one is %s", b.ref.Number, g.ledger, b.ref.Hash, hash)
	}
	before := g.at.Block
	if before.IsZero() || before.Number+1 != b.ref.Number || before.Hash == b.parent {
		return nil
	}
	same, err := r.run.onChain(ctx, g.ledger, before)
	switch {
	case err != nil:
		return err
	case !same:
		return fmt.Errorf("%w: block %d of ledger %q was %s", errChainChanged, before.Number, g.ledger, before.Hash)
	default:
		return ffcapi.Errorf(ffcapi.Unavailable, "the node gives block %d of ledger %q as %s, which does not follow %s", b.ref.Number, g.ledger, b.ref.Hash, before.Hash)
	}
}
