package ws

import (
	"context"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// maxInFlight bounds the sum of the windows.
const maxInFlight = 10 * maxWindow

// lanes is the owner that gives each batch to one connection. Ordered, one connection holds the whole window of the stream, and
// another one takes over when nothing is in flight or the holder is gone. Else each connection has a window of its own, and the
// stream gives up its order for that.
type lanes struct {
	core
	ordered bool

	lanes  []*lane          // guarded by mu, as all below; in the order they came
	byConn map[uint64]*lane // those of lanes
	turn   *lane            // the one that got the newest batch; ordered: it holds the window. nil: none
}

// lane is a connection and what is on its way to it.
type lane struct {
	conn    uint64
	window  int
	voidAs  string
	flights []*flight // in the order of sending
	silent  bool      // it has let a batch time out and was not heard of since
	late    []int64   // the newest numbers that were taken from it when a batch timed out
}

func newLanes(st sink.Stream, h hub, ackTimeout time.Duration, now func() time.Time, ordered bool) *lanes {
	return &lanes{core: newCore(st, h, ackTimeout, now), ordered: ordered, byConn: make(map[uint64]*lane)}
}

// join makes a connection a receiver, or changes its window.
func (o *lanes) join(conn uint64, l listening) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.wakeLocked()
	if old := o.byConn[conn]; old != nil {
		old.window, old.voidAs = l.window, l.voidAs()
		return
	}
	n := &lane{conn: conn, window: l.window, voidAs: l.voidAs()}
	o.lanes, o.byConn[conn] = append(o.lanes, n), n
	o.receivers = len(o.lanes)
}

// leave takes a receiver away. What it has is given back at once.
func (o *lanes) leave(conn uint64) {
	o.mu.Lock()
	l := o.byConn[conn]
	if l == nil {
		o.mu.Unlock()
		return
	}
	o.lanes = slices.DeleteFunc(o.lanes, func(other *lane) bool { return other == l })
	delete(o.byConn, conn)
	o.receivers = len(o.lanes)
	o.forgetLocked(conn)
	if o.turn == l {
		o.turn = nil
	}
	o.failUnlock(o.giveBackLocked(l), sink.ErrNobody)
}

// giveBackLocked takes all batches of a lane out of flight. The caller tells the engine, without the lock.
func (o *lanes) giveBackLocked(l *lane) []*flight {
	given := l.flights
	l.flights = nil
	for _, f := range given {
		delete(o.flights, f.batch.Number)
		o.rememberLocked(f, nil)
	}
	return given
}

// Window implements sink.Windowed. Ordered, it is the largest that a receiver asked for, and Send holds back what is too much for the
// holder. Else it is the sum of all.
func (o *lanes) Window() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	largest, sum := 1, 0
	for _, l := range o.lanes {
		largest = max(largest, l.window)
		sum += l.window
	}
	if o.ordered {
		return largest
	}
	return min(max(1, sum), maxInFlight)
}

// Unordered implements sink.Unordered.
func (o *lanes) Unordered() bool { return !o.ordered }

// Send implements sink.Sink.
func (o *lanes) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	o.send(ctx, done, func() verdict {
		m := o.back[b.Number]
		if m != nil && len(m.took) > 0 {
			o.recallLocked(b.Number)
			return doneAlready
		}
		l := o.placeLocked()
		if l == nil {
			return notNow
		}
		f := &flight{batch: b, done: done, since: o.now(), lane: l}
		if o.recallLocked(b.Number) != nil {
			f.to = m.to
		}
		out := o.encode(b, b.Attempt)
		if out.again = slices.Contains(f.to, l.conn); !out.again {
			f.to = append(f.to, l.conn)
		}
		o.turn = l
		l.flights = append(l.flights, f)
		o.flights[b.Number] = f
		f.stop = context.AfterFunc(ctx, func() { o.void(f, context.Cause(ctx)) })
		o.hub.deliver(l.conn, out)
		return launched
	})
}

// placeLocked says where the next batch may go, nil if nowhere.
func (o *lanes) placeLocked() *lane {
	if o.ordered && o.turn != nil && len(o.turn.flights) > 0 {
		if len(o.turn.flights) < o.turn.window {
			return o.turn
		}
		return nil
	}
	after := slices.Index(o.lanes, o.turn) + 1
	var silent *lane
	for i := range o.lanes {
		l := o.lanes[(after+i)%len(o.lanes)]
		room := len(l.flights) < l.window // ordered: all have room now
		switch {
		case room && !l.silent:
			return l
		case room && silent == nil:
			silent = l
		}
	}
	if o.awakeLocked(nil) {
		return nil // there will be room
	}
	return silent
}

// awakeLocked says whether there is a lane, other than one, that did not let a batch time out.
func (o *lanes) awakeLocked(other *lane) bool {
	return slices.ContainsFunc(o.lanes, func(l *lane) bool { return l != other && !l.silent })
}

// takeLocked takes a flight out.
func (o *lanes) takeLocked(f *flight) {
	delete(o.flights, f.batch.Number)
	l := f.lane
	i := slices.Index(l.flights, f)
	l.flights = slices.Delete(l.flights, i, i+1)
	if i == 0 && len(l.flights) > 0 {
		l.flights[0].since = o.now() // its time begins when it is its turn
	}
	o.wakeLocked()
}

