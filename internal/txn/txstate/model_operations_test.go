package txstate_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// firstNonce is the nonce of an accepted transaction.
const firstNonce = 7

// operate applies an operation to what is stored, beside the process, which then hears that somebody else was there.
func (w *world) operate(t *rapid.T, in txstate.Input) txstate.Effects {
	s := txstate.State{Generation: w.state.Generation}
	s = s.Reload(&w.durable.Tx, pointers(w.durable.Attempts))
	next, e := txstate.Step(s, in)
	u := e.Update(&next)
	if u == nil {
		return e
	}
	if e.Refused != nil {
		t.Fatalf("refused with %v, and written", e.Refused)
	}
	if n := len(s.Attempts); w.state.Sending && len(next.Attempts) > n && s.Attempts[n-1].State != store.AttemptDone {
		t.Fatalf("an attempt is replaced while it is being sent")
	}
	w.durable = w.stored(t, u)
	w.reload()
	return e
}

func pointers(attempts []store.Attempt) []*store.Attempt {
	all := make([]*store.Attempt, len(attempts))
	for i := range attempts {
		a := attempts[i]
		all[i] = &a
	}
	return all
}

func (w *world) suspend(t *rapid.T) { w.operate(t, txstate.Suspend{Now: w.now}) }

func (w *world) resume(t *rapid.T) { w.operate(t, txstate.Resume{Now: w.now}) }

func (w *world) tryAgain(t *rapid.T) { w.operate(t, txstate.TryAgain{Now: w.now}) }

// cancel also checks that what may be out is not cancelled.
func (w *world) cancel(t *rapid.T) {
	in := txstate.Cancel{Now: w.now}
	before := w.durable.Tx
	e := w.operate(t, in)
	if e.Do == txstate.UseUp {
		if *w.durable.Tx.Nonce+1 == w.next && rapid.Bool().Draw(t, "give back") {
			in.GiveBack = true
		} else {
			a := w.fresh(t)
			in.Attempt, w.cancels = &a, a.Number
		}
		e = w.operate(t, in)
	}
	if e.Write && w.durable.Tx.Sub == store.SubCancelled && before.Sub != store.SubCancelled {
		w.nothingIsOut(t)
	}
}

func (w *world) patch(t *rapid.T) {
	if w.operate(t, txstate.Patch{Attempt: w.fresh(t), Request: json.RawMessage(`{}`), Now: w.now}).Write {
		w.nothingIsOut(t)
	}
}

func (w *world) fresh(_ *rapid.T) store.Attempt {
	return store.Attempt{Number: len(w.durable.Attempts) + 1, Hash: fmt.Sprintf("h%d", len(w.durable.Attempts)+1)}
}

func (w *world) nothingIsOut(t *rapid.T) {
	for n := range w.durable.Attempts {
		if w.includable(n + 1) {
			t.Fatalf("attempt %d is out", n+1)
		}
	}
}

// foundAgain tells the process of an outcome that the store has long applied, as a look at a receipt does.
func (w *world) foundAgain(t *rapid.T) {
	for _, n := range slices.Sorted(maps.Keys(w.blocks)) {
		if o := w.blocks[n]; o.Final && rapid.Bool().Draw(t, "this one") {
			w.step(t, txstate.Found{Attempt: n, Outcome: *o, Now: w.now})
			return
		}
	}
	t.Skip("nothing is final")
}

// stranger uses the transaction's nonce.
func (w *world) stranger(t *rapid.T) {
	if w.durable.Tx.Nonce == nil || w.used(*w.durable.Tx.Nonce) || w.terminal != "" {
		t.Skip("there is no nonce to use")
	}
	nonce := *w.durable.Tx.Nonce
	w.height++
	o := &store.Outcome{
		Block: ffcapi.BlockRef{Number: w.height, Hash: fmt.Sprintf("b%d", w.height)}, By: "stranger", Final: rapid.Bool().Draw(t, "final"),
	}
	w.strangers[nonce] = o
	if n := w.inFlight(nonce); n > 0 {
		w.apply(t, n, o)
		return
	}
	w.early[nonce] = true
}

// inFlight is the newest attempt with a nonce of which something may be out, 0 for none.
func (w *world) inFlight(nonce uint64) int {
	for n := len(w.durable.Attempts); n > 0; n-- {
		if a := w.durable.Attempts[n-1]; a.State == store.AttemptSubmitting && a.Nonce != nil && *a.Nonce == nonce {
			return n
		}
	}
	return 0
}

