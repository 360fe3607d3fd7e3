package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	// defaultMax is the size of a page where a query names none.
	defaultMax = 500
	// stride is after how many blocks a page is yielded although it is not full, so that a reader that finds nothing moves on.
	stride = 100
	// maxKnown bounds the answers that a matcher remembers: a chaincode may well give each event a name of its own.
	maxKnown = 10_000
)

// matcher finds the listeners that an event is for.
type matcher struct {
	filters []listenerFilter
	known   map[eventKey][]int // answers so far; an answer is shared by all events with the key
}

type listenerFilter struct {
	listener  int
	chaincode string
	matches   func(name string) bool
}

type eventKey struct{ chaincode, name string }

// newMatcher reads what Listener resolved.
func newMatcher(listeners []*ffcapi.Listener) (*matcher, error) {
	m := &matcher{known: map[eventKey][]int{}}
	for i, l := range listeners {
		var r resolved
		if err := json.Unmarshal(l.Resolved, &r); err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "listener %d: %w", i, err)
		}
		if err := m.add(i, r.Filters); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *matcher) add(listener int, filters []filter) error {
	for _, f := range filters {
		matches, err := f.matcher()
		if err != nil {
			return ffcapi.Errorf(ffcapi.Internal, "listener %d: event %s: %w", listener, f.Event, err)
		}
		m.filters = append(m.filters, listenerFilter{listener, f.Chaincode, matches})
	}
	return nil
}

// match returns the indexes of the listeners, ascending; none for an event that nobody wants.
func (m *matcher) match(e *chaincodeEvent) []int {
	key := eventKey{e.chaincode, e.name}
	found, ok := m.known[key]
	if ok {
		return found
	}
	for _, f := range m.filters { // in the order of the listeners
		twice := len(found) > 0 && found[len(found)-1] == f.listener
		if f.chaincode == e.chaincode && !twice && f.matches(e.name) {
			found = append(found, f.listener)
		}
	}
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	m.known[key] = found
	return found
}

// events appends the events of a block from a position on.
func (m *matcher) events(out []ffcapi.Event, ledger string, b *block, from ffcapi.Cursor) []ffcapi.Event {
	for i := range b.txs {
		t := &b.txs[i]
		at := ffcapi.Cursor{Block: b.Number, Tx: t.index}
		if t.event == nil || at.Before(from) {
			continue
		}
		matches := m.match(t.event)
		if len(matches) == 0 {
			continue
		}
		stamp := t.time // a copy, as the data is: an event must not keep its block in memory
		out = append(out, ffcapi.Event{
			Cursor: at, BlockHash: b.Hash, TxHash: t.id, Name: t.event.name, Address: ledger + "/" + t.event.chaincode,
			Timestamp: &stamp, Data: eventData(t.event.payload), Info: eventInfo(ledger, t.event), Matches: matches,
		})
	}
	return out
}

// eventInfo are the fields of an event that only Fabric has.
func eventInfo(ledger string, e *chaincodeEvent) json.RawMessage {
	b := append(make([]byte, 0, 128), `{"channel":`...)
	b = append(b, mustJSON(ledger)...)
	b = append(b, `,"chaincodeId":`...)
	b = append(b, mustJSON(e.chaincode)...)
	b = append(b, `,"eventName":`...)
	b = append(b, mustJSON(e.name)...)
	return append(b, '}')
}

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
	m, err := newMatcher(q.Listeners)
	if err != nil {
		return err
	}
	s, err := c.reader()
	if err != nil {
		return err
	}
	if done := inContext(ctx, stageLedger); done != nil {
		return done
	}
	n, failed := c.peers.pick()
	r := &reading{c: c, n: n, s: s, q: q, m: m, yield: yield}
	err = r.run(ctx)
	if ffcapi.KindOf(err) == ffcapi.Unavailable {
		failed()
	}
	return err
}

