package txstate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	seen   map[int]bool // attempts that some block held: their bytes did leave
	height uint64
	fees   map[int]string // of what was sent

	next      uint64                    // the signer's next nonce, as the store counts
	strangers map[uint64]*store.Outcome // nonces that others have used
	early     map[uint64]bool           // of these, before anything of ours was claimed: no block will say so again
	cancels   int                       // number of the first attempt that only uses the nonce up, 0: none

	terminal store.TxStatus
	now      time.Time
	draining bool // nothing is in a hurry
}

// TestNoHistoryBreaksARule tries random histories and checks after each step what must never happen.
func TestNoHistoryBreaksARule(t *testing.T) {
	t.Parallel()
	histories := 3000
	if text := os.Getenv("TEST_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, "TEST_HISTORIES is how many histories to try")
		histories = n
	}
	for range max(1, histories/100) { // each time a hundred of them
		rapid.Check(t, history)
	}
}

func history(t *rapid.T) {
	nonce := rapid.Bool().Draw(t, "nonce")
	var expires uint64
	if !nonce && rapid.Bool().Draw(t, "expiring") { // one that holds a nonce and expires needs somebody who cancels it
		expires = rapid.Uint64Range(1, 30).Draw(t, "expires")
	}
	w := &world{
		loose: map[int]bool{}, blocks: map[int]*store.Outcome{}, seen: map[int]bool{}, fees: map[int]string{}, now: epoch,
		next: firstNonce + 1, strangers: map[uint64]*store.Outcome{}, early: map[uint64]bool{},
	}
	w.state = accepted(nonce, "h1", expires, "")
	w.state.Attempts[0].SendBefore = w.soon(t)
	w.durable = w.state
	actions := map[string]func(*rapid.T){
		"decide": w.decide, "answer": w.answer, "include": w.include, "finalise": w.finalise, "undo": w.undo,
		"crash": w.crash, "advance": w.advance, "unsent": w.unsent, "": w.check,
		"suspend": w.suspend, "resume": w.resume, "cancel": w.cancel, "patch": w.patch, "try again": w.tryAgain, "stranger": w.stranger,
		"found again": w.foundAgain, "finish": w.finish,
	}
	t.Repeat(actions)
	w.drain(t)
}

// step applies an input in memory, stores what has to be stored, and starts a send.
func (w *world) step(t *rapid.T, in txstate.Input) {
	next, e := txstate.Step(w.state, in)
	done, finished := in.(txstate.Finished)
	if a := w.durable.Attempts[len(w.durable.Attempts)-1]; finished && e.Payload != nil && (a.State != store.AttemptPrepared || a.Number != done.Attempt.Number) {
		t.Fatalf("what was left of attempt %d is written to attempt %d, which is %s", done.Attempt.Number, a.Number, a.State)
	}
	if u := e.Update(&next); u != nil {
		w.durable = w.stored(t, u)
		next.Tx.Nonce = w.durable.Tx.Nonce
		next.Attempts[len(next.Attempts)-1].Nonce = w.durable.Attempts[len(w.durable.Attempts)-1].Nonce
	}
	if more := len(next.Attempts) > len(w.state.Attempts); !finished && more != (e.Repeats > 0 || e.Payload != nil) {
		t.Fatalf("%d attempts became %d, and the payload is to be that of %d", len(w.state.Attempts), len(next.Attempts), e.Repeats)
	}
	w.state = next
	switch e.Do {
	case txstate.Send:
		if w.state.Incomplete {
			t.Fatal("what is not complete is sent")
		}
		w.mustBeClaimed(t)
		w.loose[len(w.state.Attempts)] = true // unless the answer says that nothing left
	case txstate.Look:
		w.look(t, e.Resend, e.Fee)
	case txstate.Prepare:
		w.prepare(t)
	case txstate.AskNonce:
		w.step(t, txstate.Latest{Next: w.latest()})
	default:
	}
}

