package stream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// nature is what a receiver makes of an event, whenever it gets it.
type nature int

const (
	good nature = iota
	hated
	refused
	evil // it is known before it is sent
)

// ward is a delivery, a receiver that is true to the natures of events, and what the model knows of them.
type ward struct {
	*lane
	skip, unordered bool
	natures         []nature
	acked, aside    []bool
	open            []*delivered
	content         map[int64]string
}

// TestFailureModel drives a delivery with random batches, refusals of whole batches and of single events, failures that say nothing, absence and
// the passing of time, and checks at every step:
//
//   - an event is sent only when each that was before it is done or in flight before it, unless it is refused and waits for evidence;
//   - what is set aside is what the receiver refuses, once, and only with skip;
//   - no position passes an event that is open;
//   - a batch number names one content;
//
// and at the end that every event is acknowledged or set aside, exactly as its nature says.
func TestFailureModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(inBubble{t}, func(t *rapid.T) {
			w := newWard(t)
			defer w.quit()
			t.Repeat(map[string]func(*rapid.T){
				"push":      w.put,
				"reply":     w.reply,
				"reply too": w.reply,
				"fail":      func(t *rapid.T) { w.finish(t, errSplit) },
				"not now":   func(t *rapid.T) { w.finish(t, &sink.RetryAfter{After: 3 * time.Second, Err: errNack}) },
				"nobody":    func(t *rapid.T) { w.finish(t, sink.ErrNobody) },
				"wait":      func(t *rapid.T) { w.wait(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond) },
				"":          w.check,
			})
			w.end(t)
		})
	})
}

func newWard(t *rapid.T) *ward {
	w := &ward{
		skip: rapid.IntRange(0, 3).Draw(t, "skip") > 0, unordered: rapid.IntRange(0, 3).Draw(t, "unordered") == 0, content: make(map[int64]string),
	}
	out := newFakeSink(rapid.IntRange(1, 4).Draw(t, "window"))
	var s sink.Sink = out
	if w.unordered {
		s = anyOrder{out}
	}
	w.lane = newLane(t, s, func(p *policy) {
		p.skip, p.readAhead = w.skip, 1000
		p.retryTimeout = rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "retry")
		p.blockedDelay = 2 * time.Second // many histories must fit into a day
	})
	w.sink = out
	return w
}

// put pushes a batch, or one of an event that is known to be undeliverable.
func (w *ward) put(t *rapid.T) {
	if rapid.IntRange(0, 7).Draw(t, "evil") == 0 {
		b := w.batch(w.event(evil))
		b.poison = errTest
		require.NoError(t, w.d.push(t.Context(), b))
		return
	}
	var names []string
	for _, n := range rapid.SliceOfN(rapid.SampledFrom([]nature{good, good, good, hated, refused}), 1, 8).Draw(t, "natures") {
		names = append(names, w.event(n))
	}
	require.NoError(t, w.d.push(t.Context(), w.batch(names...)))
}

func (w *ward) event(n nature) string {
	w.natures, w.acked, w.aside = append(w.natures, n), append(w.acked, false), append(w.aside, false)
	return fmt.Sprint(len(w.natures) - 1)
}

func index(e *sink.Event) (i int) {
	if _, err := fmt.Sscan(e.ID, &i); err != nil {
		panic(err)
	}
	return i
}

