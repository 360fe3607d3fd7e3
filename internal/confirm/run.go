package confirm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// run is one stretch of following a ledger, from the durable position until something ends it. It belongs to one goroutine.
type run struct {
	*follower
	info     *ffcapi.Ledger // as the run began
	view     *chainview.View
	batch    batch
	linked   bool // the node holds the block the view began with
	progress bool // the head rose above that of all runs before
	forget   bool // do not go on where this run stands

	line    line
	reading context.Context //nolint:containedctx // of the goroutines beside the run's own, which ends them
	workers sync.WaitGroup

	blocks  chan item
	reports chan report

	stuckAt    ffcapi.BlockRef // the head when the node was first seen ahead of it
	stuckSince time.Time
}

// item is what the reader hands over: a block, or why there are no more.
type item struct {
	block *ffcapi.Block
	err   error
}

// run follows the ledger until ctx is done or something is wrong. progress says that it got somewhere.
func (f *follower) run(ctx context.Context) (progress bool, err error) {
	r := &run{follower: f, line: newLine(f.opts), blocks: make(chan item, readAhead), reports: make(chan report)}
	defer r.workers.Wait()
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	r.reading = reading
	if err := r.begin(ctx); err != nil {
		return r.progress, err
	}
	defer r.remember()
	after := r.view.Head()
	r.workers.Go(func() { r.read(reading, after) })
	r.workers.Go(func() { r.watch(reading) })
	err = r.loop(ctx)
	if ctx.Err() != nil {
		r.saveLast(ctx)
	}
	return r.progress, err
}

// remember keeps where the next run goes on when no position is stored.
func (r *run) remember() {
	r.top = max(r.top, r.view.Head().Number)
	final, _ := r.view.Final()
	switch {
	case r.forget:
		r.last = ffcapi.BlockRef{}
	case !final.IsZero():
		r.last = final
	}
}

// read hands over the blocks after a position until ctx is done.
func (r *run) read(ctx context.Context, after ffcapi.BlockRef) {
	give := func(it item) bool {
		select {
		case r.blocks <- it:
			return it.err == nil
		case <-ctx.Done():
			return false
		}
	}
	blocks := survive.Seq(survive.Log(r.log), func() iter.Seq2[*ffcapi.Block, error] { return r.opts.Connector.Blocks(ctx, r.ledger, after) })
	for b, err := range blocks {
		if err == nil && b == nil {
			err = ffcapi.Errorf(ffcapi.Internal, "the connector gave neither a block nor an error")
		}
		if !give(item{b, err}) {
			return
		}
	}
	give(item{err: errEnded})
}

func (r *run) loop(ctx context.Context) error {
	save := time.NewTicker(saveInterval)
	defer save.Stop()
	if err := r.use(ctx); err != nil {
		return err
	}
	for {
		var err error
		blocks := r.blocks
		if r.line.full() {
			blocks = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.opts.Lost:
			return fmt.Errorf("the store may have another owner: %w", store.ErrFenced)
		case it := <-blocks:
			err = r.take(ctx, it)
		case t := <-r.line.told:
			err = r.learn(ctx, t)
		case rep := <-r.reports:
			err = r.observe(rep)
		case <-r.kick:
			err = r.use(ctx)
		case <-save.C:
			err = r.store(ctx, false)
		}
		if err != nil {
			return err
		}
	}
}

// take passes a block and those that wait behind it, and stores what they brought. What was passed before an error is stored, too.
func (r *run) take(ctx context.Context, it item) error {
	var err error
	for n := 1; ; n++ {
		if err = it.err; err != nil {
			err = r.readError(err)
			break
		}
		if err = r.pass(ctx, it.block); err != nil || n == batchBlocks || r.batch.full() || r.line.full() {
			break
		}
		more := false
		select {
		case it, more = <-r.blocks:
		default:
		}
		if !more {
			break
		}
	}
	var a *alarm
	if errors.As(err, &a) {
		return err
	}
	r.show()
	if e := r.store(ctx, r.batch.unsaved < saveBlocks); e != nil {
		return e
	}
	return err
}

