package txstate

import (
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// State is one transaction with its attempts as they are stored, and what only this process knows about it.
type State struct {
	Tx       store.Tx
	Attempts []store.Attempt // in order of Number; the newest is last

	// Generation is the owner on whose behalf this process works. 0 is nobody: nothing that was claimed counts as dead
	// because of what its sends answered.
	Generation int64

	Sending    bool      // a send of the newest attempt is under way
	Claimed    bool      // that send was counted in the store before it began
	SentAt     time.Time // when it began
	Answer     time.Time // when the newest one ended
	Lost       bool      // the chain has used the nonce, and all attempts with it are dead: it was somebody else
	Incomplete bool      // Prepare has left something to be done of the newest attempt, and it could not be
	Tried      time.Time // when that was found out

	LastError *ffcapi.Error // answer to the newest Submit or Prepare if it failed; nil after success and after a restart
}

// Reload is s with what is stored now, when somebody else changed it meanwhile. What only this process knows stays, unless it is about
// an attempt that is not the newest any more: what its send will be answered does not matter, because it was found dead meanwhile.
func (s State) Reload(tx *store.Tx, attempts []*store.Attempt) State {
	if tx.Attempt != s.Tx.Attempt && s.Tx.Attempt != 0 {
		s.LastError, s.Lost, s.Sending = nil, false, false
	}
	s.Tx = *tx
	s.Attempts = make([]store.Attempt, len(attempts))
	for i, a := range attempts {
		s.Attempts[i] = *a
	}
	return s
}

// newest returns the attempt that Tx.Attempt names.
func (s *State) newest() *store.Attempt {
	if len(s.Attempts) == 0 {
		return &store.Attempt{State: store.AttemptDone, Dead: "there is no attempt"}
	}
	return &s.Attempts[len(s.Attempts)-1]
}

// ConflictKeys are those of the newest attempt.
func (s *State) ConflictKeys() []string { return s.newest().ConflictKeys }

// clone makes a copy whose attempts can be changed.
func (s State) clone() State {
	s.Attempts = slices.Clone(s.Attempts)
	return s
}

// dead reports whether an attempt can never be on the chain, or is there as failed for good.
func (s *State) dead(a *store.Attempt) bool {
	switch a.State {
	case store.AttemptDone:
		return true
	case store.AttemptPrepared:
		return true // never claimed
	default:
		sending := s.Sending && a.Number == s.newest().Number
		return a.Open == 0 && !sending && s.Generation != 0 && a.Claim == s.Generation && a.Outcome == nil
	}
}

// nonceUsed reports whether the chain has used the transaction's nonce up, for one of its own attempts or for another transaction.
func (s *State) nonceUsed() bool {
	return s.Lost || slices.ContainsFunc(s.Attempts, func(a store.Attempt) bool {
		return a.Outcome != nil && a.Outcome.Final && s.current(&a)
	})
}

// replaceable reports whether the transaction may be prepared afresh or failed. While a send is under way its answer belongs to
// the newest attempt, so that has to stay the newest.
func (s *State) replaceable() bool {
	return !s.Sending && s.settled() && (s.Tx.Nonce == nil || s.nonceUsed())
}

// late reports whether the newest attempt, of which nothing has left, has waited too long to be sent.
func (s *State) late(now time.Time) bool {
	a := s.newest()
	return !a.SendBefore.IsZero() && !now.Before(a.SendBefore) && s.replaceable()
}

// phase is what policies call how far the newest attempt got.
func (s *State) phase() policy.Phase {
	a := s.newest()
	switch {
	case a.State == store.AttemptDone:
		return policy.Ended
	case s.outcome() != nil:
		return policy.Tracking
	case s.settled():
		return policy.Ready
	case s.Tx.Sub == store.SubTracking, s.Tx.Sub == store.SubStale:
		return policy.Tracking
	default:
		return policy.Unknown
	}
}

// Taken reports whether a node has taken the newest attempt, or will not take it because its nonce is used: whatever comes
// after it in the order of nonces may be sent.
func (s *State) Taken() bool {
	if s.Tx.Status.Terminal() {
		return true
	}
	switch s.phase() {
	case policy.Tracking, policy.Ended:
		return true
	default:
		return s.LastError != nil && s.LastError.Kind == ffcapi.NonceTooLow
	}
}

// Refused reports whether a node that had taken the newest attempt before refuses it now, as far as is known: until it is in a block, or
// taken again, nothing of its signer with a higher nonce can get into a block. That it could not be prepared afresh is no such refusal.
func (s *State) Refused() bool {
	return s.LastError != nil && s.LastError.Kind != ffcapi.NonceTooLow && s.newest().Error != "" &&
		s.phase() == policy.Tracking && s.outcome() == nil
}

// Expires reports whether time may end an attempt, see Passed.
func (s *State) Expires() bool {
	return slices.ContainsFunc(s.Attempts, func(a store.Attempt) bool {
		return a.Expires > 0 && a.State != store.AttemptDone && a.Outcome == nil
	})
}

// View is what a policy engine may know. Fee and Now are the caller's to fill in, and whether a block was heard of.
func (s *State) View() policy.View {
	a := s.newest()
	v := policy.View{
		Tx: policy.Tx{
			ID: s.Tx.ID, Ledger: s.Tx.Ledger, From: s.Tx.From, To: s.Tx.To, Nonce: s.Tx.Nonce, Created: s.Tx.Created,
			Phase: s.phase(), Attempt: a.Number, Sends: a.Sends,
			FirstSubmit: s.Tx.FirstSubmit, LastSubmit: s.Tx.LastSubmit, Fee: a.Fee,
			Replaceable: s.replaceable(),
		},
		State:     s.Tx.PolicyState,
		LastError: s.LastError,
	}
	if s.Tried.After(v.Tx.LastSubmit) {
		v.Tx.LastSubmit = s.Tried // LastError is as new as that
	}
	if o := s.outcome(); o != nil {
		v.Outcome = &policy.Outcome{Block: o.Block, Success: o.Success, Reason: o.Reason, Retryable: o.Retryable, Final: o.Final}
	}
	return v
}

// Submission is what the connector is given to send the newest attempt: the same each time.
func (s *State) Submission(p *store.Payload) *ffcapi.Submission {
	a := s.newest()
	return &ffcapi.Submission{
		Prepared: &ffcapi.Prepared{
			Ledger: a.Ledger, Payload: p.Prepared, Hash: a.Hash, Gas: s.Tx.Gas, Result: p.Result,
			Expires: a.Expires, Exclusive: a.Exclusive, ConflictKeys: a.ConflictKeys, Sensitive: p.Secret, SendBefore: a.SendBefore,
		},
		From: s.Tx.From, To: s.Tx.To, Value: s.Tx.Value, Gas: s.Tx.Gas, Nonce: s.Tx.Nonce, Fee: a.Fee,
	}
}
