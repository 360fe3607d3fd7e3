package ws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	// maxRemembered is how many batch numbers that came back are remembered for late acknowledgements.
	maxRemembered = 256
	// maxDoublings bounds the growth of the ack timeout of one batch.
	maxDoublings = 10
)

// hub is what an owner needs of the connections. deliver does not block.
type hub interface {
	deliver(to uint64, f frame)
	closed(o *owner)
}

// owner decides for one stream which connection gets a batch and whose acknowledgement counts. It is the stream's sink.
type owner struct {
	name       string
	hub        hub
	ackTimeout time.Duration
	now        func() time.Time

	mu        sync.Mutex
	receivers []receiver        // guarded by mu; in the order they came
	holder    uint64            // guarded by mu; the connection that has the window, 0: none
	flights   []*flight         // guarded by mu; in the order of sending, all at the holder
	back      map[int64]*memory // guarded by mu; batches that were given back, by number
	backOrder []int64           // guarded by mu; oldest first
	settling  int               // guarded by mu; failures that the engine has not been told yet: nothing goes out before
	isClosed  bool              // guarded by mu
	changed   chan struct{}     // guarded by mu; closed and replaced when a Send or a Wait may go on
}

type receiver struct {
	conn   uint64
	window int
}

// flight is a batch that waits for its acknowledgement.
type flight struct {
	batch *sink.Batch
	done  func(error)
	stop  func() bool // ends the watch over its context
	to    []uint64    // connections that were sent this number
	since time.Time   // since when it is the one that is waited for
	again int         // how often it was sent again here
}

// memory is what is left of a batch that was given back: its acknowledgement may still come.
type memory struct {
	to    []uint64
	acked bool
}

func newOwner(name string, h hub, ackTimeout time.Duration, now func() time.Time) *owner {
	return &owner{name: name, hub: h, ackTimeout: ackTimeout, now: now, back: make(map[int64]*memory), changed: make(chan struct{})}
}

// wakeLocked lets those who wait look again.
func (o *owner) wakeLocked() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// join makes a connection a receiver, or changes its window.
func (o *owner) join(conn uint64, window int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.wakeLocked()
	for i := range o.receivers {
		if o.receivers[i].conn == conn {
			o.receivers[i].window = window
			return
		}
	}
	o.receivers = append(o.receivers, receiver{conn, window})
}

// leave takes a receiver away. What it has is given back at once.
func (o *owner) leave(conn uint64) {
	o.mu.Lock()
	o.receivers = slices.DeleteFunc(o.receivers, func(r receiver) bool { return r.conn == conn })
	for _, m := range o.back {
		m.to = without(m.to, conn)
	}
	for _, f := range o.flights {
		f.to = without(f.to, conn)
	}
	var given []*flight
	if o.holder == conn {
		given = o.giveBackLocked()
		o.holder = 0
	}
	o.failUnlock(given, sink.ErrNobody)
}

func without(list []uint64, conn uint64) []uint64 {
	return slices.DeleteFunc(list, func(c uint64) bool { return c == conn })
}

// giveBackLocked takes all batches out of flight. The caller calls finish without the lock.
func (o *owner) giveBackLocked() []*flight {
	given := o.flights
	o.flights = nil
	for _, f := range given {
		o.rememberLocked(f)
	}
	return given
}

func (o *owner) rememberLocked(f *flight) {
	n := f.batch.Number
	if _, ok := o.back[n]; !ok {
		o.backOrder = append(o.backOrder, n)
		if len(o.backOrder) > maxRemembered {
			delete(o.back, o.backOrder[0])
			o.backOrder = o.backOrder[1:]
		}
	}
	o.back[n] = &memory{to: f.to}
}

// recallLocked takes what is remembered of a number.
func (o *owner) recallLocked(number int64) *memory {
	m := o.back[number]
	if m != nil {
		delete(o.back, number)
		o.backOrder = slices.DeleteFunc(o.backOrder, func(n int64) bool { return n == number })
	}
	return m
}

