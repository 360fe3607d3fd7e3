package txstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// The history actions, by FireFly's names where it has one.
const (
	ActionAssignNonce = "AssignNonce"
	ActionFee         = "RetrieveGasPrice"
	ActionSubmit      = "SubmitTransaction"
	ActionTimeout     = "Timeout"
	ActionReceipt     = "ReceiveReceipt"
	ActionConfirm     = "Confirm"
	ActionPrepare     = "PrepareTransaction"
	ActionUndone      = "ReceiptRemoved"
	ActionFail        = "GiveUp"
	ActionUpdate      = "ExternalUpdate"
	ActionSuspend     = "Suspend"
	ActionResume      = "Resume"
	ActionCancel      = "Cancel"
	ActionRetry       = "Retry"
)

const (
	// minPause is the least time between two sends of a transaction, and until the policy engine is asked again after it said to wait,
	// whatever it says.
	minPause = 10 * time.Millisecond
	// refusedPause is how long a decision that may not be carried out is a Wait, when it names no time itself. It is also the time between two
	// looks at a block that is not final.
	refusedPause = 10 * time.Second
)

func (in Decided) step(s *State, e *Effects) {
	if s.Tx.Status == store.Suspended || s.lost(e, in.Now) {
		return
	}
	s.setPolicy(e, in.State)
	switch in.Do {
	case policy.Submit:
		s.decidedSubmit(e, in)
	case policy.Prepare:
		if !s.replaceable() {
			s.wait(e, in.Until, in.Now, true)
			return
		}
		if s.Tx.Kind == apitypes.FillNonce {
			s.fail(e, in.Reason, in.Now) // there is no request to prepare
			return
		}
		e.Do = Prepare
	case policy.Fail:
		if !s.replaceable() {
			s.wait(e, in.Until, in.Now, true)
			return
		}
		s.fail(e, in.Reason, in.Now)
	case policy.Reconcile:
		s.reconcile(e)
		s.wait(e, in.Until, in.Now, true)
	default:
		o := s.outcome()
		s.wait(e, in.Until, in.Now, in.Do != policy.Wait || o == nil || o.Final)
	}
}

// decidedSubmit sends, unless that would be blind or too soon.
func (s *State) decidedSubmit(e *Effects, in Decided) {
	a := s.newest()
	switch {
	case s.Sending || a.State == store.AttemptDone || s.outcome() != nil || s.Incomplete:
		s.wait(e, in.Until, in.Now, true)
	case s.LastError != nil && s.LastError.Kind == ffcapi.NonceTooLow:
		s.reconcile(e)
		s.wait(e, in.Until, in.Now, true)
	case a.Sends > 0 && (in.Now.Sub(s.Tx.LastSubmit).Abs() < minPause || in.Now.Sub(s.Answer).Abs() < minPause):
		s.wait(e, in.Now.Add(minPause), in.Now, true)
	case s.late(in.Now):
		e.Do = Prepare
	case s.tracked() && len(s.Sought()) > 0:
		s.look(e, true) // it may have got there, and nobody noticed
		e.Fee = in.Decision.Fee
	case s.feeless(&in):
		s.awaitFee(e, &in)
	default:
		s.sendFor(e, in.Decision.Fee, in.Fee, in.Now)
	}
}

// look has the attempts looked for that can be.
func (s *State) look(e *Effects, resend bool) {
	if len(s.Sought()) > 0 && s.phase() != policy.Ended {
		e.Do, e.Resend = Look, resend
	}
}

// send claims the newest attempt, if need be, and has it sent.
func (s *State) send(e *Effects, fee json.RawMessage, now time.Time) {
	a := s.newest()
	if a.Sends == 0 && a.Open == 0 && a.Fee == nil { // what an owner before may have sent offered nothing
		s.setFee(e, a, fee, now)
	}
	s.Sending, s.Claimed, s.SentAt = true, false, now
	switch {
	case a.State == store.AttemptPrepared || a.Open == 0:
		// From here on bytes may be out, and the store has to know before they are.
		tracked := s.tracked()
		s.Claimed = true
		a.State = store.AttemptSubmitting
		a.Claim = s.Generation
		a.Open++
		s.sent(a)
		if tracked {
			s.stale(e, now) // a node has taken what this replaces, so whatever comes after it may go
		} else {
			s.setSub(store.SubSubmitting, now)
		}
		e.changed(a)
	default:
		s.stale(e, now)
	}
	s.Tx.Due = time.Time{}
	e.Do = Send
}

