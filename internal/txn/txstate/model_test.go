package txstate_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// world is a chain and a network that do whatever is allowed to them, a store, and a process that can die at any moment. The policy
// engine is a die.
type world struct {
	state   txstate.State // in memory
	durable txstate.State // in the store

	loose  map[int]bool // attempts of which bytes are out: they can turn up in a block whenever they like
	blocks map[int]*store.Outcome
	height uint64

	terminal store.TxStatus
	now      time.Time
}

// TestNoHistoryBreaksARule tries random histories and checks after each step what must never happen.
func TestNoHistoryBreaksARule(t *testing.T) {
	t.Parallel()
	for range 30 { // each time a hundred histories
		rapid.Check(t, history)
	}
}

func history(t *rapid.T) {
	nonce := rapid.Bool().Draw(t, "nonce")
	var expires uint64
	if !nonce && rapid.Bool().Draw(t, "expiring") { // one that holds a nonce and expires needs somebody who cancels it
		expires = rapid.Uint64Range(1, 30).Draw(t, "expires")
	}
	w := &world{loose: map[int]bool{}, blocks: map[int]*store.Outcome{}, now: epoch}
	w.state = accepted(nonce, "h1", expires, "")
	w.durable = w.state
	actions := map[string]func(*rapid.T){
		"decide": w.decide, "answer": w.answer, "include": w.include, "finalise": w.finalise, "undo": w.undo,
		"crash": w.crash, "advance": w.advance, "unsent": w.unsent, "": w.check,
	}
	t.Repeat(actions)
	w.drain(t)
}

// step applies an input in memory, stores what has to be stored, and starts a send.
func (w *world) step(t *rapid.T, in txstate.Input) {
	next, e := txstate.Step(w.state, in)
	if u := e.Update(&next); u != nil {
		w.durable = stored(w.durable, u)
	}
	w.state = next
	switch e.Do {
	case txstate.Send:
		w.mustBeClaimed(t)
		w.loose[len(w.state.Attempts)] = true // unless the answer says that nothing left
	case txstate.Look:
		w.look(t, e.Resend)
	case txstate.Prepare:
		w.prepare(t)
	default:
	}
}

// stored is what the store holds after an update: what only the process knows is not in it.
func stored(before txstate.State, u *store.TxUpdate) txstate.State {
	s := txstate.State{Tx: *u.Tx, Generation: before.Generation, Attempts: append([]store.Attempt(nil), before.Attempts...)}
	for _, a := range u.Attempts {
		if a.Number > len(s.Attempts) {
			s.Attempts = append(s.Attempts, *a)
		} else {
			s.Attempts[a.Number-1] = *a
		}
	}
	return s
}

func (w *world) mustBeClaimed(t *rapid.T) {
	a := w.durable.Attempts[len(w.durable.Attempts)-1]
	if a.State != store.AttemptSubmitting || a.Open < 1 || a.Number != len(w.state.Attempts) {
		t.Fatalf("a send begins, and the store holds %+v", a)
	}
	if w.durable.Tx.Status.Terminal() {
		t.Fatalf("a send of a transaction that is %s", w.durable.Tx.Status)
	}
}

func (w *world) decide(t *rapid.T) {
	do := rapid.SampledFrom([]policy.Do{policy.Submit, policy.Submit, policy.Prepare, policy.Wait, policy.Reconcile, policy.Fail, "nonsense"}).Draw(t, "do")
	w.now = w.now.Add(time.Second)
	w.step(t, txstate.Decided{Decision: policy.Decision{Do: do, Reason: "so"}, Now: w.now})
}

func (w *world) prepare(t *rapid.T) {
	if rapid.Bool().Draw(t, "refused") {
		w.step(t, txstate.Unprepared{Err: ffcapi.Errorf(ffcapi.Reverted, "no"), Now: w.now})
		return
	}
	a := store.Attempt{Hash: fmt.Sprintf("h%d", len(w.state.Attempts)+1)}
	if rapid.Bool().Draw(t, "expiring") {
		a.Expires = w.height + rapid.Uint64Range(1, 20).Draw(t, "expires")
	}
	w.step(t, txstate.Fresh{Attempt: a, Now: w.now})
}

func (w *world) look(t *rapid.T, resend bool) {
	if o := w.blocks[len(w.state.Attempts)]; o != nil && rapid.Bool().Draw(t, "seen") {
		if o.Final {
			w.step(t, txstate.Found{Attempt: len(w.state.Attempts), Outcome: *o, Now: w.now})
			return
		}
		w.step(t, txstate.Sighted{Now: w.now})
		return
	}
	w.step(t, txstate.Missing{Resend: resend, Now: w.now})
}

// answer ends the send under way.
func (w *world) answer(t *rapid.T) {
	if !w.state.Sending {
		t.Skip("nothing under way")
	}
	n := len(w.state.Attempts)
	earlier := w.state.Attempts[n-1].Open > 1 || !w.state.Claimed // bytes of another send may be out
	kind := rapid.SampledFrom([]ffcapi.Kind{"", ffcapi.Timeout, ffcapi.Unavailable, ffcapi.Unauthorized, ffcapi.KnownTransaction, ffcapi.NonceTooLow}).Draw(t, "kind")
	if kind == "" {
		w.step(t, txstate.Answered{Hash: w.state.Attempts[n-1].Hash, Now: w.now})
		return
	}
	sent := rapid.SampledFrom([]ffcapi.Sent{"", ffcapi.SentNo, ffcapi.SentMaybe, ffcapi.SentYes}).Draw(t, "sent")
	if kind == ffcapi.KnownTransaction {
		sent = ffcapi.SentYes
	}
	if sent == ffcapi.SentNo && !earlier && w.blocks[n] == nil {
		delete(w.loose, n)
	}
	w.step(t, txstate.Answered{Err: &ffcapi.Error{Kind: kind, Sent: sent}, Now: w.now})
}

