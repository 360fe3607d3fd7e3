package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

// changes reads on from the position of a group of listeners of type transactions, to the head of the log or until its turn is over. moved
// says that it read something.
func (r *reader) changes(ctx context.Context, g *group) (moved bool, err error) {
	began := time.Now()
	for r.behindChanges(g) {
		list, err := r.run.m.journal.read(ctx, lastBefore(g.at.Cursor))
		switch {
		case errors.Is(err, errTrimmed):
			return moved, final(fmt.Errorf("%w, and listener %q goes on after %d: what is between is lost; reset the listener to earliest or latest",
				err, r.run.listeners[r.hindmost(g)].Name, lastBefore(g.at.Cursor)))
		case err != nil:
			return moved, err
		case len(list) == 0:
			return moved, fmt.Errorf("the log of status changes has nothing after %d, which is not its end", lastBefore(g.at.Cursor))
		}
		r.asm.cur = r.run.delivery.unpark()
		err = r.deliverChanges(ctx, g, list)
		r.run.delivery.park(r.asm.cur, r.behindChanges(g))
		if err != nil {
			return moved, err
		}
		moved = true
		if err := r.pause(ctx); err != nil {
			return moved, err
		}
		if r.groups.caughtUp(g) || len(r.groups.list) > 1 && time.Since(began) > turn {
			break
		}
	}
	return moved, nil
}

// hindmost is a listener for which g is where it is.
func (r *reader) hindmost(g *group) int {
	for _, l := range g.listeners {
		if !g.at.Cursor.Before(r.groups.from[l]) {
			return l
		}
	}
	return g.listeners[0]
}

// behindChanges says whether the log goes on after the position of g.
func (r *reader) behindChanges(g *group) bool {
	head, ok, _ := r.run.m.journal.newest()
	return ok && lastBefore(g.at.Cursor) < head
}

// deliverChanges puts rows into batches and moves the group.
func (r *reader) deliverChanges(ctx context.Context, g *group, list []change) error {
	for i := range list {
		c := &list[i]
		at := positionAfter(c.seq - 1)
		for _, l := range g.listeners {
			if at.Before(r.groups.from[l]) || !r.filters[l].match(c) {
				continue
			}
			if r.asm.full() {
				r.asm.mark(g, inflight.Position{Cursor: at})
				if err := r.run.delivery.push(ctx, r.asm.take()); err != nil {
					return err
				}
			}
			r.asm.change(c, l)
		}
	}
	g.at = inflight.Position{Cursor: positionAfter(list[len(list)-1].seq)}
	r.asm.mark(g, g.at)
	if r.asm.full() {
		return r.run.delivery.push(ctx, r.asm.take())
	}
	return nil
}
