package txstate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func equal(a, b *uint64) bool { return a != nil && b != nil && *a == *b }

// current reports whether an attempt was made for the nonce that the transaction has now.
func (s *State) current(a *store.Attempt) bool {
	return s.Tx.Nonce == nil || equal(a.Nonce, s.Tx.Nonce)
}

// usurped reports whether the chain has used the nonce for a transaction that is none of this one's attempts.
func (s *State) usurped() bool {
	return s.Lost || slices.ContainsFunc(s.Attempts, func(a store.Attempt) bool {
		return a.Outcome != nil && a.Outcome.Final && a.Outcome.By != "" && s.current(&a)
	})
}

// Renumbers reports whether a fresh attempt needs another nonce, because the chain has used the one that the transaction has.
func (s *State) Renumbers() bool { return s.Tx.Nonce != nil && s.replaceable() }

// reconcile has it found out what became of the newest attempt. Of one that certainly left nothing the chain knows nothing: it can only
// say whether the nonce is still free.
func (s *State) reconcile(e *Effects) {
	tooLow := s.LastError != nil && s.LastError.Kind == ffcapi.NonceTooLow
	if tooLow && s.Tx.Nonce != nil && !s.Sending && s.settled() {
		e.Do = AskNonce
		return
	}
	s.look(e, false)
}

// Doubtful reports whether it is not known what became of a suspended transaction, and time or the chain may tell. To ask is no send.
func (s *State) Doubtful() bool {
	if s.Tx.Status != store.Suspended || s.Sending {
		return false
	}
	return s.Expires() || s.phase() == policy.Unknown && len(s.Sought()) > 0
}

// inquire has it found out what became of a transaction that must not be sent.
func (s *State) inquire(e *Effects) {
	e.Ask = true
	if s.phase() == policy.Unknown {
		s.look(e, false)
	}
}

func (in Latest) step(s *State, e *Effects) {
	if s.Tx.Nonce == nil || in.Next <= *s.Tx.Nonce || s.Sending || !s.settled() || s.nonceUsed() {
		return // the node that refused it counts differently from the one that was asked, or somebody was faster
	}
	s.Lost = true
	s.Tx.Error = fmt.Sprintf("nonce %d of %s was used by another transaction", *s.Tx.Nonce, s.Tx.From)
	e.Ask = true
}

// usedBy notes that another transaction has the attempt's nonce. Once that is final, all attempts with this nonce are dead.
func (s *State) usedBy(e *Effects, a *store.Attempt, now time.Time) {
	o := a.Outcome
	reason := fmt.Sprintf("nonce %d of %s is used by %s", *a.Nonce, s.Tx.From, o.By)
	e.note(store.History{Sub: s.Tx.Sub, Action: ActionReceipt, Time: now, Error: reason, Info: blockInfo(o.Block)})
	s.Tx.Due = time.Time{}
	if !o.Final {
		return
	}
	for i := range s.Attempts {
		other := &s.Attempts[i]
		if other.State != store.AttemptDone && equal(other.Nonce, a.Nonce) {
			other.State, other.Dead = store.AttemptDone, reason
			e.changed(other)
		}
	}
	s.Tx.Error = reason
	if s.settled() && s.lost(e, now) && s.Tx.Status.Terminal() {
		return
	}
	// What is to be done is the manager's: the log wakes it.
	e.Do, e.Ask, e.Announce = Nothing, true, true
	s.setSub(store.SubReceived, now)
}

// lost does what follows when somebody else has used the nonce: what was to be done is prepared afresh and gets a nonce at the tail.
// Whether that is worth while is no question to the policy engine, unless the chain refuses to prepare it.
func (s *State) lost(e *Effects, now time.Time) bool {
	switch {
	case s.Tx.Nonce == nil || !s.replaceable() || !s.usurped():
		return false
	case !s.Tx.CancelAsked.IsZero():
		s.cancelled(e, nil, now)
	case s.Tx.Kind == apitypes.FillNonce:
		s.fail(e, s.Tx.Error, now) // there is nothing left to fill
	case s.LastError != nil && s.LastError.Kind.Final():
		return false
	default:
		e.Do = Prepare
	}
	return true
}

// nonceInfo names the nonce that a transaction had before.
func nonceInfo(was uint64) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"was":"%d"}`, was)) }