// readError says what the end of the blocks means.
func (r *run) readError(err error) error {
	var e *ffcapi.Error
	if !errors.As(err, &e) || e.Kind != ffcapi.Pruned {
		return fmt.Errorf("blocks after %d: %w", r.view.Head().Number, err)
	}
	next := r.view.Head().Number + 1
	if r.batch.on && (e.FirstBlock == 0 || e.FirstBlock > r.batch.durable.Number+1) {
		return alarmf("%w: outcomes were read up to block %d, and the first block that the node still has is %d: %w",
			ErrPruned, r.batch.durable.Number, e.FirstBlock, err)
	}
	r.forget = true
	return fmt.Errorf("block %d is gone, the first block that the node still has is %d; following goes on at the head: %w", next, e.FirstBlock, err)
}

// pass gives a block to the view, and does what that asks for.
func (r *run) pass(ctx context.Context, b *ffcapi.Block) error {
	// A search or a filling leads back to b. The chain may change meanwhile, but not for ever in one go.
	for range maxDetours {
		switch e := r.step(b).(type) {
		case chainview.Gap:
			if err := r.fill(ctx, e.From, b); err != nil {
				return err
			}
		case chainview.Fetch:
			if err := r.search(ctx, e.Number); err != nil {
				return err
			}
		default:
			return r.effect(ctx, b, e)
		}
	}
	return fmt.Errorf("%w: block %d has no place", errGap, b.Number)
}

// effect does what a block that found its place brings.
func (r *run) effect(ctx context.Context, b *ffcapi.Block, e chainview.Effect) error {
	switch e := e.(type) {
	case chainview.Extended:
		r.linked, r.progress = true, r.progress || b.Number > r.top
		return r.apply(ctx, b)
	case chainview.Reorganised:
		r.linked = true
		return r.reorganise(ctx, b, e.Fork)
	case chainview.Broken:
		return alarmf("%w: %s", ErrChainChanged, e.Reason)
	case chainview.Gap:
		return fmt.Errorf("%w: block %d came, block %d is next", errGap, b.Number, e.From)
	default:
		return nil
	}
}

// settle gives a block to the view and, when that calls for it, finds the fork; the block itself may then have no place yet.
func (r *run) settle(ctx context.Context, b *ffcapi.Block) error {
	e := r.step(b)
	if f, ok := e.(chainview.Fetch); ok {
		return r.search(ctx, f.Number)
	}
	return r.effect(ctx, b, e)
}

// search gives the view the blocks that it asks for, until it has found the fork.
func (r *run) search(ctx context.Context, number uint64) error {
	for {
		b, err := r.block(ctx, number)
		if err != nil {
			return fmt.Errorf("looking for a fork: %w", err)
		}
		e := r.step(b)
		if f, ok := e.(chainview.Fetch); ok {
			number = f.Number
			continue
		}
		return r.effect(ctx, b, e)
	}
}

// fill reads the blocks that are missing below b one by one, if they are few.
func (r *run) fill(ctx context.Context, from uint64, b *ffcapi.Block) error {
	if b.Number-from > maxFill {
		return r.effect(ctx, b, chainview.Gap{From: from})
	}
	for n := from; n < b.Number; n++ {
		missing, err := r.block(ctx, n)
		if err != nil {
			return fmt.Errorf("filling a gap: %w", err)
		}
		if err := r.settle(ctx, missing); err != nil {
			return err
		}
	}
	return nil
}

// apply puts what a new block brings into the batch.
func (r *run) apply(ctx context.Context, b *ffcapi.Block) error {
	if !r.batch.on {
		return nil
	}
	if at := r.passed(); !at.IsZero() && b.Number <= at.Number {
		if b.Number == at.Number && b.Hash != at.Hash {
			return fmt.Errorf("%w: block %d is %s, and was %s a moment ago", errMoved, b.Number, b.Hash, at.Hash)
		}
		return nil // read again to know its hash; applied before
	}
	return r.enter(ctx, b)
}

