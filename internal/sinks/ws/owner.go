package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	// maxRemembered is how many batch numbers that came back are remembered for late acknowledgements: those of the largest window twice.
	maxRemembered = 2 * maxWindow
	// maxDoublings bounds the growth of the ack timeout of one batch.
	maxDoublings = 10
)

// hub is what an owner needs of the connections. None of it blocks.
type hub interface {
	deliver(to uint64, f frame)
	cutOff(conn uint64, reason string)
	closed(streamID string)
}

// owner decides for one stream which connection gets a batch and whose acknowledgement counts. It is the stream's sink. The errors of
// ack and nack tell the client why what it says does not count.
type owner interface {
	sink.Sink
	join(conn uint64, l listening)
	leave(conn uint64)
	ack(conn uint64, number int64) error
	nack(conn uint64, n refusal) error          // it is answered, if the client wants that, also when it does not count
	oldest(conn uint64) (number int64, ok bool) // that the connection was sent and has not answered
	written(conn uint64, number int64)
	expire()
}

// listening is how a connection listens to a stream.
type listening struct {
	name   string // what the client calls the stream: its name or its id
	window int
	acks   bool // it acknowledges what is broadcast
	voids  bool // it wants to be told what is void
}

// voidAs is what the client calls the stream when it is told what is void, "" if it does not want that.
func (l *listening) voidAs() string {
	if !l.voids {
		return ""
	}
	return l.name
}

// refusal is a negative acknowledgement.
type refusal struct {
	number  int64
	message string
	replyAs string // the client wants to be told what is left to it of a stream it calls so; "" if not
}

// flight is a batch that waits for its acknowledgement.
type flight struct {
	batch *sink.Batch
	done  func(error)
	stop  func() bool // ends the watch over its context
	to    []uint64    // connections that were sent this number
	since time.Time   // since when it is the one that is waited for
	again int         // how often it was sent again here
	void  bool        // one before it failed, and who has it knows

	lane    *lane           // of lanes: where it is
	waiting map[uint64]bool // of copies: connections that have not taken it
	took    []uint64        // of copies: connections that have
}

// memory is what is left of a batch that was given back: its acknowledgement may still come.
type memory struct {
	to   []uint64
	took []uint64 // those of them that acknowledged it
}

// core is what the owners have in common.
type core struct {
	id, name   string
	hub        hub
	ackTimeout time.Duration
	now        func() time.Time

	mu        sync.Mutex
	receivers int               // guarded by mu, as all below
	flights   map[int64]*flight // by number
	back      map[int64]*memory // batches that were given back, by number
	backOrder []int64           // oldest first
	settling  int               // failures that the engine has not been told yet: nothing goes out before
	isClosed  bool
	changed   chan struct{} // closed and replaced when a Send or a Wait may go on
}

func newCore(st sink.Stream, h hub, ackTimeout time.Duration, now func() time.Time) core {
	return core{
		id: st.ID, name: st.Name, hub: h, ackTimeout: ackTimeout, now: now,
		flights: make(map[int64]*flight), back: make(map[int64]*memory), changed: make(chan struct{}),
	}
}

// wakeLocked lets those who wait look again.
func (o *core) wakeLocked() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func without(list []uint64, conn uint64) []uint64 {
	return slices.DeleteFunc(list, func(c uint64) bool { return c == conn })
}

// forgetLocked takes a connection that leaves out of what is remembered.
func (o *core) forgetLocked(conn uint64) {
	for _, m := range o.back {
		m.to = without(m.to, conn)
	}
	for _, f := range o.flights {
		f.to = without(f.to, conn)
	}
}

func (o *core) rememberLocked(f *flight, took []uint64) {
	n := f.batch.Number
	if _, ok := o.back[n]; !ok {
		o.backOrder = append(o.backOrder, n)
		if len(o.backOrder) > maxRemembered {
			delete(o.back, o.backOrder[0])
			o.backOrder = o.backOrder[1:]
		}
	}
	o.back[n] = &memory{to: f.to, took: took}
}

// recallLocked takes what is remembered of a number.
func (o *core) recallLocked(number int64) *memory {
	m := o.back[number]
	if m != nil {
		delete(o.back, number)
		o.backOrder = slices.DeleteFunc(o.backOrder, func(n int64) bool { return n == number })
	}
	return m
}

