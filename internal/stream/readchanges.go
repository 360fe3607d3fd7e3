package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/stream/inflight"
)

// changes is a session over the log of status changes, up to its head.
func (r *reader) changes(ctx context.Context, g *group) session {
	return func(yield func(deliver func(context.Context) error, err error) bool) {
		for r.behindChanges(g) {
			list, err := r.run.m.journal.read(ctx, lastBefore(g.at.Cursor))
			switch {
			case errors.Is(err, errTrimmed):
				err = final(fmt.Errorf("%w, and listener %q goes on after %d: what is between is lost; reset the listener to earliest or latest",
					err, r.run.listeners[r.hindmost(g)].Name, lastBefore(g.at.Cursor)))
			case err == nil && len(list) == 0:
				err = fmt.Errorf("the log of status changes has nothing after %d, which is not its end", lastBefore(g.at.Cursor))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(func(ctx context.Context) error { return r.deliverChanges(ctx, g, list) }, nil) {
				return
			}
		}
	}
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
		before := inflight.Position{Cursor: at}
		for _, l := range g.listeners {
			if at.Before(r.groups.from[l]) || !r.filters[l].match(c) {
				continue
			}
			if err := r.room(ctx, g, before); err != nil {
				return err
			}
			r.asm.change(c, l)
			if err := r.judge(ctx, g, l, before); err != nil {
				return err
			}
		}
	}
	g.at = inflight.Position{Cursor: positionAfter(list[len(list)-1].seq)}
	r.asm.mark(g, g.at)
	if r.asm.full() {
		return r.run.delivery.push(ctx, r.asm.take())
	}
	return nil
}
