package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	// turn is how long a group may read while another one waits.
	turn = 50 * time.Millisecond
	// idleSession is how long a session stays open after the last receiver has gone.
	idleSession = time.Second
	// blockTimes is how many blocks' timestamps are remembered.
	blockTimes = 1024
)

// reader reads the groups of a run in turn and fills batches. It belongs to one goroutine.
type reader struct {
	run      *run
	groups   *groups
	asm      *assembler
	encoders map[string]*encoder         // by ledger
	filters  []changeFilters             // by listener; nil for those of events
	programs []*programs                 // by listener; nil for those without
	waiter   sink.Waiter                 // nil: a receiver is always there
	release  func()                      // gives up the journal; nil: it is not used
	wake     chan struct{}               // a safe head moved, or the log of status changes
	tops     map[string]*ffcapi.BlockRef // highest block read, or begun at, by ledger without instant finality
	// footholds are kept for the tops.
	footholds map[string]*foothold
	times     map[uint64]time.Time
	timesOf   string // the ledger of times
}

// loop reads until ctx is done or the run cannot go on.
func (r *reader) loop(ctx context.Context) error {
	defer r.follow(false)
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		if err := r.await(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("waiting for a receiver: %w", err)
		}
		worked, wait, err := r.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		r.run.observe(r.groups)
		if worked {
			continue
		}
		timer.Reset(wait)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// await waits for a receiver. When none comes soon, the log of status changes is not read for this run any more.
func (r *reader) await(ctx context.Context) error {
	if r.waiter == nil || !r.run.changes {
		r.follow(true)
		if r.waiter == nil {
			return nil
		}
		return r.waiter.Wait(ctx)
	}
	soon, cancel := context.WithTimeout(ctx, idleSession)
	err := r.waiter.Wait(soon)
	cancel()
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		r.follow(false)
		err = r.waiter.Wait(ctx)
	}
	r.follow(err == nil)
	return err
}

// receiver waits until somebody is there to take a batch.
func (r *reader) receiver(ctx context.Context) error {
	if r.waiter == nil {
		return nil
	}
	return r.waiter.Wait(ctx)
}

// follow says whether the run needs the journal.
func (r *reader) follow(needed bool) {
	switch {
	case needed && r.run.changes && r.release == nil:
		r.release = r.run.m.journal.use()
	case !needed && r.release != nil:
		r.release()
		r.release = nil
	}
}

// round gives each group a turn. wait is the time to the next attempt of one that failed.
func (r *reader) round(ctx context.Context) (worked bool, wait time.Duration, err error) {
	if wait, err = r.stand(ctx); err != nil {
		return false, 0, err
	}
	for _, g := range r.groups.list {
		read, err := r.ready(g)
		if err != nil {
			return false, 0, err
		}
		if read == nil {
			continue
		}
		if d := g.retryAt.Sub(r.run.m.opts.Now()); d > 0 {
			wait = min(wait, d)
			continue
		}
		moved, err := read(ctx)
		var end *finalError
		switch {
		case ctx.Err() != nil || errors.Is(err, errChainChanged) || errors.As(err, &end):
			return false, 0, err
		case errors.Is(err, sink.ErrNobody):
			return true, 0, nil // the loop waits for a receiver
		case err != nil:
			if moved {
				g.failures = 0
			}
			wait = min(wait, r.failed(&g.tries, g.ledger, err))
		default:
			g.failures = 0
			worked = true
		}
	}
	return r.groups.merge() || worked, wait, nil
}

// ready returns what reads on for g, nil if there is nothing to read now.
func (r *reader) ready(g *group) (read func(ctx context.Context) (moved bool, err error), err error) {
	if g.kind == ofChanges {
		if more := func() bool { return r.behindChanges(g) }; more() {
			open := func(ctx context.Context) session { return r.changes(ctx, g) }
			return func(ctx context.Context) (bool, error) { return r.read(ctx, g, open, more) }, nil
		}
		_, known, _ := r.run.m.journal.newest()
		g.live = g.live || known
		return nil, nil
	}
	if err := r.run.m.opts.Chain.Failed(g.ledger); err != nil {
		return nil, final(err)
	}
	safe, behind := r.behind(g)
	// Who reads few confirmations may have read what was replaced, and have nothing to read but that. The safe head is older than this look.
	if hash, known := r.run.m.opts.Chain.Canonical(g.ledger, g.at.Block.Number); known && !g.at.Block.IsZero() && hash != g.at.Block.Hash {
		return nil, fmt.Errorf("%w: block %d of ledger %q was %s and is %s", errChainChanged, g.at.Block.Number, g.ledger, g.at.Block.Hash, hash)
	}
	if behind {
		open := func(ctx context.Context) session { return r.events(ctx, g, safe) }
		if g.kind == ofBlocks {
			open = func(ctx context.Context) session { return r.blocks(ctx, g, safe) }
		}
		more := func() bool { return g.at.Cursor.Block <= min(safe.Number, g.until) }
		return func(ctx context.Context) (bool, error) { return r.read(ctx, g, open, more) }, nil
	}
	g.live = g.live || !safe.IsZero()
	return nil, nil
}