// lateLocked notes an acknowledgement of a batch that was given back. It counts if the batch is sent again.
func (o *core) lateLocked(conn uint64, number int64) error {
	m := o.back[number]
	if m == nil || !slices.Contains(m.to, conn) {
		return o.notHere(number)
	}
	if !slices.Contains(m.took, conn) {
		m.took = append(m.took, conn)
	}
	return nil
}

func (o *core) notHere(number int64) error {
	return fmt.Errorf("batch %d of stream %q is not in flight to this connection", number, o.name)
}

// failUnlock gives up the lock and tells the engine that batches failed. What is behind them must not go out until the engine
// knows and has made it void: it would overtake them. So Send is held back meanwhile.
func (o *core) failUnlock(flights []*flight, err error) {
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
func (o *core) Wait(ctx context.Context) error {
	for {
		o.mu.Lock()
		there, closed, changed := o.receivers > 0, o.isClosed, o.changed
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

// verdict is what an owner says to a batch that is to be sent.
type verdict int

const (
	notNow verdict = iota
	launched
	doneAlready
)

// send hands a batch to launch, under the lock, until it does not say that there is no room.
func (o *core) send(ctx context.Context, done func(error), launch func() verdict) {
	for {
		o.mu.Lock()
		if o.isClosed {
			o.mu.Unlock()
			done(sink.ErrClosed)
			return
		}
		v := notNow
		if ctx.Err() == nil && o.receivers > 0 && o.settling == 0 {
			v = launch()
		}
		changed := o.changed
		o.mu.Unlock()
		switch v {
		case launched:
			return
		case doneAlready: // by the late acknowledgements of an earlier sending
			done(nil)
			return
		case notNow:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			done(context.Cause(ctx))
			return
		}
	}
}

// overdueLocked says whether a batch has waited too long: each time twice as long, so that a slow client is not buried in copies.
func (o *core) overdueLocked(f *flight) bool {
	return o.now().Sub(f.since) >= o.ackTimeout<<min(f.again, maxDoublings)
}

// closeUnlock ends everything. The caller holds the lock and is not the second to close.
func (o *core) closeUnlock(given []*flight) {
	o.isClosed = true
	clear(o.flights)
	o.wakeLocked()
	o.mu.Unlock()
	o.hub.closed(o.id)
	finish(given, errors.Join(sink.ErrClosed, sink.ErrNobody))
}

// errNeverAcks answers a refusal that comes too late by its nature.
var errNeverAcks = errors.New("what is broadcast counts as taken when it is written: listen with acks true to be able to refuse")

// errNotAcked is what a batch comes back with that moves on to another connection.
var errNotAcked = fmt.Errorf("not acknowledged in time: %w", sink.ErrNobody)

// refused is what a batch comes back with that a client refused.
func refused(message string) error {
	if message == "" {
		message = "no reason given"
	}
	return sink.Refused(fmt.Errorf("refused by the client: %s", clip(message)))
}

// encode puts the number before the events, where a client finds it without reading them.
func (o *core) encode(b *sink.Batch, attempt int) frame {
	head := append(make([]byte, 0, 64), `{"batchNumber":`...)
	head = strconv.AppendInt(head, b.Number, 10)
	if attempt > 1 {
		head = append(head, `,"attempt":`...)
		head = strconv.AppendInt(head, int64(attempt), 10)
	}
	return frame{head: append(head, `,"events":`...), body: b.Body, tail: "}", stream: o.id, number: b.Number}
}

// replyLocked tells a client that refused what is in flight to it besides. It comes behind everything that the refusal made void, and before what
// comes again.
func (o *core) replyLocked(conn uint64, n refusal, inFlight []int64) {
	if n.replyAs != "" {
		o.hub.deliver(conn, encodeNacked(n.replyAs, &n.number, inFlight))
	}
}

// tellVoidLocked tells a client that batches it was sent are taken back. It comes before anything that is sent in their place.
func (o *core) tellVoidLocked(conn uint64, voidAs string, list []int64) {
	if voidAs == "" || len(list) == 0 {
		return
	}
	b, err := json.Marshal(apitypes.Void{Type: "void", Stream: voidAs, BatchNumbers: list})
	if err != nil { // cannot be: texts and numbers
		return
	}
	o.hub.deliver(conn, frame{body: b})
}

func encodeNacked(streamName string, number *int64, inFlight []int64) frame {
	if inFlight == nil {
		inFlight = []int64{}
	}
	b, err := json.Marshal(apitypes.Nacked{Type: "nacked", Stream: streamName, BatchNumber: number, InFlight: inFlight})
	if err != nil { // cannot be: texts and numbers
		return frame{}
	}
	return frame{body: b}
}
