package stream

import (
	"time"
	"unsafe"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// batch is a batch on its way: the reader appends to it, delivery closes and sends it.
type batch struct {
	buf   []byte // `[` and the events so far; nil: none was appended yet
	recs  []record
	entry inflight.Entry
	born  time.Time // when its first event was appended

	counted int64 // bytes counted in the budget, until it is a whole

	events []sink.Event // set by seal
	sends  int          // how often it was sent
	sent   time.Time    // for the first time
	trouble
	whole   *whole              // set when delivery takes it
	letters []*store.DeadLetter // of a replay: what the events were before; nil: they are new

	// poison says why the one event of the batch cannot be delivered, whoever asks. It is not sent; delivery treats it as refused for
	// good. Set before the batch is pushed.
	poison error
}

// record is where an event is in the buffer, which still may move while it grows.
type record struct {
	start, idStart, idEnd int
	shared, end           int // where what differs between listeners begins, and ends
	listener              *sink.Listener
	block                 uint64
}

// seal makes the events. Nothing is appended afterwards.
func (b *batch) seal() {
	b.buf = append(b.buf, ']')
	b.events = make([]sink.Event, len(b.recs))
	for i, r := range b.recs {
		b.events[i] = sink.Event{
			// The buffer is never written again, so a string may share its bytes.
			ID:       unsafe.String(&b.buf[r.idStart], r.idEnd-r.idStart), //nolint:gosec // within the buffer, which lives on
			Listener: r.listener,
			Block:    r.block,
			JSON:     b.buf[r.start:r.end:r.end],
		}
	}
	b.recs = nil
}

// size is the memory a batch takes.
func (b *batch) size() int64 {
	return int64(cap(b.buf)) + int64(cap(b.events))*int64(unsafe.Sizeof(sink.Event{})) + int64(cap(b.recs))*int64(unsafe.Sizeof(record{}))
}

// assembler fills batches. It belongs to the reader's goroutine.
type assembler struct {
	maxEvents, maxBytes int
	now                 func() time.Time
	tails               [][]byte
	names               []*sink.Listener

	cur    *batch
	number int     // of cur, so that stamps need no clearing
	stamps []stamp // by listener

	sizeHint, recsHint int                // what the batch before needed; used once, if there is memory
	claim              func(n int64) bool // counts so many bytes in the budget, if they have room

	// Of the event that was appended last.
	dataAt int  // where its data begin, from its start; negative: it has none
	undo   undo // how its listener stood before
}

// undo is how the entry of a listener was before its newest event.
type undo struct {
	own  int  // its place in the entry
	made bool // it was not there
	at   inflight.Position
}

// stamp is the place of a listener in the entry of the batch with that number.
type stamp struct{ batch, own int }

// current is the batch being filled.
func (a *assembler) current() *batch {
	if a.cur == nil {
		a.number++
		a.cur = &batch{}
	}
	return a.cur
}

// full says that no further event belongs into the current batch.
func (a *assembler) full() bool {
	return a.cur != nil && (len(a.cur.recs) >= a.maxEvents || len(a.cur.recs) > 0 && len(a.cur.buf) >= a.maxBytes)
}

// take closes the current batch for the reader.
func (a *assembler) take() *batch {
	b := a.cur
	a.cur = nil
	a.sizeHint, a.recsHint = len(b.buf)+len(b.buf)/8+1, len(b.recs)
	return b
}

// event appends an event for one listener. twin says that the event appended before is the same for another listener, as it was read: its
// bytes are copied, if they are in this batch.
func (a *assembler) event(enc *encoder, ev *ffcapi.Event, at *time.Time, through ffcapi.BlockRef, listener int, twin bool) {
	dataAt := a.dataAt
	b, r := a.begin(listener, ev.Cursor.Block)
	if twin && len(b.recs) > 0 {
		last := &b.recs[len(b.recs)-1]
		b.buf = append(b.buf, b.buf[last.start:last.shared]...)
		r.idStart, r.idEnd = r.start+last.idStart-last.start, r.start+last.idEnd-last.start
	} else {
		var idEnd int
		b.buf, idEnd = enc.common(b.buf, ev, at)
		r.idStart, r.idEnd = r.start+enc.idStart, r.start+idEnd
		dataAt = enc.dataAt
	}
	a.dataAt = dataAt
	a.end(b, r, listener, inflight.Position{Cursor: ev.Cursor.Next(), Block: through})
}

// block appends a block for one listener, which then stands at after.
func (a *assembler) block(c *chainBlock, listener int, after inflight.Position) {
	b, r := a.begin(listener, c.ref.Number)
	r.idStart, r.idEnd = r.start+c.idStart, r.start+c.idEnd
	b.buf = append(b.buf, c.json...)
	a.end(b, r, listener, after)
}

// change appends a status change for one listener.
func (a *assembler) change(c *change, listener int) {
	b, r := a.begin(listener, c.block)
	r.idStart, r.idEnd = r.start+c.idStart, r.start+c.idEnd
	b.buf = append(b.buf, c.json...)
	a.end(b, r, listener, inflight.Position{Cursor: positionAfter(c.seq)})
}

// begin makes room for an event of a listener.
func (a *assembler) begin(listener int, block uint64) (*batch, record) {
	b := a.current()
	a.dataAt = -1
	if len(b.recs) == 0 {
		a.begun(b)
		b.born = a.now()
	} else {
		b.buf = append(b.buf, ',')
	}
	return b, record{start: len(b.buf), listener: a.names[listener], block: block}
}

// begun gives a batch its buffer, if it has none.
func (a *assembler) begun(b *batch) {
	if b.buf != nil {
		return
	}
	size, recs := max(a.sizeHint, 1), a.recsHint
	a.sizeHint, a.recsHint = 0, 0
	if n := int64(size) + int64(recs)*int64(unsafe.Sizeof(record{})); a.claim(n) {
		b.counted = n
	} else {
		size, recs = 1, 0
	}
	b.buf, b.recs = append(make([]byte, 0, size), '['), make([]record, 0, recs)
}

// end appends what belongs to the listener, and notes where it stands after the event.
func (a *assembler) end(b *batch, r record, listener int, after inflight.Position) {
	r.shared = len(b.buf)
	b.buf = append(b.buf, a.tails[listener]...)
	r.end = len(b.buf)
	b.recs = append(b.recs, r)
	a.own(b, listener, after)
}

func (a *assembler) own(b *batch, listener int, at inflight.Position) {
	s := &a.stamps[listener]
	if s.batch != a.number {
		*s = stamp{batch: a.number, own: len(b.entry.Owns)}
		b.entry.Owns = append(b.entry.Owns, inflight.Own{Listener: listener, At: at})
		a.undo = undo{own: s.own, made: true}
		return
	}
	own := &b.entry.Owns[s.own]
	a.undo = undo{own: s.own, at: own.At}
	own.At = at
}

// mark says that everything of a group before at is in this batch or an earlier one.
func (a *assembler) mark(g *group, at inflight.Position) {
	b := a.current()
	for i := range b.entry.Marks {
		if b.entry.Marks[i].Group == g.id {
			b.entry.Marks[i].At = at
			return
		}
	}
	b.entry.Marks = append(b.entry.Marks, inflight.Mark{Group: g.id, Listeners: g.listeners, At: at})
}
