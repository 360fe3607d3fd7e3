package inflight

import "github.com/pyralis-io/pyralis/ffcapi"

// Position is the next place to deliver and the highest block that had been read when it was made.
type Position struct {
	Cursor ffcapi.Cursor
	Block  ffcapi.BlockRef
}

// Mark says that everything before At is covered for all listeners of a group.
type Mark struct {
	Group     uint64 // names the set of listeners; never names two sets
	Listeners []int  // shared, read-only
	At        Position
}

// Own says that the entry holds events of one listener, and where it stands after the last of them.
type Own struct {
	Listener int
	At       Position
}

// Entry is what one batch covers.
type Entry struct {
	Marks []Mark
	Owns  []Own
}

// Row is a position to be stored.
type Row struct {
	Listener int
	At       Position
	Written  ffcapi.Cursor // what is stored
}

// Tracker is the state. The zero value is not usable; see New.
type Tracker struct {
	listeners []listener
	base      uint64 // sequence of queue[0]
	queue     []slot
	floors    map[uint64]Mark // newest mark of each group not yet applied to its listeners
}

type listener struct {
	at      Position      // everything before it is acknowledged
	events  ffcapi.Cursor // after the newest acknowledged event
	written ffcapi.Cursor // stored
}

type slot struct {
	entry Entry
	acked bool
}

// New starts with the stored positions of the listeners, which are named by index from now on.
func New(start []Position) *Tracker {
	t := &Tracker{listeners: make([]listener, len(start)), floors: make(map[uint64]Mark)}
	for i, p := range start {
		t.listeners[i] = listener{at: p, events: p.Cursor, written: p.Cursor}
	}
	return t
}

// Add puts an entry behind all others and returns its sequence, counted from 0.
func (t *Tracker) Add(e Entry) uint64 {
	t.queue = append(t.queue, slot{entry: e})
	return t.base + uint64(len(t.queue)) - 1
}

// Ack acknowledges one entry. It reports whether positions may have moved.
func (t *Tracker) Ack(seq uint64) bool {
	if seq < t.base || seq-t.base >= uint64(len(t.queue)) {
		return false
	}
	t.queue[seq-t.base].acked = true
	n := 0
	for n < len(t.queue) && t.queue[n].acked {
		t.apply(&t.queue[n].entry)
		n++
	}
	t.base += uint64(n)
	t.queue = append(t.queue[:0], t.queue[n:]...)
	clear(t.queue[len(t.queue) : len(t.queue)+n]) // let go of what the popped entries held
	return n > 0
}

// Done is the sequence below which every entry is acknowledged.
func (t *Tracker) Done() uint64 { return t.base }

// Open is the number of entries that still wait for themselves or for one before them.
func (t *Tracker) Open() int { return len(t.queue) }

func (t *Tracker) apply(e *Entry) {
	for _, o := range e.Owns {
		l := &t.listeners[o.Listener]
		l.raise(o.At)
		if l.events.Before(o.At.Cursor) {
			l.events = o.At.Cursor
		}
	}
	for _, m := range e.Marks {
		if f, ok := t.floors[m.Group]; !ok || f.At.Cursor.Before(m.At.Cursor) {
			t.floors[m.Group] = m
		}
	}
}

// settle hands the marks of groups to their listeners. It is put off to the moment somebody looks, so that a big group
// costs nothing per batch.
func (t *Tracker) settle() {
	for g, m := range t.floors {
		for _, i := range m.Listeners {
			t.listeners[i].raise(m.At)
		}
		delete(t.floors, g)
	}
}

func (l *listener) raise(p Position) {
	if l.at.Cursor.Before(p.Cursor) {
		l.at = p
	}
}

// Position is where a listener stands: everything before it is acknowledged.
func (t *Tracker) Position(listener int) Position {
	t.settle()
	return t.listeners[listener].at
}

// Lowest is the lowest position of all listeners for which include is true, given where they stand; ok is false if there are none.
func (t *Tracker) Lowest(include func(listener int, at Position) bool) (low Position, ok bool) {
	t.settle()
	for i := range t.listeners {
		if p := t.listeners[i].at; include(i, p) && (!ok || p.Cursor.Before(low.Cursor)) {
			low, ok = p, true
		}
	}
	return low, ok
}

// Snapshot appends the positions to be stored: of listeners with events acknowledged since the last Written and, with
// progress, of all that moved.
func (t *Tracker) Snapshot(rows []Row, progress bool) []Row {
	t.settle()
	for i := range t.listeners {
		l := &t.listeners[i]
		if l.written.Before(l.events) || progress && l.written.Before(l.at.Cursor) {
			rows = append(rows, Row{Listener: i, At: l.at, Written: l.written})
		}
	}
	return rows
}

// Written says that rows are stored.
func (t *Tracker) Written(rows []Row) {
	for _, r := range rows {
		if l := &t.listeners[r.Listener]; l.written.Before(r.At.Cursor) {
			l.written = r.At.Cursor
		}
	}
}
