package ws

import (
	"context"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// copies is the owner that gives every batch to every connection. A batch is done when at least one connection took it and each of the
// others took it or left. A connection that acknowledges takes it with its acknowledgement, any other when it is written.
type copies struct {
	core

	taps   []*tap          // guarded by mu, as all below; in the order they came
	byConn map[uint64]*tap // those of taps
	order  []*flight       // those of core.flights, in the order of sending
}

// tap is a connection and what is on its way to it.
type tap struct {
	conn   uint64
	window int
	acks   bool
	voidAs string
	joined time.Time
	queue  []*flight // in flight, not sent to it yet: its window is full
	sent   []int64   // numbers in flight that it was sent and has not taken, in order
	past   []int64   // the newest numbers that counted as taken when they were written
}

// maxPast is how many numbers are known for clients that acknowledge though they did not say that they would.
const maxPast = 64

func newCopies(st sink.Stream, h hub, ackTimeout time.Duration, now func() time.Time) *copies {
	return &copies{core: newCore(st, h, ackTimeout, now), byConn: make(map[uint64]*tap)}
}

// join makes a connection a receiver, or changes its window. It gets what is in flight already, too: were one of those batches to
// come again, it would come behind later ones.
func (o *copies) join(conn uint64, l listening) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.wakeLocked()
	if old := o.byConn[conn]; old != nil {
		old.window, old.voidAs = l.window, l.voidAs()
		o.pumpLocked(old)
		return
	}
	t := &tap{conn: conn, window: l.window, acks: l.acks, voidAs: l.voidAs(), joined: o.now()}
	for _, f := range o.order {
		if !f.void {
			f.waiting[conn] = true
			t.queue = append(t.queue, f)
		}
	}
	o.taps, o.byConn[conn] = append(o.taps, t), t
	o.receivers = len(o.taps)
	o.pumpLocked(t)
}

// pumpLocked sends a connection what its window has room for.
func (o *copies) pumpLocked(t *tap) {
	for len(t.queue) > 0 && len(t.sent) < t.window {
		f := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		o.sendLocked(t, f)
		t.sent = append(t.sent, f.batch.Number)
	}
}

func (o *copies) sendLocked(t *tap, f *flight) {
	out := o.encode(f.batch, f.batch.Attempt+f.again)
	if out.again = slices.Contains(f.to, t.conn); !out.again {
		f.to = append(f.to, t.conn)
	}
	out.tell = !t.acks
	o.hub.deliver(t.conn, out)
}

// Window implements sink.Windowed: the largest that a receiver asked for. What is too much for another one waits here, unsent.
func (o *copies) Window() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.windowLocked()
}

func (o *copies) windowLocked() int {
	window := 1
	for _, t := range o.taps {
		window = max(window, t.window)
	}
	return window
}

// Send implements sink.Sink.
func (o *copies) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	o.send(ctx, done, func() verdict {
		if len(o.order) >= o.windowLocked() {
			return notNow
		}
		f := &flight{batch: b, done: done, since: o.now(), waiting: make(map[uint64]bool, len(o.taps))}
		if m := o.recallLocked(b.Number); m != nil {
			f.to, f.took = m.to, m.took
		}
		for _, t := range o.taps {
			if !slices.Contains(f.took, t.conn) {
				f.waiting[t.conn] = true
			}
		}
		if len(f.waiting) == 0 { // all who are here took an earlier sending
			return doneAlready
		}
		o.order = append(o.order, f)
		o.flights[b.Number] = f
		f.stop = context.AfterFunc(ctx, func() { o.void(f, context.Cause(ctx)) })
		for _, t := range o.taps {
			if f.waiting[t.conn] {
				t.queue = append(t.queue, f)
				o.pumpLocked(t)
			}
		}
		return launched
	})
}

// takeLocked takes a flight out.
func (o *copies) takeLocked(f *flight) {
	n := f.batch.Number
	delete(o.flights, n)
	i := slices.Index(o.order, f)
	o.order = slices.Delete(o.order, i, i+1)
	if i == 0 && len(o.order) > 0 {
		o.order[0].since = o.now() // its time begins when it is its turn
	}
	for conn := range f.waiting {
		o.settleLocked(o.byConn[conn], f)
	}
	o.wakeLocked()
}

// settleLocked ends the waiting of a connection for a flight, or of a flight for a connection.
func (o *copies) settleLocked(t *tap, f *flight) {
	delete(f.waiting, t.conn)
	t.sent = slices.DeleteFunc(t.sent, func(n int64) bool { return n == f.batch.Number })
	if i := slices.Index(t.queue, f); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	}
	o.pumpLocked(t)
}

// took notes that a connection took a batch, gives up the lock, and tells the engine if that was the last one.
func (o *copies) tookUnlock(t *tap, f *flight) {
	f.took = append(f.took, t.conn)
	o.settleLocked(t, f)
	if len(f.waiting) > 0 {
		o.mu.Unlock()
		return
	}
	o.takeLocked(f)
	o.mu.Unlock()
	finish([]*flight{f}, nil)
}

// ack takes an acknowledgement. From a connection that did not say that it acknowledges it changes nothing.
func (o *copies) ack(conn uint64, number int64) error {
	o.mu.Lock()
	t, f := o.byConn[conn], o.flights[number]
	if t == nil {
		defer o.mu.Unlock()
		return o.notHere(number)
	}
	if f != nil && f.waiting[conn] && slices.Contains(f.to, conn) {
		if t.acks {
			o.tookUnlock(t, f)
			return nil
		}
		o.mu.Unlock() // it will count as soon as the writer says that it is written
		return nil
	}
	defer o.mu.Unlock()
	if slices.Contains(t.past, number) {
		return nil
	}
	return o.lateLocked(conn, number)
}