// behind says whether there is something to read for g, up to the safe head.
func (r *reader) behind(g *group) (ffcapi.BlockRef, bool) {
	safe, ok, _ := r.run.safe(g.ledger)
	return safe, ok && g.at.Cursor.Block <= safe.Number
}

// session is the reading of a group from its position on: a step delivers a page. It ends at the safe head, or after an error.
type session = iter.Seq2[func(ctx context.Context) error, error]

// read reads on until the session is over, or the group's turn. more says whether there will be another page. moved says that it read at
// least one.
func (r *reader) read(ctx context.Context, g *group, open func(ctx context.Context) session, more func() bool) (moved bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	for deliver, err := range open(ctx) {
		if err != nil {
			return moved, err
		}
		r.asm.cur = r.run.delivery.unpark()
		err = deliver(ctx)
		r.run.delivery.park(r.asm.cur, more())
		if err != nil {
			return moved, err
		}
		moved = true
		done := r.groups.finish(g)
		for _, l := range done {
			r.run.caughtUp[l].Store(true)
		}
		if err := r.pause(ctx); err != nil {
			return moved, err
		}
		if done != nil || r.groups.caughtUp(g) || len(r.groups.list) > 1 && time.Since(began) > turn {
			break
		}
	}
	return moved, nil
}

// events is a session over the events of a ledger, up to the safe head.
func (r *reader) events(ctx context.Context, g *group, upto ffcapi.BlockRef) session {
	return func(yield func(deliver func(context.Context) error, err error) bool) {
		q := &ffcapi.EventQuery{Ledger: g.ledger, Listeners: g.query, From: g.at.Cursor, Upto: upto, Max: pageSize}
		session := survive.Seq(survive.Log(r.run.log), func() iter.Seq2[*ffcapi.EventPage, error] { return r.run.m.opts.Connector.Events(ctx, q) })
		for page, err := range session {
			if err == nil && page == nil {
				err = ffcapi.Errorf(ffcapi.Internal, "the connector gave neither a page nor an error")
			}
			if err != nil {
				yield(nil, fmt.Errorf("reading ledger %q from %s: %w", g.ledger, g.at.Cursor, err))
				return
			}
			if !yield(func(ctx context.Context) error { return r.page(ctx, g, upto, page) }, nil) {
				return
			}
		}
		if g.at.Cursor.Block <= upto.Number {
			yield(nil, ffcapi.Errorf(ffcapi.Internal, "the connector ended reading ledger %q at %s, before block %d", g.ledger, g.at.Cursor, upto.Number))
		}
	}
}

// pause waits for memory and for a receiver. It returns ErrNobody, so that the session is closed, when none comes soon.
func (r *reader) pause(ctx context.Context) error {
	if err := r.run.delivery.memory(ctx); err != nil {
		return err
	}
	if r.waiter == nil {
		return nil
	}
	soon, cancel := context.WithTimeout(ctx, idleSession)
	defer cancel()
	if r.waiter.Wait(soon) != nil {
		return sink.ErrNobody
	}
	return nil
}

// page puts the events of a page into batches and moves the group. Nothing is taken of a page that is refused; an error after that ends the run.
func (r *reader) page(ctx context.Context, g *group, upto ffcapi.BlockRef, p *ffcapi.EventPage) error {
	if err := r.check(ctx, g, upto, p); err != nil {
		return err
	}
	if err := r.blockTimes(ctx, g.ledger, p); err != nil {
		return err
	}
	size := pageBytes(p)
	r.run.delivery.hold(size)
	defer r.run.delivery.hold(-size)
	enc := r.encoders[g.ledger]
	through := p.Through
	if through.IsZero() {
		through = g.at.Block
	}
	from := g.at.Cursor
	events, next := shorten(p, g.until)
	for i := range events {
		ev := &events[i]
		if ev.Cursor.Before(g.at.Cursor) || ev.Cursor.Before(from) && !anotherForm(events, i) {
			continue // repeated
		}
		stamp := ev.Timestamp
		if stamp == nil {
			if t := r.times[ev.Cursor.Block]; !t.IsZero() { // a block may have none either
				stamp = &t
			}
		}
		before := inflight.Position{Cursor: ev.Cursor, Block: through}
		twin := false
		for _, m := range ev.Matches {
			l := g.listeners[m]
			if ev.Cursor.Before(r.groups.from[l]) {
				continue
			}
			if err := r.room(ctx, g, before); err != nil {
				return err
			}
			r.asm.event(enc, ev, stamp, through, l, twin)
			if err := r.judge(ctx, g, l, before); err != nil {
				return err
			}
			twin = r.programs[l] == nil
		}
		from = ev.Cursor.Next()
	}
	g.at = inflight.Position{Cursor: next, Block: through}
	r.asm.mark(g, g.at)
	r.passed(g.ledger, p.Through)
	if r.asm.full() {
		return r.run.delivery.push(ctx, r.asm.take())
	}
	return nil
}