// stale notes that what a node took has to be sent again. The history says so once for each attempt; how often it was sent is in the
// count of the sends, which are folded.
func (s *State) stale(e *Effects, now time.Time) {
	if s.Tx.Sub != store.SubTracking {
		return
	}
	s.setSub(store.SubStale, now)
	if s.newest().Sends <= 1 {
		e.note(store.History{Sub: store.SubStale, Action: ActionTimeout, Time: now})
	}
}

// sent counts the send under way.
func (s *State) sent(a *store.Attempt) {
	a.Sends++
	a.LastSent = s.SentAt
	s.Tx.LastSubmit = s.SentAt
	if s.Tx.FirstSubmit.IsZero() {
		s.Tx.FirstSubmit = s.SentAt
	}
}

func (in Resumed) step(s *State, e *Effects) {
	s.Sending = false
	a := s.newest()
	if a.State != store.AttemptSubmitting {
		e.Ask = true
		return
	}
	if a.Claim != s.Generation {
		// What the owner before has under way is not known, so its claim cannot be shown to have left nothing.
		a.Claim = s.Generation
		a.Open = max(a.Open, 1)
		if s.phase() == policy.Unknown {
			s.setSub(store.SubUnknownOutcome, in.Now)
		}
		e.changed(a)
	}
	switch {
	case s.Tx.Status == store.Suspended:
		s.inquire(e)
	case s.phase() != policy.Unknown:
		e.Ask = true
	case a.Hash != "":
		s.look(e, true)
	default:
		s.send(e, nil, in.Now) // what it is called is learned by sending it again
	}
}

func (in Woken) step(s *State, e *Effects) {
	e.Ask = true
	if s.Doubtful() {
		s.inquire(e)
	}
}

func (in Answered) step(s *State, e *Effects) {
	a := s.newest()
	if !s.Sending {
		return
	}
	s.Sending, s.Answer = false, in.Now
	s.account(a, in.Err != nil && in.Err.Sent == ffcapi.SentNo)
	e.changed(a)
	taken := in.Err == nil
	hash := in.Hash
	if in.Err != nil {
		if in.Err.Kind == ffcapi.KnownTransaction {
			taken = true
		}
		if in.Err.Hash != "" {
			hash = in.Err.Hash
		}
	}
	if a.Hash == "" && hash != "" {
		a.Hash = hash
		if s.Tx.Nonce == nil {
			s.look(e, false) // its block may have passed while nobody knew what to look for
		}
	}
	if a.Hash != "" {
		s.Tx.Hash = a.Hash
	}
	if taken {
		s.taken(e, in.Now)
	} else {
		s.refused(e, in.Err, in.Now)
	}
	e.Ask = true
}

// account counts a send that has ended. nothing: it certainly left nothing.
func (s *State) account(a *store.Attempt, nothing bool) {
	switch {
	case !s.Claimed:
		s.sent(a)
		if !nothing {
			a.Open++
		}
	case nothing && (s.Tx.Sub == store.SubSubmitting || s.Tx.Sub == store.SubStale):
		a.Open-- // unless a block has shown meanwhile that it did leave
	}
}

func (s *State) taken(e *Effects, now time.Time) {
	a := s.newest()
	s.LastError = nil
	a.Error, s.Tx.Error = "", ""
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionSubmit, Time: now, Info: hashInfo(a.Hash)})
	s.track(e, now)
}

// track notes that a node has the transaction. When it had it before, that is no progress.
func (s *State) track(e *Effects, now time.Time) {
	if s.Tx.Sub != store.SubTracking && s.Tx.Sub != store.SubStale {
		s.progress(e, now)
	}
	s.setSub(store.SubTracking, now)
}

func (s *State) refused(e *Effects, err *ffcapi.Error, now time.Time) {
	a := s.newest()
	s.LastError = err
	a.Error = err.Error()
	s.Tx.Error = a.Error
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionSubmit, Time: now, Error: a.Error})
	switch s.Tx.Sub {
	case store.SubTracking, store.SubStale: // taken before, whatever became of this repetition
	default:
		s.unsettled(now)
	}
}

// unsettled sets the sub-status of an attempt that no node has taken yet.
func (s *State) unsettled(now time.Time) {
	if s.newest().Open == 0 && s.settled() {
		s.setSub(store.SubPrepared, now)
	} else {
		s.setSub(store.SubUnknownOutcome, now)
	}
}

