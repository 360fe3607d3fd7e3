package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
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
	unstored     int // batches that may be unstored besides those of the window
	batchTimeout time.Duration
	retryTimeout time.Duration
	blockedDelay time.Duration
	skip         bool // what the receiver refuses is set aside
}

// delivery brings the batches of one run to the sink. The reader puts batches in, one goroutine sends them, and acknowledgements come
// from any goroutine.
//
//	push, park ─▶ ready ─▶ flights ── Send ─▶ sink
//	                ▲         │ done(nil) ─▶ tracker ─▶ checkpointer
//	                └ recall ─┤ done(err): again, whole or in parts, and what is behind it after it
//	                          └ refused for good ─▶ keep ─▶ tracker ─▶ checkpointer
type delivery struct {
	sink   sink.Sink
	policy policy
	epoch  int64
	budget *budget
	stats  *stats
	now    func() time.Time
	// keep stores events as dead letters, or puts them back among them, and returns when they are durable or ctx is done. It is called by the
	// sending goroutine, which waits for it. Set before run.
	keep func(ctx context.Context, b *batch) error

	wake  chan struct{} // to the sending goroutine: something may be to send
	room  chan struct{} // to the reader: a batch less is ready
	dirty chan struct{} // to the checkpointer: positions moved
	freed chan struct{} // to the goroutine that replays dead letters: some of them are done
	// emptied tells who waits for memory that the stream holds nothing.
	emptied chan struct{}

	mu      sync.Mutex
	tracker *inflight.Tracker // guarded by mu, as everything below
	ready   []*batch          // in order, full ones and such that were recalled
	parked  *batch            // the batch being filled, while the reader does not touch it
	more    bool              // more may soon be appended to parked
	flights []*flight         // sent and not acknowledged, in order of number
	numbers int64
	held    int64 // bytes counted in the budget
	closed  bool
	// draining is set when nothing new is sent any more. Whoever waits for what is out waits for landed, which is closed when a batch is back.
	draining bool
	landed   chan struct{}

	unordered bool       // the sink keeps no order
	through   uint64     // events that got through
	unstored  unstored   // what comes again after a crash
	probes    bool       // whether the receiver takes the event behind those it refuses is still to be tried
	gone      *goneError // the receiver wants nothing any more

	outlet   trouble // of the dead letter that the sending goroutine hands to the outlet
	atOutlet bool    // the outlet has it, and has not answered

	replaying int                 // dead letters that are under way
	replayed  []*store.DeadLetter // those that got through
}