// room hands over the current batch if it is full. before is where the group stands before what comes next.
func (r *reader) room(ctx context.Context, g *group, before inflight.Position) error {
	if !r.asm.full() {
		return nil
	}
	r.asm.mark(g, before)
	return r.run.delivery.push(ctx, r.asm.take())
}

// check refuses a page that breaks what the connector promised, and one from a block that is not on the canonical chain.
func (r *reader) check(ctx context.Context, g *group, upto ffcapi.BlockRef, p *ffcapi.EventPage) error {
	if p.Next.Before(g.at.Cursor) || p.Next.Block > upto.Number+1 {
		return ffcapi.Errorf(ffcapi.Internal, "page of ledger %q from %s goes to %s, beyond its bounds", g.ledger, g.at.Cursor, p.Next)
	}
	if n := len(p.Events); n > 0 && !p.Events[n-1].Cursor.Before(p.Next) {
		return ffcapi.Errorf(ffcapi.Internal, "page of ledger %q from %s holds an event at %s, not before its end %s", g.ledger, g.at.Cursor, p.Events[n-1].Cursor, p.Next)
	}
	for i := range p.Events {
		if m := p.Events[i].Matches; len(m) > 0 && (slices.Min(m) < 0 || slices.Max(m) >= len(g.listeners)) {
			return ffcapi.Errorf(ffcapi.Internal, "page of ledger %q from %s holds an event that matches %v of %d listeners", g.ledger, g.at.Cursor, m, len(g.listeners))
		}
	}
	if p.Through.IsZero() {
		return nil
	}
	if hash, known := r.run.m.opts.Chain.Canonical(g.ledger, p.Through.Number); known && hash != p.Through.Hash {
		return ffcapi.Errorf(ffcapi.Unavailable, "the node answers from block %d %s of ledger %q, the canonical one is %s", p.Through.Number, p.Through.Hash, g.ledger, hash)
	}
	return r.oneChain(ctx, g.ledger)
}

// blockTimes looks up the timestamps that events of a page lack.
func (r *reader) blockTimes(ctx context.Context, ledger string, p *ffcapi.EventPage) error {
	if r.times == nil || r.timesOf != ledger || len(r.times) > blockTimes {
		r.times, r.timesOf = make(map[uint64]time.Time), ledger
	}
	for i := range p.Events {
		ev := &p.Events[i]
		if ev.Timestamp != nil {
			continue
		}
		if _, ok := r.times[ev.Cursor.Block]; ok {
			continue
		}
		b, err := r.block(ctx, ledger, ev.Cursor.Block)
		switch {
		case ffcapi.KindOf(err) == ffcapi.Pruned:
			continue // then the event has no timestamp
		case err != nil:
			return fmt.Errorf("time of block %d: %w", ev.Cursor.Block, err)
		}
		r.times[ev.Cursor.Block] = b.Timestamp
	}
	if n := len(p.Events); n > 0 { // of one block of a page: the status can do with little
		last := &p.Events[n-1]
		if last.Timestamp != nil {
			r.run.m.clock.note(ledger, last.Cursor.Block, *last.Timestamp)
		} else {
			r.run.m.clock.note(ledger, last.Cursor.Block, r.times[last.Cursor.Block])
		}
	}
	return nil
}

func (r *reader) block(ctx context.Context, ledger string, number uint64) (*ffcapi.Block, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	return survive.Ask(survive.Log(r.run.log), func() (*ffcapi.Block, error) { return r.run.m.opts.Connector.Block(ctx, ledger, number) })
}

// pageBytes is about what a page takes in memory.
func pageBytes(p *ffcapi.EventPage) int64 {
	const fixed = 256
	n := int64(len(p.Events)) * fixed
	for i := range p.Events {
		n += int64(len(p.Events[i].Data) + len(p.Events[i].Info))
	}
	return n
}