// check looks at what was sent and set aside since it looked last.
func (w *ward) check(t *rapid.T) {
	w.pump()
	for _, k := range w.set() {
		name, kind, _ := strings.Cut(k, " ")
		i := index(&sink.Event{ID: name})
		require.True(t, w.skip && !w.aside[i] && !w.acked[i], "event %d is set aside", i)
		require.Equal(t, map[nature]string{hated: "permanent", refused: "refused", evil: "expression"}[w.natures[i]], kind, "event %d", i)
		w.aside[i] = true
	}
	w.open = slices.DeleteFunc(w.open, func(d *delivered) bool { return d.ctx.Err() != nil })
	for _, d := range w.there {
		before, seen := w.content[d.Number]
		require.True(t, !seen || before == string(d.Body), "number %d names two contents", d.Number)
		require.NotContains(t, called(d.Batch), "malformed")
		w.content[d.Number] = string(d.Body)
		w.open = append(w.open, d)
		for at := range d.Events {
			i := index(&d.Events[at])
			require.False(t, w.acked[i] || w.aside[i] || w.natures[i] == evil, "event %d comes again", i)
			for before := range i {
				require.True(t, w.unordered || w.passed(before) || w.under(before, i), "event %d comes before %d", i, before)
			}
		}
	}
	w.there = nil
	for i := range w.done() {
		require.True(t, w.acked[i] || w.aside[i], "the position passes event %d", i)
	}
}

// passed says that a later event may be sent, because this one is done, or is refused and waits for evidence.
func (w *ward) passed(i int) bool {
	return w.acked[i] || w.aside[i] || w.skip && w.natures[i] == refused
}

// under says that an event is in flight before another one.
func (w *ward) under(i, before int) bool {
	for _, d := range w.open {
		for at := range d.Events {
			switch index(&d.Events[at]) {
			case i:
				return true
			case before:
				return false
			}
		}
	}
	return false
}

// pick takes one of the batches that are at the receiver.
func (w *ward) pick(t *rapid.T) *delivered {
	w.check(t)
	if len(w.open) == 0 {
		t.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.open)-1).Draw(t, "which")
	d := w.open[i]
	w.open = slices.Delete(w.open, i, i+1)
	return d
}

// finish answers with an error that says nothing about the events.
func (w *ward) finish(t *rapid.T, err error) { w.pick(t).finish(err) }

// reply answers as the natures of the events say: for all of them, or one by one.
func (w *ward) reply(t *rapid.T) {
	w.answer(w.pick(t), rapid.Bool().Draw(t, "one by one"))
}

func (w *ward) answer(d *delivered, single bool) {
	failed := make(map[int]error)
	var whole error
	for at := range d.Events {
		switch w.natures[index(&d.Events[at])] {
		case hated:
			failed[at], whole = errNo, errNo
		case refused:
			if failed[at] = errNack; whole == nil {
				whole = errNack
			}
		case good, evil:
		}
	}
	for at := range d.Events {
		if _, bad := failed[at]; whole == nil || single && !bad {
			w.acked[index(&d.Events[at])] = true
		}
	}
	switch {
	case whole == nil:
		d.finish(nil)
	case single:
		d.finish(&sink.Partial{Failed: failed})
	default:
		d.finish(whole)
	}
}

// end lets everything come to an end. With block, the receiver changes its mind.
func (w *ward) end(t *rapid.T) {
	if !w.skip {
		for i := range w.natures {
			if w.natures[i] != evil {
				w.natures[i] = good
			}
		}
	}
	// What is refused at the very end is set aside only when something else gets through.
	require.NoError(t, w.d.push(t.Context(), w.batch(w.event(good))))
	for idle := 0; idle < 20; {
		idle++
		w.wait(2 * time.Second)
		w.check(t)
		for len(w.open) > 0 {
			idle = 0
			d := w.open[0]
			w.open = w.open[1:]
			w.answer(d, false)
			w.check(t)
		}
	}
	stuck := len(w.natures) // from here on the stream is blocked
	if i := slices.Index(w.natures, evil); !w.skip && i >= 0 {
		stuck = i
	}
	for i, n := range w.natures[:stuck] {
		require.Equal(t, n == good, w.acked[i], "event %d", i)
		require.Equal(t, n != good, w.aside[i], "event %d", i)
	}
	if stuck == len(w.natures) {
		require.Equal(t, stuck, w.done())
		require.Zero(t, w.d.holding())
	}
}
