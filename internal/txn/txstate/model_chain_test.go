package txstate_test

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// include puts an attempt that is out into a block.
func (w *world) include(t *rapid.T) {
	var able []int
	for n := range len(w.durable.Attempts) {
		if w.includable(n + 1) {
			able = append(able, n+1)
		}
	}
	if len(able) == 0 {
		t.Skip("nothing is out")
	}
	n := rapid.SampledFrom(able).Draw(t, "attempt")
	if w.terminal != "" {
		t.Fatalf("attempt %d gets on the chain after the transaction was %s", n, w.terminal)
	}
	if a := w.durable.Attempts[n-1]; a.State == store.AttemptDone {
		t.Fatalf("attempt %d gets on the chain after it was found dead: %s", n, a.Dead)
	}
	w.height++
	o := &store.Outcome{Block: ffcapi.BlockRef{Number: w.height, Hash: fmt.Sprintf("b%d", w.height)}, Success: rapid.Bool().Draw(t, "success")}
	o.Retryable = !o.Success && rapid.Bool().Draw(t, "retryable")
	o.Final = rapid.Bool().Draw(t, "final")
	w.blocks[n], w.seen[n] = o, true
	w.apply(t, n, o)
}

// includable: bytes are out, no block holds them or others with their nonce, and it is not too late for them.
func (w *world) includable(n int) bool {
	a := w.durable.Attempts[n-1]
	if a.Nonce != nil && w.used(*a.Nonce) {
		return false
	}
	return w.loose[n] && w.blocks[n] == nil && (a.Expires == 0 || w.height < a.Expires)
}

// apply writes an outcome the way the store does, under the feet of the process.
func (w *world) apply(t *rapid.T, n int, o *store.Outcome) {
	attempts := make([]*store.Attempt, len(w.durable.Attempts))
	for i := range attempts {
		a := w.durable.Attempts[i]
		attempts[i] = &a
	}
	attempts[n-1].Outcome = nil
	if o != nil {
		copied := *o
		attempts[n-1].Outcome = &copied
		if o.By == "" {
			attempts[n-1].Hash = fmt.Sprintf("h%d", n)
		}
	}
	tx := w.durable.Tx
	if !tx.Status.Terminal() {
		if u := txstate.Rule(&tx, attempts, n-1); u != nil {
			w.durable = w.stored(t, u)
		}
	}
	w.reload()
}

func (w *world) finalise(t *rapid.T) {
	if w.finaliseStranger(t) {
		return
	}
	for n, o := range w.blocks {
		if !o.Final {
			final := *o
			final.Final = true
			w.blocks[n] = &final
			w.apply(t, n, &final)
			return
		}
	}
	t.Skip("nothing to finalise")
}

func (w *world) undo(t *rapid.T) {
	if w.undoStranger(t) {
		return
	}
	for n, o := range w.blocks {
		if !o.Final {
			delete(w.blocks, n)
			w.apply(t, n, nil)
			return
		}
	}
	t.Skip("nothing to undo")
}

// advance makes the chain longer and final.
func (w *world) advance(t *rapid.T) {
	for _, o := range w.blocks {
		if !o.Final {
			t.Skip("an outcome is not final")
		}
	}
	w.height += rapid.Uint64Range(1, 5).Draw(t, "blocks")
	w.step(t, txstate.Passed{Block: w.height, Now: w.now})
}
