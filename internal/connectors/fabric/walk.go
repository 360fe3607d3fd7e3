package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// walk reads blocks in order up to one that is there already. What the tail holds is taken from it; what is further back is read in a stream of
// its own, from a peer that has shown to hold upto with its hash. The walk changes over to the tail as soon as it meets it, and back if it is too
// slow for it. Each block must follow the one before, wherever it comes from.
type walk struct {
	c    *Connector
	t    *tail
	last ffcapi.BlockRef // the block before the next one; of no hash if that may be any
	next uint64
	upto ffcapi.BlockRef

	s     *signer
	n     *node // whose stream is read
	st    *stream
	quiet *time.Timer
}

// unlinkedError is a block that does not follow the one before it.
type unlinkedError struct {
	b    *block
	last ffcapi.BlockRef
	from string
}

// Error implements error.
func (e *unlinkedError) Error() string {
	return fmt.Sprintf("%s: block %d (%s, parent %s) does not follow block %d (%s)", e.from, e.b.Number, e.b.Hash, e.b.parent, e.last.Number, e.last.Hash)
}

// walk begins with block number start, which must follow last if that is given.
func (c *Connector) walk(channel string, start uint64, last, upto ffcapi.BlockRef) (*walk, error) {
	s, err := c.reader()
	if err != nil {
		return nil, err
	}
	return &walk{c: c, t: c.tails.of(c, channel), s: s, next: start, last: last, upto: upto}, nil
}

// before returns the block before the next one, as it is where the next one comes from.
func (w *walk) before(ctx context.Context) (*block, error) {
	if b := w.t.below(w.last.Number, w.upto); b != nil {
		return b, nil
	}
	if w.n != nil {
		return w.n.block(ctx, w.s, w.t.channel, w.last.Number)
	}
	var b *block
	err := w.c.peers.look(ctx, w.t.channel, func(n *node) (err error) {
		b, err = n.block(ctx, w.s, w.t.channel, w.last.Number)
		return w.s.blame(err)
	})
	return b, err
}

// over tells whether upto has been read.
func (w *walk) over() bool { return w.next > w.upto.Number }

// block returns the next block. An *unlinkedError is no failure of the peer: its block is what the peer has.
func (w *walk) block(ctx context.Context) (*block, error) {
	b, err := w.take(ctx)
	if w.st != nil && err != nil {
		w.c.peers.note(ctx, w.n, w.t.channel, err) // who begins again is served by another one
	}
	return b, err
}

func (w *walk) take(ctx context.Context) (*block, error) {
	from := "the block stream"
	b := w.t.below(w.next, w.upto)
	if b != nil {
		w.close()
	} else {
		var err error
		if b, err = w.read(ctx); err != nil {
			return nil, err
		}
		from = w.n.address
	}
	switch {
	case b.Number != w.next:
		return nil, ffcapi.Errorf(ffcapi.Internal, "%s delivers block %d for %d of %s", from, b.Number, w.next, w.t.channel)
	case !w.last.IsZero() && b.parent != w.last.Hash:
		return nil, &ffcapi.Error{Kind: ffcapi.Internal, Stage: stageLedger, Err: &unlinkedError{b, w.last, from}}
	case b.Number == w.upto.Number && b.Hash != w.upto.Hash:
		return nil, otherBlock(from, w.t.channel, b, w.upto)
	}
	w.last, w.next = b.BlockRef, b.Number+1
	return b, nil
}

func otherBlock(from, channel string, b *block, wanted ffcapi.BlockRef) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.Unavailable, "%s has another block %d of %s: %s, not %s", from, b.Number, channel, b.Hash, wanted.Hash)
}

// read takes the next block from the walk's own stream.
func (w *walk) read(ctx context.Context) (*block, error) {
	if w.st == nil {
		if err := w.open(ctx); err != nil {
			return nil, err
		}
	}
	b, ended, err := w.c.await(ctx, w.n, w.s, w.st, w.quiet, blockOn{w.t.channel, w.next})
	if ended && w.next == w.upto.Number && ffcapi.KindOf(err) == ffcapi.Unavailable {
		err = w.c.missing(ctx, w.n, w.s, w.t.channel, w.next, err)
	}
	return b, err
}

