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
	if err := c.channel(ledger); err != nil {
		return nil, err
	}
	if b := c.tails.of(c, ledger).at(number); b != nil {
		return b.block(), nil
	}
	var out *block
	err := c.search(ctx, c.cfg.Timeouts.CommitStatus, ledger, func(ctx context.Context, n *node, s *signer) (err error) {
		out, err = n.block(ctx, s, ledger, number)
		if ffcapi.KindOf(err) == ffcapi.Unavailable {
			return c.missing(ctx, n, s, ledger, number, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.block(), nil
}

// block reads one block. One that the peer does not have, or does not deliver, is Unavailable.
func (n *node) block(ctx context.Context, s *signer, channel string, number uint64) (*block, error) {
	at := blockOn{channel, number}
	limited, cancel := context.WithTimeout(ctx, n.slow.limit(at, n.oneBlock, n.longest))
	defer cancel()
	b, err := n.one(limited, s, channel, number)
	if limited.Err() != nil && ctx.Err() == nil && ffcapi.KindOf(err) == ffcapi.Timeout {
		n.slow.gaveUp(at)
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "%s does not deliver block %d of %s", n.address, number, channel) // the limit was ours
	}
	return b, err
}

func (n *node) one(ctx context.Context, s *signer, channel string, number uint64) (*block, error) {
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
	case out, ok := <-s.blocks:
		return wait(ctx, n, out, ok)
	case <-ctx.Done():
		return nil, inContext(ctx, stageLedger)
	}
}

// wait is for what comes from a stream: a block that may still be decoded, and is soon; ok is false at the end.
func wait(ctx context.Context, n *node, out <-chan delivered, ok bool) (*block, error) {
	if !ok {
		if done := inContext(ctx, stageLedger); done != nil {
			return nil, done
		}
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "%s ended the block stream", n.address)
	}
	d := <-out
	d.take()
	var bad *malformed
	switch {
	case errors.As(d.err, &bad):
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageLedger, Message: n.address + ": " + bad.Error(), Err: d.err}
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
	if _, err := c.reader(); err != nil {
		return err
	}
	f := &follower{c: c, t: c.tails.of(c, ledger), at: after, yield: yield}
	defer f.t.join()()
	for {
		if err := f.step(ctx); err != nil {
			return err
		}
	}
}

// follower is one sequence of Blocks.
type follower struct {
	c       *Connector
	t       *tail
	at      ffcapi.BlockRef // yielded last, or where to begin
	began   bool            // at was yielded
	yielded time.Time       // something was yielded last, or the wait for it began
	yield   func(*block) bool
}

// step waits for a new block and yields all up to it, or the newest once more as a sign of life.
func (f *follower) step(ctx context.Context) error {
	if f.yielded.IsZero() {
		f.yielded = time.Now()
	}
	head, n, err := f.t.head(ctx, f.at, f.yielded, f.c.life)
	switch {
	case err != nil:
		return err
	case f.at.IsZero(), head.Number > f.at.Number:
		return f.catchUp(ctx, head.BlockRef)
	case head.Number < f.at.Number:
		f.t.shun(n)
		return behind(n, f.t.channel, head.Number, f.at.Number)
	default: // the same block, or another one in its place
		return f.pass(head)
	}
}

// catchUp yields the blocks up to the head.
func (f *follower) catchUp(ctx context.Context, head ffcapi.BlockRef) error {
	start := f.at.Number + 1
	if f.at.IsZero() {
		start = 0
	}
	w, err := f.c.walk(f.t.channel, start, f.at, head)
	if err != nil {
		return err
	}
	defer w.close()
	for !w.over() {
		b, err := w.block(ctx)
		if other := asUnlinked(err); other != nil && !f.began {
			// The chain is another one below this block: show it from there.
			below, e := w.before(ctx)
			if e != nil {
				return e
			}
			if e := f.pass(below); e != nil {
				return e
			}
			w.last, w.next, b, err = other.BlockRef, other.Number+1, other, nil
		}
		if err != nil {
			return err
		}
		if err := f.pass(b); err != nil {
			return err
		}
	}
	return nil
}

// pass yields a block.
func (f *follower) pass(b *block) error {
	f.at, f.began = b.BlockRef, true
	if !f.yield(b) {
		return errBroken
	}
	f.yielded = time.Now()
	return nil
}
