package stream

import (
	"time"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// maxSuspects bounds how many refused events in a row are passed over to find one that the receiver takes. It is small, since a receiver that
// recovers at that very moment has innocent ones set aside.
const maxSuspects = 8

// next says what to do now, or how long to wait if nothing else happens. The flight is marked as out; if it is to be set aside, that is to
// be done instead of sending it.
func (d *delivery) next() (*flight, time.Duration) {
	window, unordered := 1, false
	if w, ok := d.sink.(sink.Windowed); ok {
		window = max(1, w.Window())
	}
	if u, ok := d.sink.(sink.Unordered); ok {
		unordered = u.Unordered()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unordered = unordered
	d.unstored.limit = window + d.policy.unstored
	for {
		if d.closed || d.draining || d.gone != nil {
			return nil, forever
		}
		if f, wait, done := d.step(window); done {
			return f, wait
		}
	}
}

// step looks for what to do. done is false if it has only put things in order. The caller holds mu.
func (d *delivery) step(window int) (f *flight, wait time.Duration, done bool) {
	if d.unordered {
		return d.stepUnordered(window)
	}
	for i, f := range d.flights {
		switch {
		case !f.out:
			return d.again(i)
		case f.batch.failures > 0:
			return nil, forever, true // what is behind it waits until it got through
		}
	}
	f, wait = d.fresh(window)
	return f, wait, true
}

// stepUnordered is step for a sink that keeps no order: what failed waits for its time, and the others go on.
func (d *delivery) stepUnordered(window int) (f *flight, wait time.Duration, done bool) {
	wait = forever
	suspects := 0
	for i, f := range d.flights {
		if f.out {
			continue
		}
		g, w, done := d.retry(i)
		if g != nil || !done {
			return g, w, done
		}
		if wait = min(wait, w); f.suspect {
			suspects++
		}
	}
	var w time.Duration
	if suspects >= window && suspects == len(d.flights) {
		f, w = d.probe()
	} else {
		f, w = d.fresh(window)
	}
	return f, min(wait, w), true
}

// fresh sends the next batch, if the window has room. The caller holds mu.
func (d *delivery) fresh(window int) (*flight, time.Duration) {
	if len(d.flights) >= window || d.numbers == numbersPerEpoch-1 {
		return nil, forever
	}
	b, wait := d.pick(d.exposed())
	if b == nil {
		return nil, wait
	}
	return d.depart(b), 0
}

// again is step for a flight that failed, when order is kept: once nothing is out behind it, those are recalled, and when its time has come it goes.
func (d *delivery) again(i int) (f *flight, wait time.Duration, done bool) {
	f = d.flights[i]
	for _, g := range d.flights[i+1:] {
		if g.out {
			return nil, forever, true
		}
	}
	if f.suspect && d.through > f.batch.before {
		for _, g := range d.flights[i:] {
			g.aside = g.aside || g.suspect // an event behind them got through: they must not come after it
		}
	}
	for _, g := range d.flights[i:] {
		if g.aside {
			return d.launch(g), 0, true
		}
	}
	wait = f.batch.due.Sub(d.now())
	if !f.suspect || wait <= 0 {
		d.recall(i + 1)
		return d.retry(i)
	}
	suspects := i + 1
	for suspects < len(d.flights) && d.flights[suspects].suspect {
		suspects++
	}
	d.recall(suspects)
	if suspects-i > maxSuspects {
		return nil, wait, true
	}
	f, w := d.probe()
	return f, min(wait, w), true
}

// retry lets a flight go that failed, if its time has come. The caller holds mu.
func (d *delivery) retry(i int) (f *flight, wait time.Duration, done bool) {
	f = d.flights[i]
	f.aside = f.aside || f.suspect && d.through > f.batch.before
	switch {
	case f.aside:
		return d.launch(f), 0, true
	case f.parts != nil:
		d.flights = append(d.flights[:i], d.flights[i+1:]...)
		d.ready = append(parted(f.batch, f.parts), d.ready...)
		return nil, 0, false
	}
	if wait := f.batch.due.Sub(d.now()); wait > 0 {
		return nil, wait, true
	}
	return d.launch(f), 0, true
}

// recall takes flights back that are void, to go again under new numbers. The caller holds mu.
func (d *delivery) recall(from int) {
	behind := d.flights[from:]
	if len(behind) == 0 {
		return
	}
	recalled := make([]*batch, 0, len(behind)+len(d.ready))
	for _, f := range behind {
		if f.parts != nil {
			recalled = append(recalled, parted(f.batch, f.parts)...)
		} else {
			recalled = append(recalled, f.batch)
		}
	}
	d.ready = append(recalled, d.ready...)
	clear(behind)
	d.flights = d.flights[:from]
}

// probe sends the next event alone, to see whether the receiver takes any. The caller holds mu.
func (d *delivery) probe() (*flight, time.Duration) {
	if !d.probes || d.numbers == numbersPerEpoch-1 {
		return nil, forever
	}
	b, wait := d.pick(d.acknowledged()) // those that were refused must not keep it from going
	if b == nil {
		return nil, wait
	}
	if n := len(b.events); n > 1 {
		both := parted(b, []*batch{b.part(0), b.span(1, n)})
		b = both[0]
		d.ready = append(both[1:], d.ready...)
	}
	d.probes = false
	return d.depart(b), 0
}

// depart gives a batch a number. The caller holds mu.
func (d *delivery) depart(b *batch) *flight {
	d.numbers++
	f := &flight{batch: b, number: d.epoch*numbersPerEpoch + d.numbers}
	d.flights = append(d.flights, f)
	d.unstored.add(b.whole)
	return d.launch(f)
}

// launch marks a flight as out. The caller holds mu.
func (d *delivery) launch(f *flight) *flight {
	f.out, f.handed, f.void, f.suspect = true, false, false, false
	if f.batch.sent.IsZero() {
		f.batch.sent = d.now()
	}
	if f.aside || f.batch.poison != nil {
		return f // it is not sent
	}
	f.batch.sends++
	if f.batch.sends > 1 {
		d.stats.redelivered.Add(uint64(len(f.batch.events)))
	}
	return f
}
