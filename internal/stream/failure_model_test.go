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
	doubted         []bool // the receiver has refused it, and may refuse everything
	open            []*delivered
	content         map[int64]string

	window, unstored int
	batches          [][2]int // the events of each batch as it was put in: the first, and the one behind the last
}

// TestFailureModel drives a delivery with random batches, refusals of whole batches and of single events, failures that say nothing, absence and
// the passing of time, and checks at every step:
//
//   - an event is sent only when each that was before it is done or in flight before it, unless it is refused and waits for evidence;
//   - what is set aside is what the receiver refuses, once, and only with skip;
//   - no position passes an event that is open;
//   - a batch number names one content;
//   - no more batches than the window and what is allowed besides are sent and not stored; one more while the receiver refuses an event that
//     waits for evidence;
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
				"store":     func(t *rapid.T) { w.leave(rapid.Bool().Draw(t, "away")) },
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
		window: rapid.IntRange(1, 4).Draw(t, "window"), unstored: rapid.IntRange(0, 3).Draw(t, "unstored"),
	}
	out := newFakeSink(w.window)
	var s sink.Sink = out
	if w.unordered {
		s = anyOrder{out}
	}
	w.lane = newLane(t, s, func(p *policy) {
		p.skip, p.readAhead, p.unstored = w.skip, 1000, w.unstored
		p.retryTimeout = rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "retry")
		p.blockedDelay = 2 * time.Second // many histories must fit into a day
	})
	w.sink = out
	return w
}

// put pushes a batch, or one of an event that is known to be undeliverable.
func (w *ward) put(t *rapid.T) {
	first := len(w.natures)
	defer func() { w.batches = append(w.batches, [2]int{first, len(w.natures)}) }()
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
	w.natures, w.acked, w.aside, w.doubted = append(w.natures, n), append(w.acked, false), append(w.aside, false), append(w.doubted, false)
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
	if !w.unordered {
		sure, doubted := w.exposed()
		require.LessOrEqual(t, sure, w.window+w.unstored, "window %d, unstored %d", w.window, w.unstored)
		require.LessOrEqual(t, sure+doubted, w.window+w.unstored+1)
	}
}

// exposed is how many batches come again after a crash, and of how many more only a part: the rest is in doubt.
func (w *ward) exposed() (sure, doubted int) {
	for _, b := range w.batches {
		out, doubt := false, false
		for i := max(b[0], w.safe); i < b[1]; i++ {
			out = out || w.acked[i] || w.under(i, -1)
			doubt = doubt || w.skip && w.doubted[i] && !w.acked[i] && !w.aside[i]
		}
		switch {
		case out && doubt:
			doubted++
		case out:
			sure++
		}
	}
	return sure, doubted
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
			w.doubted[index(&d.Events[at])] = single || len(d.Events) == 1
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
	w.leave(false)
	require.NoError(t, w.d.push(t.Context(), w.batch(w.event(good))))
	for idle, rounds := 0, 1; idle < 20; rounds++ {
		require.Less(t, rounds, 1000, "it comes to no end")
		if rounds%50 == 0 { // a sink that keeps no order may have taken the last one before the refusal
			require.NoError(t, w.d.push(t.Context(), w.batch(w.event(good))))
		}
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