func (in Unsent) step(s *State, e *Effects) {
	if !s.Sending {
		return
	}
	s.Sending = false
	if !s.Claimed {
		return
	}
	a := s.newest()
	a.Sends--
	a.Open--
	if a.Sends == 0 && len(s.Attempts) == 1 {
		s.Tx.FirstSubmit, s.Tx.LastSubmit = time.Time{}, time.Time{}
	}
	if s.Tx.Sub == store.SubSubmitting {
		s.unsettled(in.Now)
	}
	e.changed(a)
}

func (in Sighted) step(s *State, e *Effects) {
	if s.Tx.Sub != store.SubTracking {
		s.track(e, in.Now)
		s.Tx.Error = ""
		e.Write = true
	}
	s.LastError = nil
	s.wait(e, in.Now.Add(refusedPause), in.Now, true)
}

func (in Missing) step(s *State, e *Effects) {
	a := s.newest()
	if in.Resend && a.State == store.AttemptSubmitting && s.outcome() == nil && !s.Sending && s.Tx.Status != store.Suspended {
		s.sendFor(e, in.Fee, nil, in.Now)
	}
}

func (in Fresh) step(s *State, e *Effects) {
	if !s.replaceable() {
		return // the answer to a question that is no longer open
	}
	renumber, was := s.Renumbers(), s.Tx.Nonce
	s.supersede(e, replacement{Attempt: in.Attempt, Payload: in.Payload, Gas: in.Gas, Why: "replaced before anything left", Now: in.Now})
	s.Tx.Fee = in.Fee
	if renumber {
		s.Lost = false
		e.Renumber, e.NodeNext = true, in.NodeNext
		e.note(store.History{Sub: s.Tx.Sub, Action: ActionAssignNonce, Time: in.Now, Info: nonceInfo(*was)})
	}
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionPrepare, Time: in.Now, Info: attemptInfo(s.Tx.Attempt)})
	if !renumber {
		e.Ask = true
		return
	}
	s.Tx.Due = time.Time{} // the store assigns the nonce, and that says whose turn it is
}

func (in Unprepared) step(s *State, e *Effects) {
	s.LastError = in.Err
	s.Tx.Error = in.Err.Error()
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionPrepare, Time: in.Now, Error: s.Tx.Error})
	e.Ask = true
}

// wait leaves the transaction alone until the engine is asked again, which is not at once whatever it says. bounded: there has to be a
// time, because nothing else may ever wake it.
func (s *State) wait(e *Effects, until, now time.Time, bounded bool) {
	if s.Tx.Status == store.Suspended {
		return
	}
	switch soonest := now.Add(minPause); {
	case until.IsZero() && bounded:
		until = now.Add(refusedPause)
	case !until.IsZero() && until.Before(soonest):
		until = soonest
	}
	if !s.Tx.Due.Equal(until) {
		s.Tx.Due = until
		e.Write = true
	}
}

// fail ends a transaction of which every attempt is dead.
func (s *State) fail(e *Effects, reason string, now time.Time) {
	s.bury(e, "given up before anything left")
	if reason == "" {
		reason = "given up"
	}
	if newest := s.newest(); newest.Outcome != nil && newest.Outcome.By == "" {
		o := *newest.Outcome
		s.Tx.Outcome = &o
	}
	e.note(store.History{Sub: store.SubFailed, Action: ActionFail, Time: now, Error: reason})
	s.end(e, store.Failed, store.SubFailed, reason, now)
}

func (s *State) end(e *Effects, status store.TxStatus, sub store.SubStatus, reason string, now time.Time) {
	s.Tx.Status = status
	s.setSub(sub, now)
	s.Tx.Error = reason
	s.Tx.Due = time.Time{}
	s.LastError = nil
	e.Do, e.Ask = Nothing, false
	e.Write, e.Announce, e.Wipe = true, true, true
}

func (s *State) setSub(sub store.SubStatus, now time.Time) {
	if s.Tx.Sub != sub {
		s.Tx.Sub, s.Tx.SubSince = sub, now
	}
}

// setPolicy keeps what the engine wants to remember. What is no JSON would spoil every answer that shows the transaction.
func (s *State) setPolicy(e *Effects, state json.RawMessage) {
	if !json.Valid(state) {
		state = nil
	}
	if !bytes.Equal(s.Tx.PolicyState, state) {
		s.Tx.PolicyState = state
		e.Write = true
	}
}

func attemptInfo(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"attempt":%d}`, n)) }