func (r *run) reorganise(ctx context.Context, b *ffcapi.Block, fork uint64) error {
	hash, _ := r.view.Canonical(fork)
	r.leave(fork)
	r.batch.undo(ffcapi.BlockRef{Number: fork, Hash: hash})
	r.log.WithField("fork", fork).WithField("head", b.Number).Info("The chain was reorganised")
	r.mu.Lock()
	r.reorganisations++
	r.mu.Unlock()
	if b.Number == fork {
		return r.verify(ctx, b.BlockRef)
	}
	return r.apply(ctx, b)
}

// show publishes the safe head.
func (r *run) show() {
	if now, fell := r.publish(); !fell.IsZero() {
		r.log.WithField("safe", now.Number).WithField("was", fell.Number).Error("Blocks that were final have been replaced")
	}
}

// store writes the batch, and what waits for room in it: many blocks can become known at once. A full or absent database is tried
// again for as long as it takes.
func (r *run) store(ctx context.Context, lazy bool) error {
	for {
		if err := r.storeBatch(ctx, lazy); err != nil || !r.line.ready() {
			return err
		}
		r.move()
	}
}

func (r *run) storeBatch(ctx context.Context, lazy bool) error {
	final, _ := r.view.Final()
	a := r.batch.advance(r.ledger, r.view.Head().Number, final, lazy)
	if a == nil {
		return nil
	}
	faultpoint.VisitIf(len(a.Blocks) > 0, faultpoint.BeforeOutcomes)
	stored, err := r.write(ctx, a)
	faultpoint.VisitIf(len(a.Blocks) > 0 && err == nil, faultpoint.AfterOutcomes)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	if err == nil {
		r.batch.done(a, stored)
	}
	return err
}

func (r *run) write(ctx context.Context, a *store.Advance) (stored bool, err error) {
	err = r.patiently(ctx, "The outcomes of blocks could not be stored; it is tried again", func(ctx context.Context) error {
		stored, err = r.opts.Store.Advance(ctx, r.opts.Fence(), a, r.opts.Rule)
		return err
	})
	return stored, err
}

// patiently calls the store, again while it is absent or full. Any other error is returned.
func (r *run) patiently(ctx context.Context, trouble string, fn func(context.Context) error) error {
	return retry.Do(ctx, storeBackoff, func(ctx context.Context, _ int) error {
		select {
		case <-r.opts.Lost:
			return retry.Permanent(fmt.Errorf("the store may have another owner: %w", store.ErrFenced))
		default:
		}
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		err := fn(call)
		if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrFull) {
			if err != nil {
				r.note(err)
				r.log.WithError(err).Warn(trouble)
			}
			return err
		}
		return retry.Permanent(err)
	})
}

// saveLast stores the position of a run that is stopped, so that the next start has less to read. Nothing depends on it.
func (r *run) saveLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := r.store(ctx, false); err != nil {
		r.log.WithError(err).Debug("The position was not stored at the end")
	}
}

// use stores a position, if somebody waits for it and there is none.
func (r *run) use(ctx context.Context) error {
	if r.batch.on {
		r.setReady()
		return nil
	}
	if !r.isWanted() {
		return nil
	}
	at := r.view.Head()
	var stored *store.LedgerState
	err := r.patiently(ctx, "The position could not be stored; it is tried again", func(ctx context.Context) (err error) {
		stored, err = r.opts.Store.UseLedger(ctx, r.opts.Fence(), store.LedgerState{Name: r.ledger, ID: r.info.ID, Position: at})
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("store the position: %w", err)
	case stored.ID != r.info.ID:
		return r.otherLedger(r.info.ID, stored.ID)
	case stored.Position != at:
		return fmt.Errorf("%w: it is block %d", errMoved, stored.Position.Number)
	}
	r.batch.on, r.batch.durable, r.batch.reached = true, at, at
	r.setReady()
	return nil
}
