package fabric

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Block implements ffcapi.Connector.
func (c *Connector) Block(ctx context.Context, ledger string, number uint64) (*ffcapi.Block, error) {
	var out *block
	err := c.visit(ctx, c.cfg.Timeouts.CommitStatus, ledger, func(ctx context.Context, n *node, s *signer) (err error) {
		out, err = n.block(ctx, s, ledger, number)
		if ffcapi.KindOf(err) != ffcapi.Unavailable {
			return err
		}
		// The stream does not tell a block that is not there yet from one that is not there any more.
		info, e := n.chainInfo(ctx, s, ledger)
		switch {
		case e != nil:
			return e
		case number > info.head.Number:
			return ffcapi.Errorf(ffcapi.NotFound, "there is no block %d in %s: the newest is %d", number, ledger, info.head.Number)
		}
		if e := info.pruned(n, number); e != nil {
			return e
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.block(), nil
}

// block reads one block. One that the peer does not have is Unavailable.
func (n *node) block(ctx context.Context, s *signer, channel string, number uint64) (*block, error) {
	st, err := n.open(ctx, s, channel, number, number)
	if err != nil {
		return nil, deliverError(ctx, n, err)
	}
	defer st.close()
	b, err := st.next(ctx, n)
	if err == nil && b.Number != number {
		return nil, ffcapi.Errorf(ffcapi.Internal, "%s delivers block %d for %d of %s", n.address, b.Number, number, channel)
	}
	return b, err
}

// next waits for the next block of a stream.
func (s *stream) next(ctx context.Context, n *node) (*block, error) {
	select {
	case d, ok := <-s.blocks:
		return d.result(ctx, n, ok)
	case <-ctx.Done():
		return nil, inContext(ctx, stageLedger)
	}
}

// result is what was received from a stream; ok is false at its end.
func (d delivered) result(ctx context.Context, n *node, ok bool) (*block, error) {
	var bad *malformed
	switch {
	case !ok && ctx.Err() != nil:
		return nil, inContext(ctx, stageLedger)
	case !ok:
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "%s ended the block stream", n.address)
	case errors.As(d.err, &bad):
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageLedger, Message: bad.Error(), Err: d.err}
	case d.err != nil:
		return nil, deliverError(ctx, n, d.err)
	default:
		return d.block, nil
	}
}

// Blocks implements ffcapi.Connector.
func (c *Connector) Blocks(ctx context.Context, ledger string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		err := c.follow(ctx, ledger, after, func(b *block) bool { return yield(b.block(), nil) })
		if err != nil && !errors.Is(err, errBroken) {
			yield(nil, err)
		}
	}
}

// errBroken says that the consumer wants no more.
var errBroken = errors.New("the consumer broke off")

// follow yields the blocks after one, and then the new ones, until something goes wrong.
func (c *Connector) follow(ctx context.Context, ledger string, after ffcapi.BlockRef, yield func(*block) bool) error {
	if err := c.channel(ledger); err != nil {
		return err
	}
	s, err := c.reader()
	if err != nil {
		return err
	}
	n, failed := c.peers.pick()
	f := &follower{c: c, n: n, s: s, ledger: ledger, yield: yield}
	err = f.run(ctx, after)
	if ffcapi.KindOf(err) == ffcapi.Unavailable {
		failed()
	}
	return err
}

// follower is one sequence of Blocks.
type follower struct {
	c      *Connector
	n      *node
	s      *signer
	ledger string
	yield  func(*block) bool
	last   *block // yielded last
}