func newDelivery(s sink.Sink, p policy, epoch int64, tracker *inflight.Tracker, b *budget, st *stats, now func() time.Time) *delivery {
	return &delivery{
		sink: s, policy: p, epoch: epoch, tracker: tracker, budget: b, stats: st, now: now,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		freed: make(chan struct{}, 1), emptied: make(chan struct{}, 1), landed: make(chan struct{}),
		unstored: newUnstored(),
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
	if b.events == nil {
		b.seal()
	}
	d.mu.Lock()
	d.count(b, b.size())
	d.mu.Unlock()
	for {
		d.mu.Lock()
		if len(d.ready) < d.policy.readAhead {
			d.enqueue(b)
			more := len(d.ready) < d.policy.readAhead
			d.mu.Unlock()
			signal(d.wake)
			if more {
				signal(d.room) // to another one who waits
			}
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
	defer d.mu.Unlock()
	d.account(n)
}

// account is hold. The caller holds mu.
func (d *delivery) account(n int64) {
	if d.closed || n == 0 {
		return
	}
	d.held += n
	d.budget.add(n)
	if d.held == 0 {
		signal(d.emptied)
	}
}

// claim is hold if there is room for it, and says whether there was.
func (d *delivery) claim(n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || !d.budget.claim(n) {
		return false
	}
	d.held += n
	return true
}

// count corrects what is counted for a batch that is not out yet. The caller holds mu.
func (d *delivery) count(b *batch, size int64) {
	d.account(size - b.counted)
	b.counted = size
}

// memory waits until there is memory, or the stream holds none.
func (d *delivery) memory(ctx context.Context) error { return d.budget.wait(ctx, d.short, d.emptied) }

// short is told that memory is short, and returns what the stream holds. The batch being filled goes as it is: only what is
// acknowledged frees memory.
func (d *delivery) short() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parked != nil && d.more {
		d.more = false
		signal(d.wake)
	}
	if d.held == 0 {
		signal(d.emptied) // to another one who waits
	}
	return d.held
}

// enqueue registers a sealed batch behind all others. The caller holds mu.
func (d *delivery) enqueue(b *batch) {
	b.whole = &whole{seq: d.tracker.Add(b.entry), parts: 1, size: b.counted}
	d.replaying += len(b.letters)
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
	if !events {
		b.buf, b.recs = nil, nil // a stream that passes everything over holds nothing
	}
	d.count(b, b.size())
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

// pick takes the next batch that may go while so many are unstored. The caller holds mu.
func (d *delivery) pick(exposed int) (*batch, time.Duration) {
	if len(d.ready) > 0 {
		b := d.ready[0]
		if wait := b.due.Sub(d.now()); wait > 0 {
			return nil, wait
		}
		if !b.whole.sent && d.unstored.full(exposed, d.acknowledged(), d.now()) {
			return nil, forever
		}
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
	if d.unstored.full(exposed, d.acknowledged(), d.now()) {
		return nil, forever
	}
	d.parked = nil
	b.seal()
	d.count(b, b.size())
	b.whole = &whole{seq: d.tracker.Add(b.entry), parts: 1, size: b.counted}
	return b, 0
}

// errNumbersUsed ends a run, so that the next one goes on under another epoch.
var errNumbersUsed = errors.New("the batch numbers of the epoch are used up")

// usedUp says that no number is left and everything that had one is acknowledged.
func (d *delivery) usedUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.numbers == numbersPerEpoch-1 && len(d.flights) == 0
}

// goneError ends a run whose receiver wants nothing any more.
type goneError struct{ err error }

func (g *goneError) Error() string { return g.err.Error() }
func (g *goneError) Unwrap() error { return g.err }

func (d *delivery) refusal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil {
		return nil
	}
	return d.gone
}

// run sends until ctx is done, the numbers are used up or the receiver wants nothing any more. It returns store.ErrFenced if another
// run has taken the stream over.
func (d *delivery) run(ctx context.Context) error {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for ctx.Err() == nil {
		f, wait := d.next()
		switch {
		case f == nil:
		case f.aside:
			if err := d.setAside(ctx, f); err != nil && ctx.Err() == nil {
				return err
			}
			continue
		default:
			d.send(ctx, f)
			continue
		}
		if err := d.refusal(); err != nil {
			return err
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

// setAside makes a dead letter of an event, which counts as done once that is durable.
func (d *delivery) setAside(ctx context.Context, f *flight) error {
	if err := d.keep(ctx, f.batch); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	n := len(f.batch.events)
	if f.batch.letters != nil {
		d.returned(n)
	} else {
		d.stats.deadLettered.Add(uint64(n))
	}
	d.probes = true // an event that was not sent shows nothing: another one is tried
	d.leave(f)
	d.atOutlet = false
	d.land()
	signal(d.wake)
	return nil
}

// returned says that dead letters are not under way any more. The caller holds mu.
func (d *delivery) returned(n int) {
	d.replaying -= n
	signal(d.freed)
}

// close ends the run's part in what is still out: acknowledgements change nothing any more, and the memory is given back.
func (d *delivery) close() {
	d.mu.Lock()
	d.closed = true
	d.land()
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

// rows returns the positions to store, and the sequence below which all batches are stored with them.
func (d *delivery) rows(progress bool) (rows []inflight.Row, done uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tracker.Snapshot(nil, progress), d.tracker.Done()
}

// written says that rows are stored, and with them all batches below a sequence.
func (d *delivery) written(rows []inflight.Row, done uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tracker.Written(rows)
	if d.unstored.stored(done) {
		signal(d.wake)
	}
}

// position is where a listener stands: everything before it is acknowledged.
func (d *delivery) position(listener int) inflight.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tracker.Position(listener)
}

// lowest is the lowest position of some listeners below which everything is acknowledged. Those that are complete do not count.
func (d *delivery) lowest(include func(listener int, at inflight.Position) bool) (ffcapi.Cursor, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.tracker.Lowest(include)
	return at.Cursor, ok
}
