package stream

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// errChainChanged says that a block that was read is no longer on the chain.
var errChainChanged = errors.New("chain changed")

// verify compares the blocks of the checkpoints with the chain. On a ledger with instant finality a difference means
// that this is another chain. Otherwise the listeners above the fork are set back to it, in the store as well: what is read from here on is of the
// new chain, and must not be taken for the past of a checkpoint on the old one.
func (r *run) verify(ctx context.Context, start []inflight.Position, older [][]ffcapi.BlockRef) error {
	// By ledger and block, not by number: of two listeners at the same height one may have read a block that was replaced.
	good := make(map[string]map[ffcapi.BlockRef]bool)
	for ledger := range r.finality {
		if err := r.pruneTrail(ctx, ledger); err != nil {
			return err
		}
	}
	for i, at := range start {
		ledger := r.listeners[i].Resolved.Ledger
		if at.Block.IsZero() || good[ledger][at.Block] {
			continue
		}
		same, err := r.onChain(ctx, ledger, at.Block)
		if err != nil {
			return err
		}
		if !same {
			if r.finality[ledger] == ffcapi.Instant {
				return final(fmt.Errorf("%w: listener %q has read block %d of ledger %q as %s, which is not the block there now; reset the listener if this is meant",
					errChainChanged, r.listeners[i].Name, at.Block.Number, ledger, at.Block.Hash))
			}
			continue
		}
		if good[ledger] == nil {
			good[ledger] = make(map[ffcapi.BlockRef]bool)
		}
		good[ledger][at.Block] = true
	}
	if err := r.setBack(ctx, start, older, good); err != nil {
		return err
	}
	for i, at := range start { // only now: another listener may have read these on the new chain, while one was not declared
		ledger := r.listeners[i].Resolved.Ledger
		if good[ledger][at.Block] {
			r.remember(ledger, at.Block)
			r.remember(ledger, older[i]...)
		}
	}
	return nil
}

// remember puts blocks into the trail that are on the chain.
func (r *run) remember(ledger string, refs ...ffcapi.BlockRef) {
	if r.finality[ledger] == ffcapi.Instant {
		return
	}
	for _, ref := range refs {
		r.s.trail.add(ledger, ref)
	}
}

// setBack moves the listeners whose blocks are not good to the place where the chain forked.
func (r *run) setBack(ctx context.Context, start []inflight.Position, older [][]ffcapi.BlockRef, good map[string]map[ffcapi.BlockRef]bool) error {
	var cps []store.Checkpoint
	for i := range start {
		ledger := r.listeners[i].Resolved.Ledger
		if b := start[i].Block; b.IsZero() || good[ledger][b] {
			continue
		}
		at, err := r.fork(ctx, i, start[i].Block.Number, older[i])
		if err != nil {
			return err
		}
		if start[i].Cursor.Before(at.Cursor) {
			at.Cursor = start[i].Cursor // it had read further than it had delivered
		}
		if first := r.listeners[i].Resolved.Start; at.Cursor.Before(first) {
			at.Cursor = first
		}
		r.log.WithField("listener", r.listeners[i].Name).WithField("from", start[i].Cursor.String()).WithField("to", at.Cursor.String()).
			Warn("The chain changed below the checkpoint; the listener restarts at the fork")
		start[i] = at
		cps = append(cps, store.Checkpoint{
			Listener: r.listeners[i].ID, Cursor: at.Cursor, Block: at.Block, Older: r.s.trail.below(ledger, at.Block.Number), Updated: r.m.opts.Now(),
		})
	}
	if len(cps) == 0 {
		return nil
	}
	if err := r.m.opts.Store.WriteCheckpoints(ctx, r.m.opts.Fence(), r.def.ID, r.epoch, cps); err != nil {
		return fmt.Errorf("going back to the fork of the chain: %w", err)
	}
	r.s.stats.rewinds.Add(uint64(len(cps)))
	return nil
}

// pruneTrail forgets what was read of a chain that has been replaced, so that everything in the trail is on one chain. A block that the node does
// not have yet is forgotten, too.
func (r *run) pruneTrail(ctx context.Context, ledger string) error {
	for {
		ref, ok := r.s.trail.upTo(ledger, math.MaxUint64)
		if !ok {
			return nil
		}
		same, err := r.onChain(ctx, ledger, ref)
		switch {
		case err != nil && ffcapi.KindOf(err) != ffcapi.NotFound:
			return err
		case same:
			return nil
		}
		r.s.trail.cut(ledger, ref.Number)
	}
}

// onChain asks whether a block is on the chain. A node that does not have it any more cannot tell, which is taken for yes: what comes
// after it will tell.
func (r *run) onChain(ctx context.Context, ledger string, ref ffcapi.BlockRef) (bool, error) {
	if hash, known := r.m.opts.Chain.Canonical(ledger, ref.Number); known {
		return hash == ref.Hash, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	b, err := survive.Ask(survive.Log(r.log), func() (*ffcapi.Block, error) { return r.m.opts.Connector.Block(ctx, ledger, ref.Number) })
	switch {
	case ffcapi.KindOf(err) == ffcapi.Pruned:
		r.log.WithField("block", ref.Number).Warn("The node no longer has the block of the checkpoint; it cannot be verified")
		return true, nil
	case ffcapi.KindOf(err) == ffcapi.NotFound:
		return false, fmt.Errorf("the node has no block %d of ledger %q yet, which was read before: %w", ref.Number, ledger, err)
	case err != nil:
		return false, fmt.Errorf("block %d of ledger %q: %w", ref.Number, ledger, err)
	}
	return b.Hash == ref.Hash, nil
}

// fork finds where listener i can go on, given that block bad of it was replaced: behind the newest block that it is known to have read and that is
// still on the chain or, without any, at its start. Known are those of the trail, which all listeners of this process have read, and the older
// ones of its own. A good block of another listener proves nothing: that one may have been set back to the fork before.
func (r *run) fork(ctx context.Context, i int, bad uint64, older []ffcapi.BlockRef) (inflight.Position, error) {
	l := r.listeners[i]
	ledger := l.Resolved.Ledger
	r.s.trail.cut(ledger, bad)
	for n, ref := range older {
		same, err := r.onChain(ctx, ledger, ref)
		if err != nil {
			return inflight.Position{}, err
		}
		if same {
			r.remember(ledger, older[n:]...)
			break
		}
	}
	for n := bad; n > 0; {
		ref, ok := r.s.trail.upTo(ledger, n-1)
		if !ok {
			break
		}
		same, err := r.onChain(ctx, ledger, ref)
		if err != nil {
			return inflight.Position{}, err
		}
		if same {
			return inflight.Position{Cursor: ffcapi.BlockStart(ref.Number + 1), Block: ref}, nil
		}
		r.s.trail.cut(ledger, ref.Number)
		n = ref.Number
	}
	return inflight.Position{Cursor: l.Resolved.Start}, nil
}
