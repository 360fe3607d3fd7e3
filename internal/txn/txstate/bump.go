package txstate

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// ActionReplace is the history action of an attempt that takes the nonce of the one before it, for another fee.
const ActionReplace = "ReplaceTransaction"

// feePause is how long a transaction that must not be offered without a fee waits until the fee source is asked again.
const feePause = 5 * time.Second

// offer is a fee as it may be stored: JSON, or nil for none.
func offer(fee json.RawMessage) json.RawMessage {
	if !json.Valid(fee) || bytes.Equal(bytes.TrimSpace(fee), []byte("null")) {
		return nil
	}
	return fee
}

// replaces reports whether sending with that fee takes a new attempt. The nonce lets at most one of the two on the chain; without
// nonces, what an attempt offers never changes. One that may be out and has no hash yet is not replaced: in a block, nothing would tell
// the two apart.
func (s *State) replaces(fee json.RawMessage) bool {
	a := s.newest()
	return s.Tx.Nonce != nil && fee != nil && a.State == store.AttemptSubmitting && a.Sends > 0 &&
		(a.Hash != "" || s.dead(a)) && !sameJSON(fee, a.Fee)
}

// replace makes the attempt that takes the nonce of the newest one, with the same payload. What it replaces stays tracked: whichever gets
// on the chain ends the transaction.
func (s *State) replace(e *Effects, fee json.RawMessage, now time.Time) {
	old := s.newest()
	if s.dead(old) {
		old.State, old.Dead = store.AttemptDone, "replaced before anything left"
		e.changed(old)
	}
	a := store.Attempt{
		Tx: old.Tx, Number: old.Number + 1, Ledger: old.Ledger, State: store.AttemptPrepared, From: old.From, Nonce: old.Nonce,
		Expires: old.Expires, Exclusive: old.Exclusive, ConflictKeys: old.ConflictKeys,
	}
	e.Repeats = old.Number
	if e.Payload != nil {
		e.Repeats = 0 // the payload is on its way to the store itself
	}
	s.Tx.Attempt, s.Tx.Fee = a.Number, nil
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionReplace, Time: now, Info: attemptInfo(a.Number)})
	s.setFee(e, &a, fee, now)
	e.changed(&a)
	s.Attempts = append(s.Attempts, a)
}

// setFee fixes what an attempt offers: what the transaction already has, or fee.
func (s *State) setFee(e *Effects, a *store.Attempt, fee json.RawMessage, now time.Time) {
	switch {
	case s.Tx.Fee != nil:
		a.Fee = s.Tx.Fee
	case fee != nil:
		a.Fee, s.Tx.Fee = fee, fee
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionFee, Time: now, Info: fee})
	default:
		return
	}
	e.changed(a)
}

// sendFor sends the newest attempt, or if that was sent for another fee, what replaces it. asked is the engine's fee; otherwise is
// offered with a first send when the engine named none.
func (s *State) sendFor(e *Effects, asked, otherwise json.RawMessage, now time.Time) {
	fee := offer(asked)
	if s.replaces(fee) {
		s.replace(e, fee, now)
	}
	if fee == nil {
		fee = offer(otherwise)
	}
	s.send(e, fee, now)
}

// feeless reports whether a first send has to wait because no fee is known.
func (s *State) feeless(in *Decided) bool {
	a := s.newest()
	return in.FeeError != "" && a.Sends == 0 && a.Open == 0 && a.Fee == nil && s.Tx.Fee == nil && offer(in.Decision.Fee) == nil && offer(in.Fee) == nil
}

// awaitFee waits for a fee and says so.
func (s *State) awaitFee(e *Effects, in *Decided) {
	s.Tx.Error = in.FeeError
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionFee, Time: in.Now, Error: in.FeeError})
	s.wait(e, in.Now.Add(feePause), in.Now, true)
}

// outcome is what a block says about the newest attempt, or else about one that it replaces.
func (s *State) outcome() *store.Outcome {
	if o := s.newest().Outcome; o != nil {
		return o
	}
	for i := range s.Attempts {
		if a := &s.Attempts[i]; a.State != store.AttemptDone && a.Outcome != nil {
			return a.Outcome
		}
	}
	return nil
}

// Sought are the attempts that can be looked for on the chain, the newest first.
func (s *State) Sought() []store.Attempt {
	var sought []store.Attempt
	for i := len(s.Attempts) - 1; i >= 0; i-- {
		if a := s.Attempts[i]; a.State == store.AttemptSubmitting && a.Hash != "" {
			sought = append(sought, a)
		}
	}
	return sought
}

// excludes reports whether one of the two at most can ever be on the chain.
func excludes(a, b *store.Attempt) bool {
	if a.Exclusive != "" && a.Exclusive == b.Exclusive {
		return true
	}
	return a.Nonce != nil && b.Nonce != nil && *a.Nonce == *b.Nonce
}

// tracked reports whether a node has taken the transaction before.
func (s *State) tracked() bool { return s.phase() == policy.Tracking }

// sameJSON compares two values but for the space between their parts.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return false
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}
