package stream

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
)

const (
	// maxCounted is how many events a dry run counts, at most.
	maxCounted = 100_000
	// maxCounting is how long it counts, at most.
	maxCounting = 10 * time.Second
)

// effort bounds the counting of events.
type effort struct {
	ctx  context.Context //nolint:containedctx // it is the bound
	left uint64
}

// newEffort leaves half of the time of a request for the answer.
func newEffort(ctx context.Context) (*effort, context.CancelFunc) {
	limit := maxCounting
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return &effort{ctx: ctx, left: maxCounted}, cancel
}

// spent takes one event off, and says whether it was the last.
func (e *effort) spent() bool {
	e.left--
	return e.left == 0
}

// count says how many events of a listener are from one position on and before another, as far as its filters tell; all is false if there may be
// more. What lies beyond the safe head, or the end of the listener, is not there yet or never delivered.
func (m *Manager) count(ctx context.Context, e *effort, def *store.Stream, l *store.Listener, from, to ffcapi.Cursor) (n uint64, all bool, err error) {
	if end := endOf(l); end != noEnd && ffcapi.BlockStart(end+1).Before(to) {
		to = ffcapi.BlockStart(end + 1)
	}
	if !from.Before(to) {
		return 0, true, nil
	}
	if e.left == 0 || e.ctx.Err() != nil {
		return 0, false, ctx.Err()
	}
	switch kindOf(l) {
	case ofChanges:
		n, all, err = m.countChanges(e, l, lastBefore(from), lastBefore(to))
	case ofBlocks:
		var upto ffcapi.BlockRef
		if upto, err = m.readable(e.ctx, def, l.Resolved.Ledger); err == nil {
			last := min(to.Block, upto.Number+1)
			n, all = max(last, from.Block)-from.Block, to.Block <= upto.Number+1
		}
	case ofEvents:
		n, all, err = m.countEvents(e, def, l, from, to)
	}
	if err != nil && e.ctx.Err() != nil && ctx.Err() == nil {
		return n, false, nil // the time for counting is over
	}
	return n, all, err
}

// readable is the block up to which a stream may read a ledger, whether it runs or not.
func (m *Manager) readable(ctx context.Context, def *store.Stream, ledger string) (ffcapi.BlockRef, error) {
	if safe, ok, _ := m.opts.Chain.SafeAt(ledger, confirmations(def)); ok {
		return safe, nil
	}
	info, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Ledger, error) { return m.opts.Connector.Ledger(ctx, ledger) })
	if err != nil {
		return ffcapi.BlockRef{}, fmt.Errorf("ledger %q: %w", ledger, err)
	}
	return info.Head, nil
}

func (m *Manager) countEvents(e *effort, def *store.Stream, l *store.Listener, from, to ffcapi.Cursor) (n uint64, all bool, err error) {
	upto, err := m.readable(e.ctx, def, l.Resolved.Ledger)
	if err != nil {
		return 0, false, err
	}
	if upto.IsZero() || from.Block > upto.Number {
		return 0, false, nil
	}
	q := &ffcapi.EventQuery{Ledger: l.Resolved.Ledger, Listeners: []*ffcapi.Listener{&l.Resolved}, From: from, Upto: upto, Max: pageSize}
	session := survive.Seq(survive.Log(m.opts.Log), func() iter.Seq2[*ffcapi.EventPage, error] { return m.opts.Connector.Events(e.ctx, q) })
	at := from
	for page, err := range session {
		if err != nil {
			return n, false, fmt.Errorf("reading ledger %q from %s: %w", l.Resolved.Ledger, at, err)
		}
		for i := range page.Events {
			switch ev := &page.Events[i]; {
			case ev.Cursor.Before(at): // repeated
			case !ev.Cursor.Before(to):
				return n, true, nil
			default:
				at = ev.Cursor.Next()
				if n++; e.spent() {
					return n, false, nil
				}
			}
		}
		if at = page.Next; !at.Before(to) {
			return n, true, nil
		}
	}
	return n, !at.Before(to), nil
}

// countChanges counts the status changes after one and up to another.
func (m *Manager) countChanges(e *effort, l *store.Listener, after, last int64) (n uint64, all bool, err error) {
	filters, _, _, err := parseChangeFilters(l.Filters)
	if err != nil {
		return 0, false, err
	}
	for after < last {
		rows, err := m.opts.Changes.Status(e.ctx, after, journalPage)
		if err != nil {
			return n, false, fmt.Errorf("reading the log of status changes: %w", err)
		}
		for i := range rows {
			if after = rows[i].Seq; after > last {
				break
			}
			c := newChange(m.opts.ConnectorName, &rows[i])
			if !filters.match(&c) {
				continue
			}
			if n++; e.spent() {
				return n, false, nil
			}
		}
		if len(rows) < journalPage {
			break // there are no more
		}
	}
	return n, true, nil
}
