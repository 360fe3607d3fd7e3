package fabric

import (
	"context"
	"errors"
	"iter"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	// defaultMax is the size of a page where a query names none.
	defaultMax = 500
	// stride is after how many blocks a page is yielded although it is not full, so that a reader that finds nothing moves on.
	stride = 100
)

// Events implements ffcapi.Connector.
func (c *Connector) Events(ctx context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		err := c.session(ctx, q, func(p *ffcapi.EventPage) bool { return yield(p, nil) })
		if err != nil && !errors.Is(err, errBroken) {
			yield(nil, err)
		}
	}
}

// session reads a query to its end.
func (c *Connector) session(ctx context.Context, q *ffcapi.EventQuery, yield func(*ffcapi.EventPage) bool) error {
	if q.Upto.IsZero() || q.From.Block > q.Upto.Number {
		return nil
	}
	if err := c.channel(q.Ledger); err != nil {
		return err
	}
	m, err := c.rules.matcher(q.Ledger, q.Listeners)
	if err != nil {
		return err
	}
	if done := inContext(ctx, stageLedger); done != nil {
		return done
	}
	w, err := c.walk(q.Ledger, q.From.Block, ffcapi.BlockRef{}, q.Upto)
	if err != nil {
		return err
	}
	defer w.close()
	most := q.Max
	if most <= 0 {
		most = defaultMax
	}
	page := &ffcapi.EventPage{}
	for inPage := 1; !w.over(); inPage++ {
		b, err := w.block(ctx)
		if err != nil {
			return err
		}
		if page.Events, err = m.read(page.Events, b, q.From); err != nil {
			return err
		}
		if len(page.Events) < most && !w.over() && inPage < stride {
			continue
		}
		page.Next, page.Through = ffcapi.BlockStart(b.Number+1), b.BlockRef
		if !yield(page) {
			return errBroken
		}
		page, inPage = &ffcapi.EventPage{}, 0
	}
	return nil
}