func (f *follower) run(ctx context.Context, after ffcapi.BlockRef) error {
	start, err := f.start(ctx, after)
	if err != nil {
		return err
	}
	st, err := f.n.open(ctx, f.s, f.ledger, start, noEnd)
	if err != nil {
		return deliverError(ctx, f.n, err)
	}
	defer st.close()
	timer := time.NewTimer(f.c.quiet)
	defer timer.Stop()
	var missing uint64 // the peer has shown that it has this block, and has not sent it
	for {
		select {
		case <-ctx.Done():
			return inContext(ctx, stageLedger)
		case <-timer.C:
			if missing, err = f.probe(ctx, missing, after); err != nil {
				return err
			}
		case d, ok := <-st.blocks:
			b, err := d.result(ctx, f.n, ok)
			if err == nil {
				err = f.pass(ctx, b, after)
			}
			if err != nil {
				return err
			}
			missing = 0
		}
		timer.Reset(f.c.quiet)
	}
}

// start decides where to begin. It is the block after the given one, but that one itself when the peer has another in its place
// and nothing beyond that would show it.
func (f *follower) start(ctx context.Context, after ffcapi.BlockRef) (uint64, error) {
	info, e := f.info(ctx)
	if e != nil {
		return 0, e
	}
	start := after.Number + 1
	switch {
	case after.IsZero():
		start = 0
	case info.head.Number < after.Number:
		return 0, ffcapi.Errorf(ffcapi.Unavailable, "%s is behind: it has %d blocks of %s, not yet block %d", f.n.address, info.head.Number+1, f.ledger, after.Number)
	case info.head.Number == after.Number && info.head.Hash != after.Hash:
		start = after.Number
	}
	if e := info.pruned(f.n, start); e != nil {
		return 0, e
	}
	return start, nil
}

// probeLimit is how long a peer may take to say where it stands. With the quiet time before, it is what a peer that hangs can hold a sequence up.
const probeLimit = 10 * time.Second

func (f *follower) info(ctx context.Context) (chainInfo, *ffcapi.Error) {
	ctx, cancel := context.WithTimeout(ctx, min(probeLimit, f.c.cfg.Timeouts.Evaluate))
	defer cancel()
	info, e := f.n.chainInfo(ctx, f.s, f.ledger)
	if e != nil && e.Kind == ffcapi.Timeout {
		e.Kind = ffcapi.Unavailable // the limit was ours: the peer does not answer
	}
	return info, e
}

// pass checks that a block follows the last one, and yields it.
func (f *follower) pass(ctx context.Context, b *block, after ffcapi.BlockRef) error {
	switch {
	case f.last != nil && (b.Number != f.last.Number+1 || b.parent != f.last.Hash):
		return ffcapi.Errorf(ffcapi.Internal, "%s: block %d (parent %s) does not follow block %d (%s) of %s",
			f.n.address, b.Number, b.parent, f.last.Number, f.last.Hash, f.ledger)
	case f.last == nil && !after.IsZero() && b.Number == after.Number+1 && b.parent != after.Hash:
		// The chain is another one below this block: show it from there.
		below, err := f.n.block(ctx, f.s, f.ledger, after.Number)
		if err != nil {
			return err
		}
		if !f.yield(below) {
			return errBroken
		}
	}
	f.last = b
	if !f.yield(b) {
		return errBroken
	}
	return nil
}

// probe is for a stream that has been silent. The head is yielded once more if the peer answers and has nothing new. A block that
// the peer has, and that did not come by the second probe, will not come: then the stream is dead.
func (f *follower) probe(ctx context.Context, missing uint64, after ffcapi.BlockRef) (uint64, error) {
	info, e := f.info(ctx)
	if e != nil {
		return 0, e
	}
	at := after.Number
	if f.last != nil {
		at = f.last.Number
	}
	if info.head.Number > at {
		if missing > 0 {
			return 0, ffcapi.Errorf(ffcapi.Unavailable, "%s has block %d of %s and does not deliver it", f.n.address, at+1, f.ledger)
		}
		return at + 1, nil
	}
	if f.last == nil {
		b, err := f.n.block(ctx, f.s, f.ledger, at)
		if err != nil {
			return 0, err
		}
		f.last = b
	}
	if !f.yield(f.last) {
		return 0, errBroken
	}
	return 0, nil
}
