package policy

import (
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Engine decides what happens to a transaction next. It is asked when something changed (accepted, sent, refused, found in a block,
// changed from outside, process restarted) and when the Until of its last decision came.
type Engine interface {
	// Decide must be pure: the same View gives the same Decision, and nothing reachable from the View is changed.
	Decide(v View) Decision
}

// Phase says how far the newest attempt got.
type Phase string

// The phases.
const (
	Ready    Phase = "ready"    // prepared; nothing has left, or every send certainly failed before a byte left
	Unknown  Phase = "unknown"  // it may have left; no node has confirmed that it took it
	Tracking Phase = "tracking" // a node took it; it is waited for, or its block (View.Outcome) may still change
	Ended    Phase = "ended"    // its outcome is final, or it can never be on the chain
)

// View is what an engine may know. It is a copy: slices in it belong to the caller and are read-only.
type View struct {
	Tx    Tx
	State json.RawMessage // what the engine returned in its last Decision, nil at first

	// Outcome is what a block says about the newest attempt, or about one that it replaces; nil while it is in none.
	Outcome *Outcome

	// LastError is the answer to the newest Submit or Prepare, if it failed. It is nil after success, and after a restart of
	// the process.
	LastError *ffcapi.Error

	Fee json.RawMessage // what the fee source says now; nil where there is none
	Now time.Time
}

// Tx is the transaction as an engine sees it.
type Tx struct {
	ID      string
	Ledger  string
	From    string
	To      string
	Nonce   *uint64 // on chains that have them
	Created time.Time

	Phase   Phase
	Attempt int // number of the newest attempt, from 1; each has its own payload
	Sends   int // times the newest attempt was sent

	Fee json.RawMessage // what the newest attempt offers; nil: nothing, or never sent

	FirstSubmit time.Time // zero: never sent
	LastSubmit  time.Time

	// Replaceable says that no attempt can be on the chain any more and no nonce would be left unused. Only then are Prepare
	// and Fail carried out.
	Replaceable bool

	// Outdated says that others have written since the newest attempt was prepared what it has read, so that it would fail. Nothing of it has
	// left. It waited while they had their turn, and has its own now: Prepare.
	Outdated bool

	// Heard says that a block arrived after LastSubmit, so that waiting longer for the transaction means that it may be lost.
	Heard bool
}

// Outcome is what a block says about an attempt.
type Outcome struct {
	Block     ffcapi.BlockRef
	Success   bool
	Reason    string
	Retryable bool // failed for a reason that a fresh preparation may not meet again
	Final     bool // the block cannot change any more
}

// Do is what an engine can ask for.
type Do string

// What an engine can ask for.
const (
	Submit    Do = "submit"    // send the newest attempt, now; if it was sent before, the same bytes again
	Prepare   Do = "prepare"   // prepare afresh: a new payload, the next attempt
	Wait      Do = "wait"      // do nothing until Until, or until something changes
	Reconcile Do = "reconcile" // look on the chain for the newest attempt, then ask again at Until
	Fail      Do = "fail"      // end the transaction as Failed, with Reason
)

// Decision is the answer of an engine.
//
// Fee: nil offers View.Fee with an attempt's first send, and the same again after it. Another one for an attempt that was sent makes, where
// the transaction has a nonce, a replacement: a new attempt with the same payload and nonce. Both stay tracked, and whichever gets on the
// chain ends the transaction. Without nonces what an attempt offers never changes.
type Decision struct {
	Do     Do
	Fee    json.RawMessage // with Submit: the fee to offer, see below
	Until  time.Time       // with Wait and Reconcile: when to ask again; zero: when something changes
	Reason string          // why, for people; the error message with Fail
	State  json.RawMessage // to be handed back; nil: none
}