// written says that a batch was written to a connection.
func (o *copies) written(conn uint64, number int64) {
	o.mu.Lock()
	t, f := o.byConn[conn], o.flights[number]
	if t == nil {
		o.mu.Unlock()
		return
	}
	if t.past = append(t.past, number); len(t.past) > maxPast {
		t.past = t.past[1:]
	}
	if f == nil || !f.waiting[conn] {
		o.mu.Unlock()
		return
	}
	o.tookUnlock(t, f)
}

// nack takes a refusal of a connection that acknowledges. The batch comes again to those that did not take it.
func (o *copies) nack(conn uint64, n refusal) error {
	o.mu.Lock()
	t := o.byConn[conn]
	if t == nil || !slices.Contains(t.sent, n.number) {
		defer o.mu.Unlock()
		if t == nil {
			return o.notHere(n.number)
		}
		o.replyLocked(conn, n, o.leftLocked(t))
		switch m := o.back[n.number]; {
		case !t.acks:
			return errNeverAcks
		case m != nil && slices.Contains(m.to, conn): // somebody else has refused it before
			m.to = without(m.to, conn)
			return nil
		default:
			return o.notHere(n.number)
		}
	}
	if !t.acks {
		defer o.mu.Unlock()
		o.replyLocked(conn, n, o.leftLocked(t))
		return errNeverAcks
	}
	f := o.flights[n.number]
	f.to = without(f.to, conn)
	o.giveBackLocked(f)
	o.replyLocked(conn, n, o.leftLocked(t))
	o.failUnlock([]*flight{f}, refused(n.message))
	return nil
}

// leftLocked are the batches that a connection was sent and may go on with.
func (o *copies) leftLocked(t *tap) []int64 {
	return slices.DeleteFunc(slices.Clone(t.sent), func(n int64) bool { return o.flights[n].void })
}

// oldest implements owner.
func (o *copies) oldest(conn uint64) (int64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.byConn[conn]
	if t == nil || len(t.sent) == 0 {
		return 0, false
	}
	return t.sent[0], true
}

// giveBackLocked takes a batch out of flight, which makes void what is behind it: none of that is sent any more, or it would come before
// what it follows. The caller tells the engine, without the lock.
func (o *copies) giveBackLocked(f *flight) {
	void := make(map[int64]bool) // and it was not before
	for _, g := range o.order[slices.Index(o.order, f):] {
		void[g.batch.Number] = !g.void
		g.void = true
	}
	for _, t := range o.taps {
		t.queue = slices.DeleteFunc(t.queue, func(f *flight) bool { return f.void })
		o.tellVoidLocked(t.conn, t.voidAs, slices.DeleteFunc(slices.Clone(t.sent), func(n int64) bool { return !void[n] }))
	}
	o.takeLocked(f)
	o.rememberLocked(f, f.took)
}

// leave takes a receiver away. It holds up nobody any more.
func (o *copies) leave(conn uint64) {
	o.mu.Lock()
	t := o.byConn[conn]
	if t == nil {
		o.mu.Unlock()
		return
	}
	o.taps = slices.DeleteFunc(o.taps, func(other *tap) bool { return other == t })
	delete(o.byConn, conn)
	o.receivers = len(o.taps)
	o.forgetLocked(conn)
	var done, given []*flight
	for _, f := range slices.Clone(o.order) {
		delete(f.waiting, conn)
		switch {
		case len(f.waiting) > 0:
		case len(f.took) > 0:
			o.takeLocked(f)
			done = append(done, f)
		default:
			o.giveBackLocked(f)
			given = append(given, f)
		}
	}
	if len(done) > 0 {
		o.settling++
		o.mu.Unlock()
		finish(done, nil)
		o.mu.Lock()
		o.settling--
	}
	o.failUnlock(given, sink.ErrNobody)
}

// void withdraws a batch whose context ended.
func (o *copies) void(f *flight, cause error) {
	o.mu.Lock()
	if o.flights[f.batch.Number] != f {
		o.mu.Unlock()
		return
	}
	o.giveBackLocked(f)
	o.mu.Unlock()
	f.done(cause)
}

// expire looks whether the oldest batch has waited too long. If others took it, who holds them up is cut off, and counts as one that left.
// If nobody did, it is sent again.
func (o *copies) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 {
		return
	}
	f := o.order[0]
	if len(f.took) > 0 {
		for conn := range f.waiting {
			if now := o.now(); min(now.Sub(f.since), now.Sub(o.byConn[conn].joined)) >= o.ackTimeout {
				o.hub.cutOff(conn, "a batch that others took was not acknowledged in time")
			}
		}
		return
	}
	if !o.overdueLocked(f) {
		return
	}
	f.again++
	f.since = o.now()
	for conn := range f.waiting {
		// What still waits to be written is written once.
		if t := o.byConn[conn]; t.acks && slices.Contains(t.sent, f.batch.Number) {
			o.sendLocked(t, f)
		}
	}
}

// Close implements sink.Sink.
func (o *copies) Close(context.Context) error {
	o.mu.Lock()
	if o.isClosed {
		o.mu.Unlock()
		return nil
	}
	given := o.order
	o.order = nil
	for _, t := range o.taps {
		o.tellVoidLocked(t.conn, t.voidAs, o.leftLocked(t))
		t.queue, t.sent = nil, nil
	}
	o.closeUnlock(given)
	return nil
}
