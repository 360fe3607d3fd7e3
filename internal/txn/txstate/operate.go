package txstate

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// reasonCancelled is the error of a transaction that was cancelled.
const reasonCancelled = "cancelled"

// operation is what users ask for. Effects.Refused says why it was not carried out; without it and without Write, nothing had to be done.
type operation interface {
	Input
	// done reports whether a transaction that has ended is what the operation wants.
	done(s *State) bool
}

type (
	// Suspend stops all sends until Resume. A send under way comes to its end, and an outcome still ends the transaction.
	Suspend struct{ Now time.Time }

	// Resume goes on with a suspended transaction.
	Resume struct{ Now time.Time }

	// Cancel ends a transaction of which nothing has left. When it holds a nonce, the answer is UseUp the first time: the nonce is given
	// back, if no send was ever begun and it is the signer's newest, or used up by another attempt.
	Cancel struct {
		GiveBack bool
		Attempt  *store.Attempt
		Payload  store.Payload
		Gas      string
		Now      time.Time
	}

	// Patch replaces the request of a transaction of which nothing has left, with what was prepared of the new one.
	Patch struct {
		Attempt   store.Attempt
		Payload   store.Payload
		To, Value string
		Gas       string
		Fee       json.RawMessage // nil: as the policy engine says
		Request   json.RawMessage
		Info      json.RawMessage // what changed
		NodeNext  *uint64         // see Fresh
		Now       time.Time
	}

	// TryAgain has a transaction sent at once that was refused when it was sent.
	TryAgain struct{ Now time.Time }
)

func (Suspend) done(*State) bool  { return false }
func (Resume) done(*State) bool   { return false }
func (Patch) done(*State) bool    { return false }
func (TryAgain) done(*State) bool { return false }

func (Cancel) done(s *State) bool { return s.Tx.Sub == store.SubCancelled }

func (in Suspend) step(s *State, e *Effects) {
	switch {
	case !s.Tx.CancelAsked.IsZero():
		e.Refused = apitypes.ErrCancelling
	case s.Tx.Status != store.Suspended:
		s.Tx.Status = store.Suspended
		s.Tx.Due = time.Time{}
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionSuspend, Time: in.Now})
		e.Announce = true
	}
}

func (in Resume) step(s *State, e *Effects) {
	if s.Tx.Status == store.Suspended {
		s.Tx.Status = store.Pending
		s.anew(e, in.Now)
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionResume, Time: in.Now})
		e.Announce = true
	}
}

// anew has the policy engine asked as if it had never been: what it waits for, it waits for because of what was before.
func (s *State) anew(e *Effects, now time.Time) {
	s.Tx.PolicyState = nil
	s.Tx.Due = time.Time{}
	s.LastError = nil
	s.progress(e, now)
	e.Ask = true
}

func (in Cancel) step(s *State, e *Effects) {
	switch {
	case !s.Tx.CancelAsked.IsZero():
	case s.Sending || !s.settled():
		e.Refused = apitypes.ErrMayBeOut
	case s.Tx.Nonce == nil || s.nonceUsed():
		s.cancel(e, in.Now)
	case in.GiveBack && s.NeverSent():
		s.cancel(e, in.Now)
		e.GiveBack = true
	case in.Attempt == nil:
		e.Do = UseUp
	default:
		s.supersede(e, replacement{Attempt: *in.Attempt, Payload: in.Payload, Gas: in.Gas, Why: "cancelled before anything left", Now: in.Now})
		s.Tx.CancelAsked = in.Now
		e.Announce = s.Tx.Status == store.Suspended
		s.Tx.Status = store.Pending
		s.anew(e, in.Now)
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionCancel, Time: in.Now, Info: attemptInfo(s.Tx.Attempt)})
	}
}

// NeverSent reports whether no send of any attempt was ever begun.
func (s *State) NeverSent() bool {
	return !slices.ContainsFunc(s.Attempts, func(a store.Attempt) bool { return a.Sends > 0 || a.Outcome != nil })
}

// cancel ends the transaction: nothing of it can ever be on the chain, and no nonce is left unused.
func (s *State) cancel(e *Effects, now time.Time) {
	s.Tx.CancelAsked = now
	s.bury(e, "cancelled before anything left")
	s.cancelled(e, nil, now)
}

// cancelled ends a transaction that was to be cancelled. o is the outcome of what used its nonce up, if anything did: whatever that says,
// the transaction had no effect.
func (s *State) cancelled(e *Effects, o *store.Outcome, now time.Time) {
	h := store.History{Sub: store.SubCancelled, Action: ActionCancel, Time: now}
	if o != nil {
		none := *o
		none.Success, none.Reason, none.Result, none.ContractLocation = false, reasonCancelled, nil, nil
		s.Tx.Outcome = &none
		h.Info = blockInfo(o.Block)
	}
	e.note(h)
	s.end(e, store.Failed, store.SubCancelled, reasonCancelled, now)
}

func (in Patch) step(s *State, e *Effects) {
	switch {
	case !s.Tx.CancelAsked.IsZero():
		e.Refused = apitypes.ErrCancelling
		return
	case s.Sending || !s.settled():
		e.Refused = apitypes.ErrMayBeOut
		return
	}
	if s.Renumbers() {
		s.Lost = false
		e.Renumber, e.NodeNext = true, in.NodeNext
	}
	s.supersede(e, replacement{Attempt: in.Attempt, Payload: in.Payload, Gas: in.Gas, Why: "changed before anything left", Now: in.Now})
	s.Tx.To, s.Tx.Value, s.Tx.Fee = in.To, in.Value, in.Fee
	s.Tx.Error = ""
	e.Request = in.Request
	s.anew(e, in.Now)
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionUpdate, Time: in.Now, Info: in.Info})
}

func (in TryAgain) step(s *State, e *Effects) {
	switch {
	case !s.Tx.CancelAsked.IsZero():
		e.Refused = apitypes.ErrCancelling
	case s.Tx.Status == store.Suspended, s.newest().Error == "", s.newest().State == store.AttemptDone, s.phase() == policy.Tracking:
		e.Refused = apitypes.ErrNotFailed
	default:
		s.anew(e, in.Now)
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionRetry, Time: in.Now})
	}
}