// reading is one session of Events.
type reading struct {
	c     *Connector
	n     *node
	s     *signer
	q     *ffcapi.EventQuery
	m     *matcher
	yield func(*ffcapi.EventPage) bool
}

func (r *reading) run(ctx context.Context) error {
	if err := r.holdsUpto(ctx); err != nil {
		return err
	}
	st, err := r.n.open(ctx, r.s, r.q.Ledger, r.q.From.Block, r.q.Upto.Number)
	if err != nil {
		return deliverError(ctx, r.n, err)
	}
	defer st.close()
	timer := time.NewTimer(r.c.quiet)
	defer timer.Stop()
	most := r.q.Max
	if most <= 0 {
		most = defaultMax
	}
	page := &ffcapi.EventPage{}
	var last *block
	for inPage := 1; last == nil || last.Number < r.q.Upto.Number; inPage++ {
		b, err := r.next(ctx, st, timer)
		if err == nil {
			err = r.check(b, last)
		}
		if err != nil {
			return err
		}
		last = b
		page.Events = r.m.events(page.Events, r.q.Ledger, b, r.q.From)
		if len(page.Events) < most && b.Number < r.q.Upto.Number && inPage < stride {
			continue
		}
		page.Next, page.Through = ffcapi.BlockStart(b.Number+1), b.BlockRef
		if !r.yield(page) {
			return errBroken
		}
		page, inPage = &ffcapi.EventPage{}, 0
	}
	return nil
}

// next waits for a block. All of them exist, so that a stream that is silent is dead.
func (r *reading) next(ctx context.Context, st *stream, timer *time.Timer) (*block, error) {
	timer.Reset(r.c.quiet)
	select {
	case d, ok := <-st.blocks:
		return d.result(ctx, r.n, ok)
	case <-timer.C:
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "%s does not deliver blocks of %s", r.n.address, r.q.Ledger)
	case <-ctx.Done():
		return nil, inContext(ctx, stageLedger)
	}
}

// check refuses a block that does not follow the one before, and an Upto that is another block than the one asked for.
func (r *reading) check(b, last *block) error {
	switch {
	case last == nil && b.Number != r.q.From.Block,
		last != nil && (b.Number != last.Number+1 || b.parent != last.Hash):
		return ffcapi.Errorf(ffcapi.Internal, "%s: block %d (parent %s) of %s is not the one that follows", r.n.address, b.Number, b.parent, r.q.Ledger)
	case b.Number == r.q.Upto.Number && b.Hash != r.q.Upto.Hash:
		return r.otherBlock(b)
	}
	return nil
}

func (r *reading) otherBlock(b *block) error {
	return ffcapi.Errorf(ffcapi.Unavailable, "%s has another block %d of %s: %s, not %s", r.n.address, b.Number, r.q.Ledger, b.Hash, r.q.Upto.Hash)
}

// holdsUpto makes sure, before anything is read, that the peer has the last block of the query with its hash. A query of one block needs no
// question: the block itself is the answer.
func (r *reading) holdsUpto(ctx context.Context) error {
	if r.q.From.Block == r.q.Upto.Number {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.quiet)
	defer cancel()
	info, e := r.n.chainInfo(ctx, r.s, r.q.Ledger)
	if e != nil {
		return e
	}
	if info.head.Number < r.q.Upto.Number {
		return ffcapi.Errorf(ffcapi.Unavailable, "%s is behind: it does not have block %d of %s yet", r.n.address, r.q.Upto.Number, r.q.Ledger)
	}
	if e := info.pruned(r.n, r.q.From.Block); e != nil {
		return e
	}
	if info.head == r.q.Upto {
		return nil
	}
	b, err := r.n.block(ctx, r.s, r.q.Ledger, r.q.Upto.Number)
	if err != nil {
		return err
	}
	if b.Hash != r.q.Upto.Hash {
		return r.otherBlock(b)
	}
	return nil
}
