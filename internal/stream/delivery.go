package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// numbersPerEpoch is how many batch numbers an epoch has. JSON numbers hold integers up to 2⁵³, which leaves room for nine million
// epochs.
const numbersPerEpoch = 1_000_000_000

// forever is a wait that only an event ends.
const forever = time.Duration(1<<63 - 1)

// policy is what a stream's settings say about batches and failures.
type policy struct {
	readAhead    int
	batchTimeout time.Duration
	retryTimeout time.Duration
	blockedDelay time.Duration
}

// delivery brings the batches of one run to the sink. The reader puts batches in, one goroutine sends them, and acknowledgements come
// from any goroutine.
//
//	push, park ─▶ ready ─▶ flights ── Send ─▶ sink
//	                ▲         │ done(nil) ─▶ tracker ─▶ checkpointer
//	                └ recall ─┘ done(err): again, and what is behind it after it
type delivery struct {
	sink   sink.Sink
	policy policy
	epoch  int64
	budget *budget
	stats  *stats
	now    func() time.Time

	wake  chan struct{} // to the sending goroutine: something may be to send
	room  chan struct{} // to the reader: a batch less is ready
	dirty chan struct{} // to the checkpointer: positions moved
	// landed tells who waits for the run to come to rest that a batch is back.
	landed chan struct{}

	mu      sync.Mutex
	tracker *inflight.Tracker // guarded by mu, as everything below
	ready   []*batch          // in order, full ones and such that were recalled
	parked  *batch            // the batch being filled, while the reader does not touch it
	more    bool              // more may soon be appended to parked
	flights []*flight         // sent and not acknowledged, in order of number
	numbers int64
	held    int64 // bytes counted in the budget
	closed  bool
	// draining is set when nothing new is sent any more.
	draining bool
}

func newDelivery(s sink.Sink, p policy, epoch int64, tracker *inflight.Tracker, b *budget, st *stats, now func() time.Time) *delivery {
	return &delivery{
		sink: s, policy: p, epoch: epoch, tracker: tracker, budget: b, stats: st, now: now,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		landed: make(chan struct{}, 1),
	}
}

