package stream

import (
	"context"
	"fmt"
	"slices"

	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// programs are the where and the transform of one listener; one of them may be nil.
type programs struct{ where, transform *expr.Program }

// applyPrograms overwrites the programs that the request names; an empty one removes what was there.
func applyPrograms(l *store.Listener, body *apitypes.Listener) error {
	for _, p := range []struct {
		field string
		given *string
		kept  *string
	}{{"where", body.Where, &l.Where}, {"transform", body.Transform, &l.Transform}} {
		if p.given == nil {
			continue
		}
		if *p.given != "" {
			if _, err := expr.New().Compile(*p.given); err != nil {
				return apitypes.Invalidf(p.field, "must be a jq program over the event, or empty for none", "cannot be used: %v", err)
			}
		}
		*p.kept = *p.given
	}
	return nil
}

// programsOf compiles the programs of a run's listeners; nil for those without. Equal ones are compiled once.
func (r *run) programsOf(c *expr.Compiler) ([]*programs, error) {
	compiled := make(map[string]*expr.Program)
	compile := func(l *store.Listener, field, source string) (*expr.Program, error) {
		if source == "" || compiled[source] != nil {
			return compiled[source], nil
		}
		p, err := c.Compile(source)
		if err != nil {
			return nil, final(fmt.Errorf("%s of listener %q cannot be used by this version, change it: %w", field, l.Name, err))
		}
		compiled[source] = p
		return p, nil
	}
	all := make([]*programs, len(r.listeners))
	for i, l := range r.listeners {
		where, err := compile(l, "where", l.Where)
		if err != nil {
			return nil, err
		}
		transform, err := compile(l, "transform", l.Transform)
		if err != nil {
			return nil, err
		}
		if where != nil || transform != nil {
			all[i] = &programs{where, transform}
		}
	}
	return all, nil
}

// judge applies the programs of a listener to the event that was appended for it last: the event stays, goes, or gets other data. An event
// for which they have no answer goes alone, as one that cannot be delivered; before is where the listener's group stands before the
// event. An error is one of ctx, or of handing over what is in the way.
func (r *reader) judge(ctx context.Context, g *group, listener int, before inflight.Position) error {
	p := r.programs[listener]
	if p == nil {
		return nil
	}
	keep, out, err := p.apply(ctx, r.asm.newest())
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return r.poison(ctx, g, listener, before, err)
	case !keep:
		r.asm.drop()
	case out != nil:
		r.asm.replace(listener, out)
	}
	// The page may take long now. What has been waiting for so long goes before the rest of it is read.
	if b := r.asm.cur; len(b.recs) > 0 && r.asm.now().Sub(b.born) >= r.run.def.BatchTimeout {
		return r.run.delivery.push(ctx, r.asm.take())
	}
	return nil
}

// apply returns whether an event is to be delivered, and its new data; nil: they stay.
func (p *programs) apply(ctx context.Context, event []byte) (keep bool, out []byte, err error) {
	if p.where != nil {
		if keep, err = p.where.Bool(ctx, event); !keep || err != nil {
			return false, nil, wrapProgram("where", err)
		}
	}
	if p.transform == nil {
		return true, nil, nil
	}
	out, keep, err = p.transform.Value(ctx, event)
	return keep, out, wrapProgram("transform", err)
}

func wrapProgram(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

// poison hands over the newest event alone, behind everything before it.
func (r *reader) poison(ctx context.Context, g *group, listener int, before inflight.Position, cause error) error {
	l := r.asm.lift()
	if len(r.asm.cur.recs) > 0 {
		r.asm.mark(g, before)
		if err := r.run.delivery.push(ctx, r.asm.take()); err != nil {
			return err
		}
	}
	r.asm.put(l, listener)
	b := r.asm.take()
	b.poison = fmt.Errorf("listener %q: %w", r.run.listeners[listener].Name, cause)
	return r.run.delivery.push(ctx, b)
}

// lifted is an event that was taken out of a batch.
type lifted struct {
	json  []byte
	rec   record // places relative to json
	after inflight.Position
}

// newest is the event that was appended last, which is in the current batch.
func (a *assembler) newest() []byte {
	r := &a.cur.recs[len(a.cur.recs)-1]
	return a.cur.buf[r.start:r.end]
}

// drop takes the newest event out again.
func (a *assembler) drop() {
	b := a.cur
	last := len(b.recs) - 1
	start := b.recs[last].start
	if last > 0 {
		start-- // the comma
	}
	b.buf, b.recs = b.buf[:start], b.recs[:last]
	if a.undo.made {
		listener := b.entry.Owns[a.undo.own].Listener
		b.entry.Owns = b.entry.Owns[:a.undo.own]
		a.stamps[listener] = stamp{}
		return
	}
	b.entry.Owns[a.undo.own].At = a.undo.at
}

// replace gives the newest event other data.
func (a *assembler) replace(listener int, data []byte) {
	b := a.cur
	r := &b.recs[len(b.recs)-1]
	if a.dataAt < 0 {
		b.buf = append(b.buf[:r.shared], `,"data":`...)
	} else {
		b.buf = b.buf[:r.start+a.dataAt]
	}
	b.buf = append(b.buf, data...)
	r.shared = len(b.buf)
	b.buf = append(b.buf, a.tails[listener]...)
	r.end = len(b.buf)
}

// lift takes the newest event out, to be put elsewhere.
func (a *assembler) lift() lifted {
	r := a.cur.recs[len(a.cur.recs)-1]
	l := lifted{json: slices.Clone(a.newest()), rec: r, after: a.cur.entry.Owns[a.undo.own].At}
	l.rec.idStart, l.rec.idEnd, l.rec.shared, l.rec.end = r.idStart-r.start, r.idEnd-r.start, r.shared-r.start, r.end-r.start
	a.drop()
	return l
}

// put appends an event that was lifted to the current batch, which is empty.
func (a *assembler) put(l lifted, listener int) {
	b, r := a.begin(listener, l.rec.block)
	b.buf = append(b.buf, l.json...)
	r.idStart, r.idEnd = r.start+l.rec.idStart, r.start+l.rec.idEnd
	r.shared, r.end = r.start+l.rec.shared, r.start+l.rec.end
	b.recs = append(b.recs, r)
	a.own(b, listener, l.after)
}