// await takes the next block, at, of a stream of blocks that the peer has. While it does not come the peer is probed: one that is there may be slow,
// but not for ever. ended says that an error is that of the stream.
func (c *Connector) await(ctx context.Context, n *node, s *signer, st *stream, quiet *time.Timer, at blockOn) (b *block, ended bool, err error) {
	for missing := 0; ; {
		quiet.Reset(c.quiet)
		select {
		case out, ok := <-st.blocks:
			b, err = wait(ctx, n, out, ok)
			return b, err != nil, err
		case <-quiet.C:
			if _, e := c.probe(ctx, n, s, at.channel); e != nil {
				return nil, false, e
			}
			if missing++; missing >= c.patience(at) {
				c.peers.slow.gaveUp(at)
				return nil, false, doesNotDeliver(n, at.channel, at.number)
			}
		case <-ctx.Done():
			return nil, false, inContext(ctx, stageLedger)
		}
	}
}

// fewBlocks is how far a peer may lag behind another one without being at fault: blocks reach peers at different times.
const fewBlocks = 10

// open begins a stream at the next block, at the first peer that has it and upto. The one that the tail reads from has upto if the tail has.
func (w *walk) open(ctx context.Context) error {
	nodes := w.c.peers.orderOn(w.t.channel)
	if n := w.t.source(w.upto); n != nil && w.c.peers.serves(n, w.t.channel) {
		nodes = append([]*node{n}, slices.DeleteFunc(nodes, func(o *node) bool { return o == n })...)
	}
	return w.c.peers.ask(ctx, nodes, w.t.channel, func(n *node) error {
		if err := w.fit(ctx, n); err != nil {
			return w.s.blame(err)
		}
		st, err := n.open(ctx, w.s, w.t.channel, w.next, w.upto.Number)
		if err != nil {
			return deliverError(ctx, n, err)
		}
		w.n, w.st, w.quiet = n, st, time.NewTimer(w.c.quiet)
		return nil
	}, passable)
}

// fit makes sure, before anything is read, that a peer has the next block and upto with its hash. One block alone needs no question: the
// block itself is the answer.
func (w *walk) fit(ctx context.Context, n *node) error {
	if w.next == w.upto.Number && len(w.c.peers.nodes) == 1 {
		return nil
	}
	info, e := w.c.probe(ctx, n, w.s, w.t.channel)
	if e != nil {
		return e
	}
	if info.head.Number < w.upto.Number {
		e := behind(n, w.t.channel, info.head.Number, w.upto.Number)
		if w.upto.Number-info.head.Number <= fewBlocks {
			e.Err = errSoon
		}
		return e
	}
	if e := info.pruned(n, w.next); e != nil {
		return e
	}
	if info.head == w.upto || w.next == w.upto.Number {
		return nil
	}
	b, err := n.block(ctx, w.s, w.t.channel, w.upto.Number)
	if err != nil {
		return err
	}
	if b.Hash != w.upto.Hash {
		return otherBlock(n.address, w.t.channel, b, w.upto)
	}
	return nil
}

// missing says why a peer did not deliver a block: a stream does not tell one that is not there yet from one that is not there any more.
func (c *Connector) missing(ctx context.Context, n *node, s *signer, channel string, number uint64, why error) error {
	info, e := c.probe(ctx, n, s, channel)
	switch {
	case e != nil:
		return e
	case number > info.head.Number:
		return ffcapi.Errorf(ffcapi.NotFound, "there is no block %d in %s: the newest is %d", number, channel, info.head.Number)
	}
	if e := info.pruned(n, number); e != nil {
		return e
	}
	return why
}

// close ends the walk's own stream.
func (w *walk) close() {
	if w.st != nil {
		w.st.close()
		w.quiet.Stop()
		w.st = nil
	}
}

// asUnlinked returns the block that does not follow, if that is what is wrong.
func asUnlinked(err error) *block {
	var u *unlinkedError
	if errors.As(err, &u) {
		return u.b
	}
	return nil
}
