package txstate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// Rule is the store.OutcomeRule: what an outcome in a block does to a transaction. Times are left for the store to fill in.
func Rule(tx *store.Tx, attempts []*store.Attempt, hit int) *store.TxUpdate {
	s := State{Tx: *tx, Attempts: make([]store.Attempt, len(attempts))}
	for i, a := range attempts {
		s.Attempts[i] = *a
	}
	a := s.Attempts[hit]
	var e Effects
	if a.Undone != nil || a.Outcome == nil {
		s, e = Step(s, Undone{Attempt: a.Number, Block: a.Undone})
	}
	if a.Outcome != nil {
		next, found := Step(s, Found{Attempt: a.Number, Outcome: *a.Outcome})
		s, e = next, e.Then(found)
	}
	return e.Update(&s)
}

func (in Found) step(s *State, e *Effects) {
	a := s.attempt(in.Attempt)
	if a == nil || (a.Outcome != nil && a.Outcome.Final && a.State == store.AttemptDone) {
		return // the first outcome that is final is the outcome
	}
	o := in.Outcome
	s.progress(e, in.Now)
	a.Outcome = &o
	e.changed(a)
	if o.By != "" {
		s.usedBy(e, a, in.Now)
		return
	}
	s.Tx.Hash = a.Hash
	e.note(store.History{Sub: store.SubTracking, Action: ActionReceipt, Time: in.Now, Error: o.Reason, Info: blockInfo(o.Block)})
	if !o.Final {
		s.setSub(store.SubTracking, in.Now)
		s.Tx.Error = ""
		s.Tx.Due = time.Time{}
		return
	}
	a.State = store.AttemptDone
	s.exclude(e, a)
	switch {
	case !s.Tx.CancelAsked.IsZero() && s.settled():
		s.cancelled(e, &o, in.Now)
	case o.Success:
		s.succeed(e, &o, in.Now)
	case !s.settled():
		// Another attempt may still be on its way. The rules above never let it come to that; if it does, nothing is decided yet.
		s.setSub(store.SubUnknownOutcome, in.Now)
	case o.Retryable && a.Number == s.newest().Number:
		// The policy engine says whether it is prepared afresh. The log wakes the manager.
		s.Tx.Error = o.Reason
		s.Tx.Due = time.Time{}
		s.setSub(store.SubReceived, in.Now)
		e.Announce, e.Ask = true, true
	default:
		s.failed(e, &o, in.Now)
	}
}

// exclude ends the attempts that can no longer be on the chain because a is.
func (s *State) exclude(e *Effects, a *store.Attempt) {
	for i := range s.Attempts {
		other := &s.Attempts[i]
		if other.Number == a.Number || other.State == store.AttemptDone || !excludes(a, other) {
			continue
		}
		other.State, other.Dead = store.AttemptDone, fmt.Sprintf("attempt %d excludes it", a.Number)
		e.changed(other)
	}
}

// settled reports whether every attempt is at its end.
func (s *State) settled() bool {
	for i := range s.Attempts {
		if !s.dead(&s.Attempts[i]) {
			return false
		}
	}
	return true
}

func (s *State) succeed(e *Effects, o *store.Outcome, now time.Time) {
	s.Tx.Outcome = o
	e.note(store.History{Sub: store.SubConfirmed, Action: ActionConfirm, Time: now, Info: blockInfo(o.Block)})
	s.end(e, store.Succeeded, store.SubConfirmed, "", now)
}

func (s *State) failed(e *Effects, o *store.Outcome, now time.Time) {
	s.Tx.Outcome = o
	reason := o.Reason
	if reason == "" {
		reason = "the chain refused it"
	}
	e.note(store.History{Sub: store.SubConfirmed, Action: ActionConfirm, Time: now, Info: blockInfo(o.Block)})
	s.end(e, store.Failed, store.SubFailed, reason, now)
}

func (in Undone) step(s *State, e *Effects) {
	a := s.attempt(in.Attempt)
	if a == nil || a.State == store.AttemptDone {
		return
	}
	a.Outcome = nil
	e.changed(a)
	h := store.History{Sub: store.SubTracking, Action: ActionUndone, Time: in.Now}
	if in.Block != nil {
		h.Info = blockInfo(*in.Block)
	}
	e.note(h)
	s.progress(e, in.Now)
	s.setSub(store.SubTracking, in.Now)
	s.Tx.Due = time.Time{}
	e.Announce, e.Ask = true, true // nothing was due while it was in a block: the log wakes the manager
}

func (in Passed) step(s *State, e *Effects) {
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if a.State == store.AttemptDone || a.Outcome != nil || a.Expires == 0 || in.Block <= a.Expires {
			continue
		}
		if s.Sending && a.Number == s.newest().Number {
			continue // its answer first
		}
		a.State, a.Dead = store.AttemptDone, fmt.Sprintf("expired after block %d", a.Expires)
		e.changed(a)
		e.Ask = true
	}
	if e.Write && s.Tx.Status == store.Suspended && s.settled() {
		s.setSub(store.SubPrepared, in.Now) // nobody goes on with it now, so it has to look like what it is
	}
}

func (s *State) attempt(number int) *store.Attempt {
	for i := range s.Attempts {
		if s.Attempts[i].Number == number {
			return &s.Attempts[i]
		}
	}
	return nil
}

func blockInfo(at ffcapi.BlockRef) json.RawMessage {
	b := make([]byte, 0, 128)
	b = append(b, `{"block":"`...)
	b = strconv.AppendUint(b, at.Number, 10)
	b = append(b, `","hash":`...)
	hash, err := json.Marshal(at.Hash)
	if err != nil {
		return nil // a string always encodes
	}
	b = append(b, hash...)
	return append(b, '}')
}
