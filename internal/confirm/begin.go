package confirm

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// begin finds out where the run starts and makes its view.
func (r *run) begin(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := r.opts.Store.Ledger(call, r.ledger)
	switch {
	case errors.Is(err, store.ErrNotFound):
		stored = nil
	case err != nil:
		return fmt.Errorf("read the position: %w", err)
	}
	if r.info, err = r.ask(ctx); err != nil {
		return err
	}
	if stored != nil {
		r.id = stored.ID
	}
	if err := r.identify(r.info); err != nil {
		return err
	}
	r.batch = batch{instant: r.instant()}
	from, start := r.last, !r.last.IsZero()
	if stored != nil {
		from, start = stored.Position, true
		r.batch.on, r.batch.durable, r.batch.reached = true, from, from
	}
	if !start {
		return r.beginFresh(ctx)
	}
	return r.beginAt(ctx, from)
}

func (r *run) instant() bool { return r.info.Finality == ffcapi.Instant }

// ask asks the node for the ledger.
func (r *run) ask(ctx context.Context) (*ffcapi.Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := survive.Ask(survive.Log(r.log), func() (*ffcapi.Ledger, error) { return r.opts.Connector.Ledger(ctx, r.ledger) })
	if err != nil {
		return nil, fmt.Errorf("ask for the ledger: %w", err)
	}
	return info, nil
}

// block reads one canonical block.
func (r *run) block(ctx context.Context, number uint64) (*ffcapi.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b, err := survive.Ask(survive.Log(r.log), func() (*ffcapi.Block, error) { return r.opts.Connector.Block(ctx, r.ledger, number) })
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	if b.Number != number {
		return nil, ffcapi.Errorf(ffcapi.Internal, "block %d was asked for, and block %d came", number, b.Number)
	}
	r.mu.Lock()
	r.times.note(b)
	r.mu.Unlock()
	return b, nil
}

// identify compares the ledger with the one that is known under its name.
func (r *run) identify(info *ffcapi.Ledger) error {
	if r.id == "" {
		r.id = info.ID
	}
	if info.ID != r.id {
		return r.otherLedger(info.ID, r.id)
	}
	return nil
}

func (r *run) otherLedger(now, before string) error {
	return alarmf("%w: ledger %q is %s, and was %s at its first use; a new chain needs a new database", ErrOtherLedger, r.ledger, now, before)
}

// finalOf returns the newest block that a node with this head must call final; zero when none is.
func (r *run) finalOf(ctx context.Context, head ffcapi.BlockRef) (ffcapi.BlockRef, error) {
	required := uint64(r.opts.Required)
	switch {
	case r.instant() || required == 0:
		return head, nil
	case head.Number < required:
		return ffcapi.BlockRef{}, nil
	}
	b, err := r.block(ctx, head.Number-required)
	if err != nil {
		return ffcapi.BlockRef{}, err
	}
	return b.BlockRef, nil
}

// start makes the view, that continues after base.
func (r *run) start(base ffcapi.BlockRef) error {
	r.view = chainview.New(chainview.Config{Instant: r.instant(), Required: uint64(r.opts.Required)}, base)
	return r.heed(r.setView(r.view))
}

// heed turns the effect of an announcement into an error.
func (r *run) heed(e chainview.Effect) error {
	if b, ok := e.(chainview.Broken); ok {
		return alarmf("%w: %s", ErrChainChanged, b.Reason)
	}
	return nil
}

// beginFresh starts where the chain is final now: nothing that happened before concerns us.
func (r *run) beginFresh(ctx context.Context) error {
	final, err := r.finalOf(ctx, r.info.Head)
	if err != nil {
		return err
	}
	if err := r.start(final); err != nil {
		return err
	}
	r.linked = true
	return r.believe(final)
}

// beginAt starts from a position, or so far below that the final block is linked.
func (r *run) beginAt(ctx context.Context, from ffcapi.BlockRef) error {
	if from.IsZero() {
		return r.start(from)
	}
	b, err := r.block(ctx, from.Number)
	switch {
	case isKind(err, ffcapi.NotFound), isKind(err, ffcapi.Pruned):
		// A node that is behind, or that has forgotten. The blocks will tell.
		return r.start(from)
	case err != nil:
		return err
	case b.Hash != from.Hash:
		if err := r.start(from); err != nil {
			return err
		}
		return r.resettle(ctx, b)
	}
	r.linked = true
	final, err := r.finalOf(ctx, r.info.Head)
	if err != nil {
		return err
	}
	base := from
	if !final.IsZero() && final.Number < from.Number && !r.instant() {
		base = final
	}
	if err := r.start(base); err != nil {
		return err
	}
	return r.believe(final)
}

// resettle deals with a position that is no longer canonical: what is stored above the fork is undone before anything else.
func (r *run) resettle(ctx context.Context, b *ffcapi.Block) error {
	if err := r.settle(ctx, b); err != nil {
		return err
	}
	if err := r.store(ctx, false); err != nil {
		return err
	}
	final, err := r.finalOf(ctx, r.info.Head)
	if err != nil {
		return err
	}
	return r.believe(final)
}

// believe takes a block for final because a node that holds our position says so.
func (r *run) believe(final ffcapi.BlockRef) error {
	if err := r.heed(r.announce(final)); err != nil {
		return err
	}
	r.show()
	return nil
}
