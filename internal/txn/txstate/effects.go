package txstate

import (
	"encoding/json"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Do is what the manager has to do next, once Write is durable.
type Do int

// What the manager has to do next.
const (
	Nothing  Do = iota
	Send        // submit the newest attempt
	Look        // look for the newest attempt on the chain; the answer is Found, Sighted or Missing
	Prepare     // prepare afresh; the answer is Fresh or Unprepared
	AskNonce    // ask the chain for the signer's next nonce; the answer is Latest
	UseUp       // answers a Cancel: come again with GiveBack or an attempt that uses the nonce up
)

// Effects is what a step asks for. When nothing is left to do, the transaction waits until Tx.Due, or if that is zero until
// something changes.
type Effects struct {
	Do     Do
	Resend bool // with Look: if it is missing, it is to be sent again
	Ask    bool // the policy engine has to be asked
	// Fee, with Resend, is what the engine wants to offer, see Missing.
	Fee json.RawMessage

	// Refused says why an operation was not carried out, as one of apitypes' errors.
	Refused error

	// What has to be stored, see Update. Nothing is stored when Write is not set.
	Write    bool
	Attempts []int // numbers of the attempts that changed or are new
	Payload  *store.Payload
	Repeats  int // the new attempt's payload is that of this one, to be filled in before Update; 0: none
	History  []store.History
	Announce bool
	Wipe     bool

	Progressed bool // at the store's time
	Request    json.RawMessage
	GiveBack   bool
	Renumber   bool
	NodeNext   *uint64
}

// Then is e followed by next: what both have to store, and what next wants done.
func (e Effects) Then(next Effects) Effects {
	if next.Do == Nothing {
		next.Do, next.Resend, next.Fee = e.Do, e.Resend, e.Fee
	}
	next.Write = next.Write || e.Write
	next.Announce = next.Announce || e.Announce
	next.Wipe = next.Wipe || e.Wipe
	next.Progressed = next.Progressed || e.Progressed
	if e.Renumber {
		next.Renumber, next.NodeNext = true, e.NodeNext
	}
	next.History = append(slices.Clip(e.History), next.History...)
	for _, n := range e.Attempts {
		if !slices.Contains(next.Attempts, n) {
			next.Attempts = append(next.Attempts, n)
		}
	}
	if next.Payload == nil {
		next.Payload = e.Payload
	}
	next.Repeats = max(next.Repeats, e.Repeats)
	return next
}

// Asking is e with the engine asked.
func (e Effects) Asking() Effects {
	e.Ask = true
	return e
}

// Update is what the store is to write for e, with s the state after the step; nil for nothing.
func (e *Effects) Update(s *State) *store.TxUpdate {
	if !e.Write {
		return nil
	}
	tx := s.Tx
	u := &store.TxUpdate{
		Tx: &tx, Payload: e.Payload, History: e.History, Announce: e.Announce, Wipe: e.Wipe,
		Progressed: e.Progressed, Request: e.Request, GiveBack: e.GiveBack, Renumber: e.Renumber, NodeNext: e.NodeNext,
	}
	for i := range s.Attempts {
		if slices.Contains(e.Attempts, s.Attempts[i].Number) {
			a := s.Attempts[i]
			u.Attempts = append(u.Attempts, &a)
		}
	}
	return u
}

func (e *Effects) changed(a *store.Attempt) {
	e.Write = true
	if !slices.Contains(e.Attempts, a.Number) {
		e.Attempts = append(e.Attempts, a.Number)
	}
}

func (e *Effects) note(h store.History) {
	e.Write = true
	e.History = append(e.History, h)
}

func hashInfo(hash string) json.RawMessage {
	if hash == "" {
		return nil
	}
	raw, err := json.Marshal(map[string]string{"hash": hash})
	if err != nil {
		return nil // a string always encodes
	}
	return raw
}
