package txn

import (
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// outdated reports whether the newest attempt of a transaction would certainly fail: see policy.Tx.
func (m *Manager) outdated(v *policy.View) bool {
	return v.Tx.Phase == policy.Ready && v.Tx.Replaceable && m.contention.outdated(v.Tx.ID, v.Tx.Attempt)
}

// racesUnknown is how many races a transaction has to lose of which the keys are not known, until it waits for its turn on its contract. To
// prepare it afresh once without waiting is right for most, since they lost against one other.
const racesUnknown = 2

// inTurn has a transaction wait that is to be prepared afresh, or sent for the first time, while another one has its turn on one of their
// conflict keys. What may have left is sent again whoever's turn it is. Where there are nonces, these decide about turns.
func (m *Manager) inTurn(s *txstate.State, v *policy.View, d *policy.Decision) {
	starts := d.Do == policy.Prepare && v.Tx.Replaceable || d.Do == policy.Submit && v.Tx.Phase == policy.Ready
	keys := contested(s)
	switch {
	case !starts || v.Tx.Nonce != nil:
		return
	case len(keys) == 0:
		m.yield(v.Tx.ID) // an attempt before this one may have had some
		return
	}
	st := m.contention.enter(v.Tx.ID, v.Tx.Attempt, v.Tx.Ledger, keys, d.Do == policy.Prepare)
	m.next(st.next)
	if st.turn && d.Do == policy.Submit && !v.Tx.Outdated && m.outdated(v) {
		st.turn, st.until = false, v.Now // its turn came while the engine was deciding, which is asked again
	}
	if !st.turn {
		// The engine remembers nothing of a decision that was not carried out.
		*d = policy.Decision{Do: policy.Wait, Until: st.until, State: v.State}
	}
}

// contested are the keys on which a transaction waits for its turn.
func contested(s *txstate.State) []string { return contestedFor(s, s.Tx.To, s.ConflictKeys()) }

// contestedFor are those that it has with a contract and the keys of an attempt. The connector may not know any: then it is the contract, for
// those that lost again and again.
func contestedFor(s *txstate.State, to string, keys []string) []string {
	if len(keys) > 0 {
		return keys
	}
	lost := 0
	for i := range s.Attempts {
		if o := s.Attempts[i].Outcome; o != nil && o.Final && o.Retryable {
			lost++
		}
	}
	if lost < racesUnknown {
		return nil
	}
	return []string{"\x00" + to} // no key of a ledger, as far as connectors write them
}

// yield ends the turn of a transaction, or its waiting, once it has ended, somebody suspended it, or it has no key any more. What it wants after that,
// it waits for anew.
func (m *Manager) yield(id string) { m.next(m.contention.leave(id)) }

// next has transactions looked at whose turn has come. One that is not in memory would not use its turn: it asks for another when it is.
func (m *Manager) next(ids []string) {
	for len(ids) > 0 {
		id := ids[0]
		if ids = ids[1:]; !m.sched.hasten(id) {
			ids = append(ids, m.contention.leave(id)...)
		}
	}
}
