package devledger

import (
	"context"
	"iter"
	"slices"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	defaultPage = 500  // events, when the query sets no limit
	maxScan     = 4096 // blocks that a page goes through before it reports progress
	dataArena   = 64 * eventDataCap
)

// Events implements ffcapi.Connector. A page may end inside a block and holds no more than Max events. A context that is done
// ends the session with Timeout.
func (l *ledger) Events(ctx context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		if q.Upto.IsZero() {
			return
		}
		m, err := newMatcher(q.Listeners)
		if err != nil {
			yield(nil, err)
			return
		}
		p := pageBuilder{matcher: m, max: q.Max}
		if p.max <= 0 {
			p.max = defaultPage
		}
		for pos := q.From; pos.Block <= q.Upto.Number; {
			if err := l.enter(ctx, MethodEvents, q.Ledger); err != nil {
				yield(nil, err)
				return
			}
			page, err := p.page(l, pos, q.Upto)
			if err != nil {
				yield(nil, err)
				return
			}
			pos = page.Next // before the page is the consumer's
			if !yield(page, nil) {
				return
			}
		}
	}
}

// steps describes the next blocks: enough to fill a page if everything in them matches. All of them are below Upto on one and the
// same chain, because they are looked up together with it.
func (l *ledger) steps(from uint64, upto ffcapi.BlockRef, events, most int) ([]blockRefs, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.chain.holds(upto, l.visible()) {
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "the node does not hold block %d %s: its head is block %d", upto.Number, upto.Hash, l.visible()-1)
	}
	var out []blockRefs
	for n := from; n <= upto.Number && events > 0 && len(out) < most; n++ {
		r := blockRefs{entry: l.chain.entry(n), number: n, offset: l.chain.offset(n)}
		out = append(out, r)
		events -= int(r.events)
	}
	return out, nil
}

// pageBuilder makes the pages of a session, one at a time. The bytes of made-up events are in arenas, so that an event costs no allocation.
type pageBuilder struct {
	*matcher
	max     int
	events  []ffcapi.Event
	next    ffcapi.Cursor
	through ffcapi.BlockRef
	data    []byte // arena of the data of made-up events; a full one is left to its events
	tail    []byte // what the data of the current block end with
	hashes  []byte // of the transactions of made-up events, one after the other, until finish
}

// page reads from pos until the page is full, upto is reached, or it has gone through enough blocks.
func (p *pageBuilder) page(l *ledger, pos ffcapi.Cursor, upto ffcapi.BlockRef) (*ffcapi.EventPage, error) {
	p.events, p.data, p.next = nil, nil, pos // the last page is the consumer's
	for scanned := 0; scanned < maxScan && p.next.Block <= upto.Number && len(p.events) < p.max; {
		steps, err := l.steps(p.next.Block, upto, p.max-len(p.events), maxScan-scanned)
		if err != nil {
			return nil, err
		}
		scanned += len(steps)
		if err := p.read(l, steps); err != nil {
			return nil, err
		}
	}
	p.finish()
	return &ffcapi.EventPage{Events: p.events, Next: p.next, Through: p.through}, nil
}

// read goes through blocks until the page is full.
func (p *pageBuilder) read(l *ledger, steps []blockRefs) error {
	p.reserve(steps)
	for i := range steps {
		r := &steps[i]
		if len(p.events) >= p.max {
			return nil
		}
		if r.events == 0 && i < len(steps)-1 {
			p.next = ffcapi.BlockStart(r.number + 1)
			continue
		}
		p.through = ffcapi.BlockRef{Number: r.number, Hash: r.hash.text()}
		if p.synth && r.offset > 0 && p.synthetic(r) {
			return nil
		}
		if int(r.events) > r.offset {
			b, err := l.load(r.entry, r.number)
			if err != nil {
				return err
			}
			if p.real(r, b) {
				return nil
			}
		}
		p.next = ffcapi.BlockStart(r.number + 1)
	}
	return nil
}

// reserve makes room for what will probably match.
func (p *pageBuilder) reserve(steps []blockRefs) {
	var all, made int
	for i := range steps {
		all += int(steps[i].events)
		made += steps[i].offset
	}
	room := p.max - len(p.events)
	real := all - made
	made = min(int(float64(made)*p.density), room)
	if p.synth {
		p.hashes = slices.Grow(p.hashes, made*eventHashLen)
		if made > 1 {
			p.data = make([]byte, 0, made*eventDataCap)
		}
	}
	p.events = slices.Grow(p.events, min(made+real, room))
}

// synthetic adds the made-up events of a block and reports whether the page is full before the last of them.
func (p *pageBuilder) synthetic(r *blockRefs) (full bool) {
	first := 0
	if p.next.Block == r.number {
		if p.next.Tx >= uint64(r.offset) {
			return false
		}
		if first = int(p.next.Tx); p.next.Log > 0 {
			first++
		}
	}
	ts := timeOf(r.time)
	p.tail = dataTail(p.tail[:0], r.time)
	for i := first; i < r.offset; i++ {
		matches := p.made(i)
		if len(matches) == 0 {
			continue
		}
		if len(p.events) >= p.max {
			p.next = ffcapi.Cursor{Block: r.number, Tx: uint64(i)}
			return true
		}
		if cap(p.data)-len(p.data) < eventDataCap {
			p.data = make([]byte, 0, dataArena)
		}
		start := len(p.data)
		p.data = appendEventData(p.data, r.number, i, p.tail)
		p.hashes = appendEventHash(p.hashes, r.number, i)
		p.events = append(p.events, ffcapi.Event{
			Cursor:    ffcapi.Cursor{Block: r.number, Tx: uint64(i)},
			BlockHash: p.through.Hash,
			Name:      syntheticEvent,
			Address:   syntheticAddress,
			Timestamp: &ts,
			Data:      p.data[start:len(p.data):len(p.data)],
			Matches:   matches,
		})
	}
	return false
}

// real adds the events of a block's transactions and reports whether the page is full before the last of them.
func (p *pageBuilder) real(r *blockRefs, b *block) (full bool) {
	for i := range b.txs {
		t := &b.txs[i]
		at := ffcapi.Cursor{Block: r.number, Tx: uint64(r.offset + i)}
		if t.event == noEvent || at.Before(p.next) {
			continue
		}
		matches := p.wanted(contractOf(t.payload), t.event)
		if len(matches) == 0 {
			continue
		}
		if len(p.events) >= p.max {
			p.next = at
			return true
		}
		ev := assetEvent(*r, p.through.Hash, t, at.Tx)
		ev.Matches = matches
		p.events = append(p.events, ev)
	}
	return false
}

// finish gives the made-up events their transaction hashes, as parts of one string.
func (p *pageBuilder) finish() {
	if len(p.hashes) == 0 {
		return
	}
	all := string(p.hashes)
	p.hashes = p.hashes[:0]
	for i := range p.events {
		if ev := &p.events[i]; ev.TxHash == "" {
			ev.TxHash, all = all[:eventHashLen], all[eventHashLen:]
		}
	}
}