// failUnlock gives up the lock and tells the engine that batches failed. What is behind them must not go out until the engine
// knows and has made it void: it would overtake them. So Send is held back meanwhile.
func (o *owner) failUnlock(flights []*flight, err error) {
	o.settling++
	o.mu.Unlock()
	finish(flights, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settling--
	o.wakeLocked()
}

// finish tells the engine, in order, what became of batches.
func finish(flights []*flight, err error) {
	for _, f := range flights {
		f.stop()
		f.done(err)
	}
}

// Wait implements sink.Waiter.
func (o *owner) Wait(ctx context.Context) error {
	for {
		o.mu.Lock()
		there, closed, changed := len(o.receivers) > 0, o.isClosed, o.changed
		o.mu.Unlock()
		switch {
		case closed:
			return sink.ErrClosed
		case there:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Window implements sink.Windowed: the largest that a receiver asked for. Send holds back what is too much for the holder.
func (o *owner) Window() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	window := 1
	for _, r := range o.receivers {
		window = max(window, r.window)
	}
	return window
}

// Send implements sink.Sink.
func (o *owner) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	for {
		o.mu.Lock()
		if o.isClosed {
			o.mu.Unlock()
			done(sink.ErrClosed)
			return
		}
		if m := o.back[b.Number]; m != nil && m.acked { // the late acknowledgement of an earlier sending
			o.recallLocked(b.Number)
			o.mu.Unlock()
			done(nil)
			return
		}
		if ctx.Err() == nil && o.placeLocked() {
			o.launchLocked(ctx, b, done)
			o.mu.Unlock()
			return
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			done(context.Cause(ctx))
			return
		}
	}
}

// placeLocked says whether the next batch may go to the holder. When nothing is in flight, another connection becomes the holder.
func (o *owner) placeLocked() bool {
	if len(o.receivers) == 0 || o.settling > 0 {
		return false
	}
	at := slices.IndexFunc(o.receivers, func(r receiver) bool { return r.conn == o.holder })
	if len(o.flights) == 0 {
		o.holder = o.receivers[(at+1)%len(o.receivers)].conn
		return true
	}
	return at >= 0 && len(o.flights) < o.receivers[at].window
}

func (o *owner) launchLocked(ctx context.Context, b *sink.Batch, done func(error)) {
	f := &flight{batch: b, done: done, since: o.now()}
	if m := o.recallLocked(b.Number); m != nil {
		f.to = m.to
	}
	if !slices.Contains(f.to, o.holder) {
		f.to = append(f.to, o.holder)
	}
	o.flights = append(o.flights, f)
	f.stop = context.AfterFunc(ctx, func() { o.void(f, context.Cause(ctx)) })
	o.hub.deliver(o.holder, encode(b, b.Attempt))
}

// encode puts the number before the events, where a client finds it without reading them.
func encode(b *sink.Batch, attempt int) frame {
	head := append(make([]byte, 0, 64), `{"batchNumber":`...)
	head = strconv.AppendInt(head, b.Number, 10)
	if attempt > 1 {
		head = append(head, `,"attempt":`...)
		head = strconv.AppendInt(head, int64(attempt), 10)
	}
	return frame{head: append(head, `,"events":`...), body: b.Body, tail: "}"}
}

// takeLocked takes a flight out.
func (o *owner) takeLocked(i int) *flight {
	f := o.flights[i]
	o.flights = slices.Delete(o.flights, i, i+1)
	if i == 0 && len(o.flights) > 0 {
		o.flights[0].since = o.now() // its time begins when it is its turn
	}
	o.wakeLocked()
	return f
}

// void withdraws a batch whose context ended.
func (o *owner) void(f *flight, cause error) {
	o.mu.Lock()
	i := slices.Index(o.flights, f)
	if i < 0 {
		o.mu.Unlock()
		return
	}
	o.takeLocked(i)
	o.rememberLocked(f)
	o.mu.Unlock()
	f.done(cause)
}

// ack takes an acknowledgement. The error tells the client why it does not count.
func (o *owner) ack(conn uint64, number int64) error {
	o.mu.Lock()
	i := o.findLocked(conn, number)
	if i < 0 {
		defer o.mu.Unlock()
		if m := o.back[number]; m != nil && slices.Contains(m.to, conn) {
			m.acked = true // it counts if the batch is sent again
			return nil
		}
		return fmt.Errorf("batch %d of stream %q is not in flight to this connection", number, o.name)
	}
	f := o.takeLocked(i)
	o.mu.Unlock()
	finish([]*flight{f}, nil)
	return nil
}

func (o *owner) findLocked(conn uint64, number int64) int {
	return slices.IndexFunc(o.flights, func(f *flight) bool {
		return f.batch.Number == number && slices.Contains(f.to, conn)
	})
}

// nack takes a refusal: of a batch or, without a number, of the oldest one in flight to the connection.
func (o *owner) nack(conn uint64, number *int64, message string) error {
	o.mu.Lock()
	var i int
	if number != nil {
		i = o.findLocked(conn, *number)
	} else {
		i = slices.IndexFunc(o.flights, func(f *flight) bool { return slices.Contains(f.to, conn) })
	}
	if i < 0 {
		o.mu.Unlock()
		if number != nil {
			return fmt.Errorf("batch %d of stream %q is not in flight to this connection", *number, o.name)
		}
		return fmt.Errorf("stream %q has nothing in flight to this connection", o.name)
	}
	f := o.takeLocked(i)
	f.to = without(f.to, conn)
	o.rememberLocked(f)
	if message == "" {
		message = "no reason given"
	}
	o.failUnlock([]*flight{f}, sink.Refused(fmt.Errorf("refused by the client: %s", clip(message))))
	return nil
}

// errNotAcked is what a batch comes back with that moves on to another connection.
var errNotAcked = fmt.Errorf("not acknowledged in time: %w", sink.ErrNobody)

// expire looks whether the oldest batch has waited too long. It moves, with all behind it, to another connection or, if there is none,
// is sent again: each time after twice as long, so that a slow client is not buried in copies.
func (o *owner) expire() {
	o.mu.Lock()
	if len(o.flights) == 0 {
		o.mu.Unlock()
		return
	}
	f := o.flights[0]
	if o.now().Sub(f.since) < o.ackTimeout<<min(f.again, maxDoublings) {
		o.mu.Unlock()
		return
	}
	if len(o.receivers) > 1 {
		// With nothing in flight the next Send goes to the next connection.
		o.failUnlock(o.giveBackLocked(), errNotAcked)
		return
	}
	f.again++
	f.since = o.now()
	o.hub.deliver(o.holder, encode(f.batch, f.batch.Attempt+f.again))
	o.mu.Unlock()
}

// Close implements sink.Sink.
func (o *owner) Close(context.Context) error {
	o.mu.Lock()
	if o.isClosed {
		o.mu.Unlock()
		return nil
	}
	o.isClosed = true
	given := o.flights
	o.flights = nil
	o.wakeLocked()
	o.mu.Unlock()
	o.hub.closed(o)
	finish(given, errors.Join(sink.ErrClosed, sink.ErrNobody))
	return nil
}
