package stream

import (
	"maps"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// whole is a batch as it was assembled. What it is cut into shares its place in the tracker: positions move when all of it is done.
type whole struct {
	seq   uint64 // in the tracker
	parts int    // that are not done
	size  int64  // bytes counted in the budget
	sent  bool   // it, or a part of it
}

// part makes a batch of some events of another one, with bytes of its own, so that those of the rest can go.
func (b *batch) part(events ...int) *batch {
	size := 1
	for _, i := range events {
		size += len(b.events[i].JSON) + 1
	}
	p := &batch{
		buf: append(make([]byte, 0, size), '['), events: make([]sink.Event, 0, len(events)),
		born: b.born, whole: b.whole, sends: b.sends, sent: b.sent, trouble: b.trouble,
	}
	for n, i := range events {
		if n > 0 {
			p.buf = append(p.buf, ',')
		}
		e := &b.events[i]
		start := len(p.buf)
		p.buf = append(p.buf, e.JSON...)
		p.events = append(p.events, sink.Event{ID: strings.Clone(e.ID), Listener: e.Listener, Block: e.Block, JSON: p.buf[start:len(p.buf):len(p.buf)]})
		if b.letters != nil {
			p.letters = append(p.letters, b.letters[i])
		}
	}
	p.buf = append(p.buf, ']')
	return p
}

// span is part for the events from one index up to another.
func (b *batch) span(from, to int) *batch {
	events := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		events = append(events, i)
	}
	return b.part(events...)
}

// halves cuts a batch of several events in two.
func (b *batch) halves() []*batch {
	n := len(b.events)
	return []*batch{b.span(0, n/2), b.span(n/2, n)}
}

// parted puts parts in the place of their batch. The caller holds delivery.mu.
func parted(b *batch, parts []*batch) []*batch {
	b.whole.parts += len(parts) - 1
	return parts
}

// partial says which events failed, in their order. ok is false if the sink speaks of events that the batch does not have.
func (b *batch) partial(p *sink.Partial) (failed []int, ok bool) {
	failed = slices.Sorted(maps.Keys(p.Failed))
	n := len(failed)
	return failed, n > 0 && failed[0] >= 0 && failed[n-1] < len(b.events)
}