// signal wakes whoever waits on ch, now or next.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// push hands a full batch over. It blocks while enough batches are ready.
func (d *delivery) push(ctx context.Context, b *batch) error {
	b.seal()
	size := b.size()
	d.hold(size)
	for {
		d.mu.Lock()
		if len(d.ready) < d.policy.readAhead {
			d.enqueue(b)
			d.mu.Unlock()
			signal(d.wake)
			return nil
		}
		d.mu.Unlock()
		select {
		case <-d.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hold counts memory, hold of a negative number gives it back.
func (d *delivery) hold(n int64) {
	d.mu.Lock()
	if d.closed {
		n = 0
	}
	d.held += n
	d.mu.Unlock()
	if n != 0 {
		d.budget.add(n)
	}
}

func (d *delivery) holding() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}

// enqueue registers a sealed batch behind all others. The caller holds mu.
func (d *delivery) enqueue(b *batch) {
	b.seq = d.tracker.Add(b.entry)
	d.ready = append(d.ready, b)
}

// park leaves the batch being filled where the sending goroutine can take it: at once when nothing more is at hand, else
// when it has waited for batchTimeout. A batch without events only moves positions, and does so when nothing is before it.
func (d *delivery) park(b *batch, more bool) {
	if b == nil {
		return
	}
	d.mu.Lock()
	events := len(b.recs) > 0
	d.parked, d.more = b, more
	moved := d.settle()
	d.mu.Unlock()
	if moved {
		signal(d.dirty)
	}
	if events {
		signal(d.wake)
	}
}

// settle moves positions for a parked batch without events, once nothing is before it. The caller holds mu.
func (d *delivery) settle() bool {
	b := d.parked
	if b == nil || len(b.recs) > 0 || d.tracker.Open() > 0 {
		return false
	}
	moved := d.tracker.Ack(d.tracker.Add(b.entry))
	b.entry = inflight.Entry{}
	return moved
}

// unpark gives the batch back to the reader, nil if it was sent.
func (d *delivery) unpark() *batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.parked
	d.parked = nil
	return b
}

// next says what to send now, or how long to wait if nothing else happens. The flight is marked as out.
func (d *delivery) next() (*flight, time.Duration) {
	window := 1
	if w, ok := d.sink.(sink.Windowed); ok {
		window = max(1, w.Window())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return nil, forever
	}
	for i, f := range d.flights {
		if f.out && f.failures > 0 {
			return nil, forever // it failed before: what is behind it waits until it got through
		}
		if !f.out {
			return d.again(i)
		}
	}
	if d.closed || len(d.flights) >= window || d.numbers == numbersPerEpoch-1 {
		return nil, forever
	}
	b, wait := d.pick()
	if b == nil {
		return nil, wait
	}
	d.numbers++
	f := &flight{batch: b, number: d.epoch*numbersPerEpoch + d.numbers}
	d.flights = append(d.flights, f)
	d.launch(f)
	return f, 0
}

// pick takes the next batch that may go. The caller holds mu.
func (d *delivery) pick() (*batch, time.Duration) {
	if len(d.ready) > 0 {
		b := d.ready[0]
		d.ready[0] = nil
		d.ready = d.ready[1:]
		signal(d.room)
		return b, 0
	}
	b := d.parked
	if b == nil || len(b.recs) == 0 {
		return nil, forever
	}
	if d.more {
		if wait := d.policy.batchTimeout - d.now().Sub(b.born); wait > 0 {
			return nil, wait
		}
	}
	d.parked = nil
	b.seal()
	n := b.size()
	d.held += n
	d.budget.add(n)
	b.seq = d.tracker.Add(b.entry)
	return b, 0
}

// again is next for a batch that failed: once nothing is out behind it, those are recalled, and when its time has come
// it goes. The caller holds mu.
func (d *delivery) again(i int) (*flight, time.Duration) {
	for _, f := range d.flights[i+1:] {
		if f.out {
			return nil, forever
		}
	}
	f := d.flights[i]
	if behind := d.flights[i+1:]; len(behind) > 0 {
		recalled := make([]*batch, 0, len(behind)+len(d.ready))
		for _, b := range behind {
			recalled = append(recalled, b.batch)
		}
		d.ready = append(recalled, d.ready...)
		clear(behind)
		d.flights = d.flights[:i+1]
	}
	if wait := f.due.Sub(d.now()); wait > 0 {
		return nil, wait
	}
	d.launch(f)
	return f, 0
}

// launch marks a flight as out. The caller holds mu.
func (d *delivery) launch(f *flight) {
	f.out, f.handed, f.void = true, false, false
	if f.batch.sends++; f.batch.sends == 1 {
		f.batch.sent = d.now()
	} else {
		d.stats.redelivered.Add(uint64(len(f.batch.events)))
	}
}

// errNumbersUsed ends a run, so that the next one goes on under another epoch.
var errNumbersUsed = errors.New("the batch numbers of the epoch are used up")

// usedUp says that no number is left and everything that had one is acknowledged.
func (d *delivery) usedUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.numbers == numbersPerEpoch-1 && len(d.flights) == 0
}

// run sends until ctx is done or the numbers are used up.
func (d *delivery) run(ctx context.Context) error {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for ctx.Err() == nil {
		f, wait := d.next()
		if f != nil {
			d.send(ctx, f)
			continue
		}
		if d.usedUp() {
			return errNumbersUsed
		}
		timer.Reset(wait)
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// close ends the run's part in what is still out: acknowledgements change nothing any more, and the memory is given back.
func (d *delivery) close() {
	d.mu.Lock()
	d.closed = true
	held := d.held
	d.held = 0
	for _, f := range d.flights {
		if f.out && f.cancel != nil { // else send finds the run closed
			f.cancel()
		}
	}
	d.mu.Unlock()
	d.budget.add(-held)
}

// rows returns the positions to store.
func (d *delivery) rows(progress bool) []inflight.Row {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tracker.Snapshot(nil, progress)
}

func (d *delivery) written(rows []inflight.Row) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tracker.Written(rows)
}

// lowest is the lowest position of some listeners below which everything is acknowledged.
func (d *delivery) lowest(include func(listener int) bool) (ffcapi.Cursor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.tracker.Lowest(include)
	return at.Cursor, ok
}
