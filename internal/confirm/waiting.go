package confirm

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
)

// waiting is a block that the view has passed and that is not in the batch yet: its receipts, or those of a block before it, are not
// known. Where blocks tell outcomes nothing waits.
type waiting struct {
	ref      ffcapi.BlockRef
	mine     []ffcapi.TxOutcome // those of which the receipts are asked for
	outcomes []ffcapi.TxOutcome
	known    bool
	cancel   context.CancelFunc // of the questions; nil: not begun
	left     bool               // the block is no longer canonical
}

// told is the end of the questions for a block.
type told struct {
	w        *waiting
	outcomes []ffcapi.TxOutcome
	err      error
}

// line holds the blocks that wait, in order. It belongs to the run's goroutine.
type line struct {
	blocks []*waiting
	later  []*waiting // of these, those whose receipts are asked for when others are known
	begun  int        // blocks whose receipts are being asked for
	told   chan told
	asking chan struct{} // has an element for each question under way
}

func newLine(o *Options) line {
	return line{told: make(chan told), asking: make(chan struct{}, o.ReceiptWorkers)}
}

// full reports whether no more blocks should be read for now.
func (l *line) full() bool { return len(l.blocks) >= maxWaiting }

// passed is the newest block that is in the batch or waits for that.
func (r *run) passed() ffcapi.BlockRef {
	if n := len(r.line.blocks); n > 0 {
		return r.line.blocks[n-1].ref
	}
	return r.batch.reached
}

// enter puts a block into the line.
func (r *run) enter(ctx context.Context, b *ffcapi.Block) error {
	faultpoint.VisitIf(len(b.Transactions) > 0, faultpoint.BlockRead)
	w := &waiting{ref: b.BlockRef, outcomes: b.Transactions, known: true}
	if !b.Outcomes && len(b.Transactions) > 0 {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		mine, err := r.opts.Store.InFlight(call, r.ledger, b.Transactions)
		if err != nil {
			return fmt.Errorf("which transactions of block %d are ours: %w", b.Number, err)
		}
		w.mine, w.outcomes, w.known = mine, nil, len(mine) == 0
	}
	r.line.blocks = append(r.line.blocks, w)
	if !w.known {
		r.line.later = append(r.line.later, w)
	}
	r.move()
	return nil
}

// ready reports whether the first block waits for nothing but room in the batch.
func (l *line) ready() bool { return len(l.blocks) > 0 && l.blocks[0].known }

// move puts into the batch what is known, as far as there is room, and asks for what is not.
func (r *run) move() {
	l := &r.line
	for l.ready() && !r.batch.full() {
		r.batch.add(l.blocks[0].ref, l.blocks[0].outcomes)
		l.blocks[0] = nil
		l.blocks = l.blocks[1:]
	}
	for l.begun < maxAsking && len(l.later) > 0 {
		w := l.later[0]
		l.later = l.later[1:]
		ctx, cancel := context.WithCancel(r.reading)
		w.cancel = cancel
		l.begun++
		r.workers.Go(func() {
			outcomes, err := r.receipts(ctx, w.ref, w.mine)
			select {
			case l.told <- told{w, outcomes, err}:
			case <-ctx.Done():
			}
		})
	}
}

// learn takes the receipts of a block.
func (r *run) learn(ctx context.Context, t told) error {
	if t.w.left {
		return nil
	}
	r.line.begun--
	t.w.cancel()
	if t.err != nil {
		return fmt.Errorf("receipts of block %d: %w", t.w.ref.Number, t.err)
	}
	t.w.outcomes, t.w.known = t.outcomes, true
	r.move()
	return r.store(ctx, r.batch.unsaved < saveBlocks)
}

// leave takes the blocks above a fork out of the line.
func (r *run) leave(fork uint64) {
	l := &r.line
	for n := len(l.blocks); n > 0 && l.blocks[n-1].ref.Number > fork; n = len(l.blocks) {
		w := l.blocks[n-1]
		if w.left = true; !w.known && w.cancel != nil {
			w.cancel()
			l.begun--
		}
		l.blocks = l.blocks[:n-1]
	}
	for n := len(l.later); n > 0 && l.later[n-1].ref.Number > fork; n = len(l.later) {
		l.later = l.later[:n-1]
	}
	r.move()
}
