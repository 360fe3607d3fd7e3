package stream

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// modelEvent is an event, or a block, as a listener is to get it.
type modelEvent struct {
	at ffcapi.Cursor
	id string
}

// trial draws what is special about a world with trouble.
func (w *world) trial(t *rapid.T, body *apitypes.EventStream) {
	if rapid.Bool().Draw(t, "reorganised") {
		w.finality, w.confirmations = ffcapi.Confirmations, rapid.IntRange(0, 3).Draw(t, "confirmations")
		w.chain.finality = w.finality
		w.opts.UnstableHead = rapid.IntRange(1, 5).Draw(t, "unstable head")
		w.chain.window = rapid.SampledFrom([]int{0, 4}).Draw(t, "known blocks")
	}
	if rapid.Bool().Draw(t, "skip") {
		body.ErrorHandling = ptr(apitypes.ErrorHandlingSkip)
	}
}

// matching are the events of a listener, on the chain as it is now.
func (w *world) matching(l *modelListener) []modelEvent {
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	var list []modelEvent
	add := func(at ffcapi.Cursor, position string, b *fakeBlock) {
		if at.Before(l.start) || at.Block > l.end {
			return
		}
		id := "fake::" + position
		if w.finality == ffcapi.Confirmations {
			id += "/" + b.ref.Hash[len("0x"):][:8]
		}
		list = append(list, modelEvent{at, id})
	}
	for _, b := range w.chain.blocks {
		if l.event == everyBlock {
			add(ffcapi.BlockStart(b.ref.Number), fmt.Sprintf("%012d", b.ref.Number), b)
		}
		for tx, name := range b.events {
			if name == l.event {
				at := ffcapi.Cursor{Block: b.ref.Number, Tx: uint64(tx)}
				add(at, at.String(), b)
			}
		}
	}
	return list
}

// isCanonical says whether a checkpoint stands on the chain as it is now. One that names no block claims so.
func (w *world) isCanonical(ref ffcapi.BlockRef) bool {
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	return ref.IsZero() || ref.Number < uint64(len(w.chain.blocks)) && w.chain.blocks[ref.Number].ref == ref
}

func (w *world) isSafe(at ffcapi.Cursor) bool {
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	return w.chain.safe >= 0 && at.Block <= uint64(w.chain.safe)
}

// setAside is called by the store for events that become dead letters.
func (w *world) setAside(letters []*store.DeadLetter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, letter := range letters {
		for _, l := range w.listeners {
			if l.id == letter.Listener {
				l.acked[letter.Event] = true
			}
		}
	}
}

func drawBlock(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"A", "B", "C"}), 0, 6).Draw(t, "events")
}

// grow appends blocks to the chain until it has so many, and at least one. The caller holds the chain's mu, as set does.
func (w *world) grow(c *fakeChain, length int, events ...string) {
	for first := true; first || len(c.blocks) < length; first = false {
		c.appendLocked(string(rune('a'+w.fork)), events)
	}
	if safe := len(c.blocks) - 1 - w.confirmations; safe >= 0 {
		c.safe = safe
	}
}

func (w *world) mine(t *rapid.T) {
	events := drawBlock(t)
	w.chain.set(func(c *fakeChain) { w.grow(c, 0, events...) })
}

// reorganise replaces the newest blocks, however many have been final.
func (w *world) reorganise(t *rapid.T) {
	if w.finality == ffcapi.Instant || len(w.chain.blocks) < 2 || w.fork > 'z'-'a' {
		t.Skip("it is final")
	}
	w.settle(t)
	from := rapid.IntRange(1, len(w.chain.blocks)-1).Draw(t, "from")
	longer := rapid.IntRange(0, 2).Draw(t, "longer")
	events := drawBlock(t)
	w.chain.set(func(c *fakeChain) {
		w.chains[w.fork] = slices.Clone(c.blocks)
		w.fork++
		length := len(c.blocks) + longer
		c.blocks = slices.Clone(c.blocks[:from])
		w.grow(c, length, events...)
	})
}

// goBack lets a chain return that was replaced.
func (w *world) goBack(t *rapid.T) {
	if len(w.chains) == 0 || w.fork > 'z'-'a' {
		t.Skip("there is none")
	}
	w.settle(t)
	which := rapid.SampledFrom(slices.Sorted(maps.Keys(w.chains))).Draw(t, "chain")
	w.chain.set(func(c *fakeChain) {
		old := w.chains[which]
		w.chains[w.fork] = slices.Clone(c.blocks)
		w.fork++
		length := len(c.blocks)
		c.blocks = slices.Clone(old)
		w.grow(c, length)
	})
}

// someFail finishes one of the open batches, of which some events failed.
func (w *world) someFail(t *rapid.T) {
	w.settle(t)
	if len(w.open) == 0 {
		t.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.open)-1).Draw(t, "which")
	d := w.open[i]
	p := &sink.Partial{Failed: make(map[int]error)}
	for n := range d.Events {
		if n == 0 || rapid.Bool().Draw(t, "fails") {
			p.Failed[n] = rapid.SampledFrom([]error{errTest, sink.Permanent(errTest)}).Draw(t, "error")
		}
	}
	w.open = slices.Delete(w.open, i, i+1)
	w.mu.Lock()
	for n := range d.Events {
		if _, failed := p.Failed[n]; !failed {
			w.ackOne(t, &d.Events[n])
		}
	}
	w.mu.Unlock()
	d.finish(p)
}