func (w *world) unsent(t *rapid.T) {
	if !w.state.Sending || !w.state.Claimed || w.state.Attempts[len(w.state.Attempts)-1].Open != 1 || w.blocks[len(w.state.Attempts)] != nil {
		t.Skip("no claim to take back")
	}
	delete(w.loose, len(w.state.Attempts))
	w.step(t, txstate.Unsent{Now: w.now})
}

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
	if n != len(w.durable.Attempts) {
		t.Fatalf("attempt %d gets on the chain after attempt %d was prepared", n, len(w.durable.Attempts))
	}
	w.height++
	o := &store.Outcome{Block: ffcapi.BlockRef{Number: w.height, Hash: fmt.Sprintf("b%d", w.height)}, Success: rapid.Bool().Draw(t, "success")}
	o.Retryable = !o.Success && rapid.Bool().Draw(t, "retryable")
	o.Final = rapid.Bool().Draw(t, "final")
	w.blocks[n] = o
	w.apply(n, o)
}

// includable: bytes are out, no block holds them, and it is not too late for them.
func (w *world) includable(n int) bool {
	a := w.durable.Attempts[n-1]
	return w.loose[n] && w.blocks[n] == nil && (a.Expires == 0 || w.height < a.Expires)
}

// apply writes an outcome the way the store does, under the feet of the process.
func (w *world) apply(n int, o *store.Outcome) {
	attempts := make([]*store.Attempt, len(w.durable.Attempts))
	for i := range attempts {
		a := w.durable.Attempts[i]
		attempts[i] = &a
	}
	attempts[n-1].Outcome = nil
	if o != nil {
		copied := *o
		attempts[n-1].Outcome = &copied
	}
	tx := w.durable.Tx
	if !tx.Status.Terminal() {
		if u := txstate.Rule(&tx, attempts, n-1); u != nil {
			w.durable = stored(w.durable, u)
		}
	}
	w.reload()
}

// reload is what the process does when the store says that somebody else was there.
func (w *world) reload() {
	attempts := make([]*store.Attempt, len(w.durable.Attempts))
	for i := range attempts {
		attempts[i] = &w.durable.Attempts[i]
	}
	w.state = w.state.Reload(&w.durable.Tx, attempts)
}

func (w *world) finalise(t *rapid.T) {
	for n, o := range w.blocks {
		if !o.Final {
			final := *o
			final.Final = true
			w.blocks[n] = &final
			w.apply(n, &final)
			return
		}
	}
	t.Skip("nothing to finalise")
}

func (w *world) undo(t *rapid.T) {
	for n, o := range w.blocks {
		if !o.Final {
			delete(w.blocks, n)
			w.apply(n, nil)
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

// crash loses what is in memory. A send that was under way may have left.
func (w *world) crash(t *rapid.T) {
	generation := w.state.Generation
	if rapid.Bool().Draw(t, "takeover") {
		generation++
	}
	w.state = txstate.State{Generation: generation}
	w.reload()
	w.step(t, txstate.Resumed{Now: w.now})
}

// check holds after every step.
func (w *world) check(t *rapid.T) {
	status := w.durable.Tx.Status
	if w.terminal != "" && status != w.terminal {
		t.Fatalf("%s became %s", w.terminal, status)
	}
	success := 0
	for _, o := range w.blocks {
		if o.Final && o.Success {
			success++
		}
	}
	if success > 1 {
		t.Fatal("two attempts committed")
	}
	if !status.Terminal() {
		return
	}
	w.terminal = status
	if (status == store.Succeeded) != (success == 1) {
		t.Fatalf("%s, and the chain holds %d successes", status, success)
	}
	if status == store.Failed && w.durable.Tx.Nonce != nil && len(w.blocks) == 0 {
		t.Fatal("failed, and its nonce is not used")
	}
	for n := range w.durable.Attempts {
		if w.includable(n + 1) {
			t.Fatalf("%s, and attempt %d is still out", status, n+1)
		}
	}
}

// drain lets everything happen that is due: the transaction must come to its end.
func (w *world) drain(t *rapid.T) {
	for range 30 {
		w.check(t)
		if w.terminal != "" {
			return
		}
		n := len(w.state.Attempts)
		w.now = w.now.Add(time.Hour)
		switch {
		case w.state.Sending:
			w.step(t, txstate.Answered{Hash: "h", Now: w.now})
		case w.blocks[n] != nil && !w.blocks[n].Final:
			final := *w.blocks[n]
			final.Final = true
			w.blocks[n] = &final
			w.apply(n, &final)
		case w.state.View().Tx.Phase == policy.Ended:
			w.step(t, txstate.Decided{Decision: policy.Decision{Do: policy.Fail}, Now: w.now})
		case w.includable(n):
			w.height++
			w.blocks[n] = &store.Outcome{Block: ffcapi.BlockRef{Number: w.height, Hash: "b"}, Success: true, Final: true}
			w.apply(n, w.blocks[n])
		case w.height > w.state.Attempts[n-1].Expires && w.state.Attempts[n-1].Expires > 0:
			w.step(t, txstate.Passed{Block: w.height, Now: w.now})
		default:
			w.height++
			w.state.LastError = nil
			w.step(t, txstate.Decided{Decision: policy.Decision{Do: policy.Submit}, Now: w.now})
		}
	}
	t.Fatalf("it never ends: %+v", w.state)
}