// stored is what the store holds after an update: what only the process knows is not in it.
func (w *world) stored(t *rapid.T, u *store.TxUpdate) txstate.State {
	before := w.durable
	if before.Tx.Status.Terminal() {
		t.Fatalf("%s is rewritten", before.Tx.Status)
	}
	s := txstate.State{Tx: *u.Tx, Generation: before.Generation, Attempts: append([]store.Attempt(nil), before.Attempts...)}
	switch {
	case u.GiveBack:
		if !s.Tx.Status.Terminal() || *s.Tx.Nonce+1 != w.next || len(w.fees) > 0 {
			t.Fatalf("nonce %d is given back, the next one is %d", *s.Tx.Nonce, w.next)
		}
		w.next, s.Tx.Nonce = *s.Tx.Nonce, nil
	case u.Renumber:
		next := max(w.next, w.latest())
		for n := w.next; n < next; n++ {
			if w.strangers[n] == nil {
				t.Fatalf("nonce %d is left out", n)
			}
		}
		w.next, s.Tx.Nonce, u.Attempts[len(u.Attempts)-1].Nonce = next+1, &next, &next
	}
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
	if w.durable.Tx.Status != store.Pending {
		t.Fatalf("a send of a transaction that is %s", w.durable.Tx.Status)
	}
	fee := string(w.state.Submission(&store.Payload{}).Fee)
	if first, sent := w.fees[a.Number]; (sent && first != fee) || string(a.Fee) != fee {
		t.Fatalf("attempt %d is sent for %s, was sent for %s, and the store has %s", a.Number, fee, first, a.Fee)
	}
	w.fees[a.Number] = fee
}

func (w *world) decide(t *rapid.T) {
	do := rapid.SampledFrom([]policy.Do{policy.Submit, policy.Submit, policy.Prepare, policy.Wait, policy.Reconcile, policy.Fail, "nonsense"}).Draw(t, "do")
	w.now = w.now.Add(time.Second)
	fee := func(name string) json.RawMessage {
		return raw(rapid.SampledFrom([]string{"", "", "1", "2", `{"tip":"3"}`, "null", "{"}).Draw(t, name))
	}
	unknown := rapid.SampledFrom([]string{"", "", "", "oracle away"}).Draw(t, "unknown")
	d := policy.Decision{Do: do, Reason: "so", Fee: fee("bid")}
	w.step(t, txstate.Decided{Decision: d, Fee: fee("source"), FeeError: unknown, Now: w.now})
}

func (w *world) prepare(t *rapid.T) {
	if w.cancels > 0 {
		t.Fatal("what was cancelled is prepared afresh")
	}
	if rapid.Bool().Draw(t, "refused") {
		w.step(t, txstate.Unprepared{Err: ffcapi.Errorf(ffcapi.Reverted, "no"), Now: w.now})
		return
	}
	a := store.Attempt{Hash: fmt.Sprintf("h%d", len(w.state.Attempts)+1), SendBefore: w.soon(t)}
	if w.state.Tx.Nonce == nil && rapid.Bool().Draw(t, "expiring") {
		a.Expires = w.height + rapid.Uint64Range(1, 20).Draw(t, "expires")
	}
	w.step(t, txstate.Fresh{Attempt: a, Now: w.now})
}

func (w *world) look(t *rapid.T, resend bool, fee json.RawMessage) {
	if rapid.IntRange(0, 5).Draw(t, "suspended meanwhile") == 0 {
		w.suspend(t)
	}
	for _, a := range w.state.Sought() {
		o := w.blocks[a.Number]
		if o == nil || rapid.Bool().Draw(t, "overlooked") {
			continue
		}
		if o.Final {
			w.step(t, txstate.Found{Attempt: a.Number, Outcome: *o, Now: w.now})
			return
		}
		w.step(t, txstate.Sighted{Now: w.now})
		return
	}
	w.step(t, txstate.Missing{Resend: resend, Fee: fee, Now: w.now})
}

// answer ends the send under way.
func (w *world) answer(t *rapid.T) {
	if !w.state.Sending {
		t.Skip("nothing under way")
	}
	n := len(w.state.Attempts)
	earlier := w.state.Attempts[n-1].Open > 1 || !w.state.Claimed // bytes of another send may be out
	if w.tooLate() {
		w.step(t, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}, Now: w.now})
		if !earlier {
			delete(w.loose, n)
		}
		return
	}
	kind := rapid.SampledFrom([]ffcapi.Kind{"", ffcapi.Timeout, ffcapi.Unavailable, ffcapi.Unauthorized, ffcapi.KnownTransaction, ffcapi.NonceTooLow}).Draw(t, "kind")
	if kind == "" {
		w.step(t, txstate.Answered{Hash: fmt.Sprintf("h%d", n), Now: w.now})
		return
	}
	sent := rapid.SampledFrom([]ffcapi.Sent{"", ffcapi.SentNo, ffcapi.SentMaybe, ffcapi.SentYes}).Draw(t, "sent")
	if kind == ffcapi.KnownTransaction {
		sent = ffcapi.SentYes
	}
	if sent == ffcapi.SentNo && !earlier && !w.seen[n] {
		delete(w.loose, n)
	}
	w.step(t, txstate.Answered{Err: &ffcapi.Error{Kind: kind, Sent: sent}, Now: w.now})
}

