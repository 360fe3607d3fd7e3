package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// flight is one batch under one number.
type flight struct {
	batch  *batch
	number int64

	// Guarded by delivery.mu.
	out     bool // a Send is under way: its done has not been called
	handed  bool // the sink has it: it does not wait for a receiver
	void    bool // a batch before it failed: whatever done says, it goes again
	cancel  context.CancelFunc
	suspect bool     // see verdict
	aside   bool     // see verdict
	parts   []*batch // what goes again in its place; nil: itself
}

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
		began := d.now()
		if err := w.Wait(ctx); err != nil {
			done(sink.ErrNobody)
			return
		}
		d.waited(f, began)
	}
	if !d.handOver(f) {
		done(sink.ErrNobody)
		return
	}
	d.sink.Send(ctx, b, done)
}

// waited leaves the time in which there was no receiver out of a batch's account.
func (d *delivery) waited(f *flight, since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.batch.failures > 0 {
		f.batch.absent(d.now().Sub(since))
	}
}

// done is told what became of a flight.
func (d *delivery) done(f *flight, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.out = false
	d.land()
	if d.closed {
		return
	}
	switch {
	case f.void:
	case err == nil:
		n := len(f.batch.events)
		d.accepted(n)
		d.leave(f)
		if f.batch.letters != nil {
			d.replayed = append(d.replayed, f.batch.letters...)
			d.returned(n)
		}
	default:
		d.failed(f, err)
	}
	signal(d.wake)
}

// accepted counts events that got through. The caller holds mu.
func (d *delivery) accepted(n int) {
	d.through += uint64(n)
	d.stats.mute.Store(false)
	d.stats.delivered.Add(uint64(n))
}

// leave takes out a flight that is done. The caller holds mu.
func (d *delivery) leave(f *flight) {
	for i, g := range d.flights {
		if g == f {
			d.flights = append(d.flights[:i], d.flights[i+1:]...)
			break
		}
	}
	w := f.batch.whole
	if w.parts--; w.parts > 0 {
		return
	}
	d.tracker.Ack(w.seq)
	d.settle() // else blocks read meanwhile would count as not done until the next one comes
	d.account(-w.size)
	signal(d.dirty)
}

// failed says what becomes of a flight, and makes void what was sent after it. The caller holds mu.
func (d *delivery) failed(f *flight, err error) {
	now := d.now()
	b := f.batch
	var p *sink.Partial
	var v verdict
	switch {
	case errors.Is(err, sink.ErrNobody):
		b.due = now
		if _, waits := d.sink.(sink.Waiter); !waits {
			b.due = now.Add(nobodyDelay)
		}
	case errors.As(err, &p):
		v, err = d.partly(f, p, now)
		d.stats.fail(fmt.Errorf("batch %d, attempt %d: %w", f.number, b.sends, err), now)
	default:
		v = d.verdict(b, err, now)
		d.stats.fail(fmt.Errorf("batch %d, attempt %d: %w", f.number, b.sends, err), now)
	}
	switch v {
	case again:
	case cut:
		if f.parts == nil { // else it is known which events failed
			f.parts = b.halves()
		}
	case suspect:
		f.suspect, d.probes = true, true
	case aside:
		f.aside = true
	case gone:
		d.gone = &goneError{err}
	}
	d.voidBehind(f)
}

// verdict notes the failure of a batch and says what becomes of it. The caller holds mu.
func (d *delivery) verdict(b *batch, err error, now time.Time) verdict {
	b.count(err, now, d.through)
	b.delay(&d.policy, err, now, b.poison != nil)
	c := b.circumstances(&d.policy, now, d.through)
	c.events, c.replay = len(b.events), b.letters != nil
	v := judge(err, c)
	switch v {
	case cut, aside:
		b.due, b.blocked = now, false
	case suspect:
		b.due, b.blocked = now.Add(d.policy.blockedDelay), true
	case again, gone:
	}
	return v
}

