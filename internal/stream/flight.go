package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// flight is one batch under one number.
type flight struct {
	batch  *batch
	number int64

	// Guarded by delivery.mu.
	out      bool // a Send is under way: its done has not been called
	handed   bool // the sink has it: it does not wait for a receiver
	void     bool // a batch before it failed: whatever done says, it goes again
	cancel   context.CancelFunc
	failures int       // in a row; a missing receiver is none
	first    time.Time // of the first failure
	due      time.Time // when it goes again
	nobody   bool      // it came back because there was no receiver
	blocked  bool      // the retry timeout has passed
}

// sendBackoff spaces the attempts of a batch inside the retry timeout.
var sendBackoff = retry.Backoff{Initial: 250 * time.Millisecond, Max: 30 * time.Second, Factor: 2, Jitter: true}

// nobodyDelay keeps a sink that cannot say when a receiver comes from being asked in a loop.
const nobodyDelay = 100 * time.Millisecond

// maxRetryAfter bounds what a receiver may ask for: a mistaken header must not end a stream.
const maxRetryAfter = time.Hour

// send hands a flight to the sink.
func (d *delivery) send(ctx context.Context, f *flight) {
	ctx, cancel := context.WithCancel(ctx)
	b := &sink.Batch{Number: f.number, Events: f.batch.events, Body: f.batch.buf}
	d.mu.Lock()
	f.cancel = cancel
	if f.void || d.closed {
		cancel()
	}
	b.Attempt = f.batch.sends
	d.mu.Unlock()
	called := false // guarded by d.mu
	done := func(err error) {
		d.mu.Lock()
		again := called
		called = true
		d.mu.Unlock()
		if !again {
			cancel()
			d.done(f, err)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			done(fmt.Errorf("sink panicked: %v", p))
		}
	}()
	if f.batch.poison != nil {
		done(sink.Permanent(f.batch.poison))
		return
	}
	if w, ok := d.sink.(sink.Waiter); ok {
		if err := w.Wait(ctx); err != nil {
			done(sink.ErrNobody)
			return
		}
	}
	if !d.handOver(f) {
		done(sink.ErrNobody)
		return
	}
	d.sink.Send(ctx, b, done)
}

// done is told what became of a flight.
func (d *delivery) done(f *flight, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.out = false
	signal(d.landed)
	if d.closed {
		return
	}
	switch {
	case f.void:
	case err == nil:
		d.acked(f)
		signal(d.dirty)
	default:
		d.failed(f, err)
	}
	signal(d.wake)
}

// acked takes a flight out. The caller holds mu.
func (d *delivery) acked(f *flight) {
	for i, g := range d.flights {
		if g == f {
			d.flights = append(d.flights[:i], d.flights[i+1:]...)
			break
		}
	}
	d.tracker.Ack(f.batch.seq)
	d.settle() // else blocks read meanwhile would count as not done until the next one comes
	d.stats.delivered.Add(uint64(len(f.batch.events)))
	d.stats.mute.Store(false)
	n := f.batch.size()
	d.held -= n
	d.budget.add(-n)
}

// failed says when a flight goes again, and makes void what was sent after it. The caller holds mu.
func (d *delivery) failed(f *flight, err error) {
	now := d.now()
	f.nobody = errors.Is(err, sink.ErrNobody)
	if f.nobody {
		f.due = now
		if _, waits := d.sink.(sink.Waiter); !waits {
			f.due = now.Add(nobodyDelay)
		}
	} else {
		if f.failures++; f.failures == 1 {
			f.first = now
		}
		f.due = now.Add(d.delay(f, err, now))
		d.stats.fail(fmt.Errorf("batch %d, attempt %d: %w", f.number, f.batch.sends, err), now)
	}
	behind := false
	for _, g := range d.flights {
		if behind && g.out {
			g.void = true
			if g.cancel != nil { // else send finds it void
				g.cancel()
			}
		}
		behind = behind || g == f
	}
}

func (d *delivery) delay(f *flight, err error, now time.Time) time.Duration {
	var after *sink.RetryAfter
	f.blocked = now.Sub(f.first) >= d.policy.retryTimeout || f.batch.poison != nil
	switch {
	case errors.As(err, &after) && after.After > 0:
		return min(after.After, maxRetryAfter)
	case f.blocked:
		return d.policy.blockedDelay
	default:
		return sendBackoff.Delay(f.failures, nil)
	}
}

// sending is what the status shows.
type sending struct {
	inFlight int
	oldest   time.Time // when what is unacknowledged was sent first; zero: nothing is
	blocked  bool
	failing  time.Time // when the batch that blocks failed first
}

func (d *delivery) state() sending {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := sending{inFlight: len(d.flights)}
	for _, f := range d.flights {
		if s.oldest.IsZero() || f.batch.sent.Before(s.oldest) {
			s.oldest = f.batch.sent
		}
		if f.blocked && !s.blocked {
			s.blocked, s.failing = true, f.first
		}
	}
	return s
}