// void withdraws a batch whose context ended.
func (o *lanes) void(f *flight, cause error) {
	o.mu.Lock()
	if o.flights[f.batch.Number] != f {
		o.mu.Unlock()
		return
	}
	o.takeLocked(f)
	o.rememberLocked(f, nil)
	if !f.void {
		o.tellVoidLocked(f.lane.conn, f.lane.voidAs, []int64{f.batch.Number})
	}
	o.mu.Unlock()
	f.done(cause)
}

// heardLocked notes that a connection answers.
func (o *lanes) heardLocked(conn uint64) {
	if l := o.byConn[conn]; l != nil && l.silent {
		l.silent = false
		o.wakeLocked()
	}
}

// tooLateLocked answers for a batch that the connection does not have. If it was taken from it because of the time, it answers, if slowly.
func (o *lanes) tooLateLocked(conn uint64, number int64) error {
	if l := o.byConn[conn]; l != nil && slices.Contains(l.late, number) {
		o.heardLocked(conn)
	}
	return o.notHere(number)
}

// ack takes an acknowledgement.
func (o *lanes) ack(conn uint64, number int64) error {
	o.mu.Lock()
	f := o.flights[number]
	if f == nil || !slices.Contains(f.to, conn) {
		defer o.mu.Unlock()
		if o.lateLocked(conn, number) != nil {
			return o.tooLateLocked(conn, number)
		}
		o.heardLocked(conn)
		return nil
	}
	o.heardLocked(conn)
	o.takeLocked(f)
	o.mu.Unlock()
	finish([]*flight{f}, nil)
	return nil
}

// nack takes a refusal. It counts only from the connection that has the batch: another one may get it done yet.
func (o *lanes) nack(conn uint64, n refusal) error {
	o.mu.Lock()
	l, f := o.byConn[conn], o.flights[n.number]
	if f == nil || f.lane != l {
		defer o.mu.Unlock()
		if l != nil {
			o.replyLocked(conn, n, numbers(l.flights))
		}
		return o.tooLateLocked(conn, n.number)
	}
	o.heardLocked(conn)
	o.replyLocked(conn, n, numbers(o.leaveLocked(l, f)))
	o.takeLocked(f)
	f.to = without(f.to, conn)
	o.rememberLocked(f, nil)
	o.failUnlock([]*flight{f}, refused(n.message))
	return nil
}

// leaveLocked returns what a connection may go on with when it refuses a batch. What is behind that is void.
func (o *lanes) leaveLocked(l *lane, f *flight) []*flight {
	i := slices.Index(l.flights, f)
	if !o.ordered {
		return slices.Concat(l.flights[:i], l.flights[i+1:])
	}
	for _, behind := range l.flights[i+1:] {
		behind.void = true
	}
	o.tellVoidLocked(l.conn, l.voidAs, numbers(l.flights[i+1:]))
	return l.flights[:i]
}

func numbers(flights []*flight) []int64 {
	list := make([]int64, len(flights))
	for i, f := range flights {
		list[i] = f.batch.Number
	}
	return list
}

// oldest implements owner.
func (o *lanes) oldest(conn uint64) (int64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.byConn[conn]
	if l == nil || len(l.flights) == 0 {
		return 0, false
	}
	return l.flights[0].batch.Number, true
}

// written implements owner: that something was written says nothing.
func (o *lanes) written(uint64, int64) {}

// expire looks whether the oldest batch of a lane has waited too long. It moves, with all behind it, to another connection or, if there is
// none that is better, is sent again.
func (o *lanes) expire() {
	o.mu.Lock()
	var given []*flight
	for _, l := range o.lanes {
		if len(l.flights) == 0 || !o.overdueLocked(l.flights[0]) {
			continue
		}
		f := l.flights[0]
		l.silent = true
		if o.ordered && len(o.lanes) > 1 || !o.ordered && o.awakeLocked(l) {
			l.late = append(l.late, numbers(l.flights)...)
			l.late = slices.Delete(l.late, 0, max(0, len(l.late)-maxRemembered))
			o.tellVoidLocked(l.conn, l.voidAs, numbers(l.flights[1:])) // the answer for the first still counts, and shows that the client lives
			given = append(given, o.giveBackLocked(l)...)              // ordered: with nothing in flight the next Send goes to the next connection
			continue
		}
		f.again++
		f.since = o.now()
		out := o.encode(f.batch, f.batch.Attempt+f.again)
		out.again = true
		o.hub.deliver(l.conn, out)
	}
	if given == nil {
		o.mu.Unlock()
		return
	}
	o.failUnlock(given, errNotAcked)
}

// Close implements sink.Sink.
func (o *lanes) Close(context.Context) error {
	o.mu.Lock()
	if o.isClosed {
		o.mu.Unlock()
		return nil
	}
	var given []*flight
	for _, l := range o.lanes {
		o.tellVoidLocked(l.conn, l.voidAs, numbers(l.flights))
		given = append(given, l.flights...)
		l.flights = nil
	}
	o.closeUnlock(given)
	return nil
}