// partly is verdict for a batch of which some events failed: those go again, but for those that are to be set aside. The caller holds mu.
func (d *delivery) partly(f *flight, p *sink.Partial, now time.Time) (verdict, error) {
	b := f.batch
	failed, ok := b.partial(p)
	if !ok {
		err := fmt.Errorf("the sink speaks of events that the batch does not have: %w", p)
		return d.verdict(b, err, now), err
	}
	if len(b.events) == 1 {
		err := p.Failed[0]
		return d.verdict(b, err, now), err
	}
	through := d.through
	d.accepted(len(b.events) - len(failed)) // what was accepted at the same time speaks against those that were not
	if b.letters != nil {
		for i, l := range b.letters {
			if _, failed := p.Failed[i]; !failed {
				d.replayed = append(d.replayed, l)
			}
		}
		d.returned(len(b.letters) - len(failed))
	}
	worst := p.Failed[failed[0]]
	for _, i := range failed {
		if err := p.Failed[i]; harder(err, worst) {
			worst = err
		}
	}
	b.count(worst, now, through)
	b.delay(&d.policy, worst, now, false)
	c := b.circumstances(&d.policy, now, d.through)
	c.events, c.replay = 1, b.letters != nil
	return f.divide(failed, p, c, now), worst
}

// divide makes parts of the events that failed: those that are to be set aside are alone, the others go together as far as the order allows. The
// caller holds mu.
func (f *flight) divide(failed []int, p *sink.Partial, c circumstances, now time.Time) verdict {
	var together []int
	flush := func() {
		if len(together) > 0 {
			f.parts = append(f.parts, f.batch.part(together...))
		}
		together = nil
	}
	for _, i := range failed {
		err := p.Failed[i]
		switch judge(err, c) {
		case gone:
			f.parts = nil
			return gone
		case aside:
			flush()
			one := f.batch.part(i)
			one.poison, one.due = err, now
			f.parts = append(f.parts, one)
		case again, cut, suspect:
			together = append(together, i)
		}
	}
	flush()
	return cut
}

// harder says which of two errors decides about all that failed together: the receiver is gone, or names a time, or refuses.
func harder(err, than error) bool {
	if sink.IsGone(err) || sink.IsGone(than) {
		return !sink.IsGone(than)
	}
	var a, b *sink.RetryAfter
	switch later, named := errors.As(err, &a), errors.As(than, &b); {
	case later && named:
		return a.After > b.After
	case later != named:
		return later
	default:
		return sink.IsRefused(err) && !sink.IsRefused(than)
	}
}

// voidBehind takes back what was sent after a flight that failed. A sink that keeps no order goes on with it, unless it is over. The
// caller holds mu.
func (d *delivery) voidBehind(f *flight) {
	if d.unordered && d.gone == nil {
		return
	}
	behind := d.gone != nil
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

// sending is what the status shows.
type sending struct {
	inFlight int
	unstored int       // acknowledged, but for the store
	oldest   time.Time // when what is unacknowledged was sent first; zero: nothing is
	blocked  bool
	failing  time.Time // when the batch or the dead letter that blocks failed first, or began to wait for the store
}

func (d *delivery) state() sending {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := sending{inFlight: len(d.flights), unstored: d.acknowledged()}
	look := func(b *batch) {
		if s.oldest.IsZero() || b.sent.Before(s.oldest) {
			s.oldest = b.sent
		}
		if b.blocked && !s.blocked {
			s.blocked, s.failing = true, b.first
		}
	}
	for _, f := range d.flights {
		look(f.batch)
	}
	if len(d.ready) > 0 && d.ready[0].failures > 0 {
		look(d.ready[0])
	}
	if d.outlet.blocked && !s.blocked {
		s.blocked, s.failing = true, d.outlet.first
	}
	if since := d.unstored.since; !s.blocked && !since.IsZero() && d.now().Sub(since) >= storePatience {
		s.blocked, s.failing = true, since
	}
	return s
}