func (w *world) unsent(t *rapid.T) {
	if !w.state.Sending || !w.state.Claimed || w.state.Attempts[len(w.state.Attempts)-1].Open != 1 || w.seen[len(w.state.Attempts)] {
		t.Skip("no claim to take back")
	}
	n := len(w.state.Attempts)
	delete(w.loose, n)
	if w.state.Attempts[n-1].Sends == 1 {
		delete(w.fees, n) // nobody has seen it
	}
	w.step(t, txstate.Unsent{Now: w.now})
}

// reload is what the process does when the store says that somebody else was there.
func (w *world) reload() {
	attempts := make([]*store.Attempt, len(w.durable.Attempts))
	for i := range attempts {
		attempts[i] = &w.durable.Attempts[i]
	}
	w.state = w.state.Reload(&w.durable.Tx, attempts)
}

// crash loses what is in memory. A send that was under way may have left.
func (w *world) crash(t *rapid.T) {
	if w.tooLate() && w.inFlight(*w.durable.Tx.Nonce) > 0 {
		t.Skip("it would look as if it were out, and no block will tell")
	}
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
	success, cancelled := 0, 0
	for n, o := range w.blocks {
		switch {
		case !o.Final || !o.Success:
		case w.cancels > 0 && n >= w.cancels:
			cancelled++
		default:
			success++
		}
	}
	if success+cancelled > 1 {
		t.Fatal("two attempts committed")
	}
	if a := w.durable.Attempts[len(w.durable.Attempts)-1]; a.State == store.AttemptPrepared && (a.Sends > 0 || a.Open > 0 || w.durable.Tx.Sub == store.SubTracking) {
		t.Fatalf("%s, and its newest attempt was never claimed: %+v", w.durable.Tx.Sub, a)
	}
	w.gapless(t)
	if !status.Terminal() {
		return
	}
	w.terminal = status
	if o := w.durable.Tx.Outcome; status == store.Failed && o != nil && o.Success {
		t.Fatal("failed, and it says that it had an effect")
	}
	if (status == store.Succeeded) != (success == 1) {
		t.Fatalf("%s, and the chain holds %d successes", status, success)
	}
	for n := range w.durable.Attempts {
		if w.includable(n + 1) {
			t.Fatalf("%s, and attempt %d is still out", status, n+1)
		}
	}
}

// drain lets everything happen that is due: the transaction must come to its end.
func (w *world) drain(t *rapid.T) {
	w.draining = true
	for range 40 {
		w.check(t)
		if w.terminal != "" {
			return
		}
		n := len(w.state.Attempts)
		for i := range w.state.Attempts {
			if w.blocks[i+1] != nil && !w.blocks[i+1].Final || w.includable(i+1) {
				n = i + 1
			}
		}
		w.now = w.now.Add(time.Hour)
		view := w.state.View()
		switch {
		case w.durable.Tx.Status == store.Suspended:
			w.operate(t, txstate.Resume{Now: w.now})
		case w.state.Sending && w.tooLate():
			w.answer(t)
		case w.state.Sending:
			w.step(t, txstate.Answered{Hash: "h", Now: w.now})
		case w.finaliseStranger(t):
		case view.Tx.Replaceable && w.state.LastError != nil && w.state.LastError.Kind.Final():
			w.step(t, txstate.Decided{Decision: policy.Decision{Do: policy.Fail}, Now: w.now})
		case w.tooLate() && w.state.LastError != nil && w.state.LastError.Kind == ffcapi.NonceTooLow:
			w.step(t, txstate.Decided{Decision: policy.Decision{Do: policy.Reconcile}, Now: w.now})
		case w.blocks[n] != nil && !w.blocks[n].Final:
			final := *w.blocks[n]
			final.Final = true
			w.blocks[n] = &final
			w.apply(t, n, &final)
		case view.Tx.Phase == policy.Ended:
			w.step(t, txstate.Decided{Decision: policy.Decision{Do: policy.Fail}, Now: w.now})
		case w.includable(n):
			w.height++
			w.blocks[n] = &store.Outcome{Block: ffcapi.BlockRef{Number: w.height, Hash: "b"}, Success: true, Final: true}
			w.apply(t, n, w.blocks[n])
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