// open is a nonce that a stranger has used in a block that may still change.
func (w *world) open() (uint64, *store.Outcome) {
	for _, nonce := range slices.Sorted(maps.Keys(w.strangers)) {
		if o := w.strangers[nonce]; !o.Final {
			return nonce, o
		}
	}
	return 0, nil
}

func (w *world) finaliseStranger(t *rapid.T) bool {
	nonce, o := w.open()
	if o == nil {
		return false
	}
	final := *o
	final.Final = true
	w.strangers[nonce] = &final
	for n := range w.durable.Attempts {
		if a := w.durable.Attempts[n]; a.Outcome != nil && a.Outcome.By != "" && *a.Nonce == nonce && a.State != store.AttemptDone {
			w.apply(t, n+1, &final)
		}
	}
	return true
}

// undoStranger takes a stranger's block away, if what is to be done has not been given another nonce: that would be a gap, which is filled
// on request.
func (w *world) undoStranger(t *rapid.T) bool {
	nonce, o := w.open()
	if o == nil || w.durable.Tx.Nonce == nil || *w.durable.Tx.Nonce != nonce || w.state.Lost || w.durable.Tx.Status.Terminal() {
		return false
	}
	delete(w.strangers, nonce)
	delete(w.early, nonce)
	for n := range w.durable.Attempts {
		if a := w.durable.Attempts[n]; a.Outcome != nil && a.Outcome.By != "" && *a.Nonce == nonce && a.State != store.AttemptDone {
			w.apply(t, n+1, nil)
		}
	}
	return true
}

// used reports whether the chain holds something with a nonce.
func (w *world) used(nonce uint64) bool {
	if w.strangers[nonce] != nil {
		return true
	}
	for n := range w.blocks {
		if a := w.durable.Attempts[n-1]; a.Nonce != nil && *a.Nonce == nonce {
			return true
		}
	}
	return false
}

// latest is the signer's next nonce as the chain counts.
func (w *world) latest() uint64 {
	n := uint64(firstNonce)
	for w.used(n) {
		n++
	}
	return n
}

// tooLate reports whether the nonce was used before anything of the newest attempt was claimed. A node refuses that.
func (w *world) tooLate() bool { return w.durable.Tx.Nonce != nil && w.early[*w.durable.Tx.Nonce] }

// gapless: each nonce that was assigned is used on the chain, or held by the transaction.
func (w *world) gapless(t *rapid.T) {
	tx := w.durable.Tx
	if len(w.durable.Attempts) == 0 || w.durable.Attempts[0].Nonce == nil {
		return
	}
	for n := uint64(firstNonce); n < w.next; n++ {
		held := tx.Nonce != nil && *tx.Nonce == n && !tx.Status.Terminal()
		if !held && !w.used(n) {
			t.Fatalf("nonce %d is a gap: the transaction is %s/%s, the next one is %d", n, tx.Status, tx.Sub, w.next)
		}
	}
}

// soon is until when an attempt has to be sent, if there is a time.
func (w *world) soon(t *rapid.T) time.Time {
	if w.draining || rapid.Bool().Draw(t, "patient") {
		return time.Time{}
	}
	return w.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "patience")) * time.Second)
}

// finish does what Prepare has left, begun on what the process knew and stored on what there is now.
func (w *world) finish(t *rapid.T) {
	if w.state.Tx.Status != store.Pending || !w.state.Unclaimed() {
		t.Skip("nothing is left")
	}
	n := w.state.Tx.Attempt
	switch rapid.IntRange(0, 4).Draw(t, "meanwhile") {
	case 0:
		w.suspend(t)
	case 1:
		w.cancel(t)
	case 2:
		w.patch(t)
	case 3:
		w.decide(t)
	default:
	}
	if rapid.Bool().Draw(t, "refused") {
		w.step(t, txstate.Unfinished{Attempt: n, Err: ffcapi.Errorf(ffcapi.Reverted, "no"), Now: w.now})
		w.decide(t)
		w.state.Incomplete = false // the next one who works on it begins with finishing it
		return
	}
	w.step(t, txstate.Finished{Attempt: store.Attempt{Number: n, SendBefore: w.soon(t)}})
}
