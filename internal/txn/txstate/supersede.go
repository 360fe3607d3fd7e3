package txstate

import (
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// replacement is an attempt that takes the place of those before it, which are all dead.
type replacement struct {
	Attempt store.Attempt
	Payload store.Payload
	Gas     string // "" keeps what is there
	Why     string // the attempts before it are dead
	Now     time.Time
}

// supersede makes an attempt the newest one.
func (s *State) supersede(e *Effects, r replacement) {
	s.bury(e, r.Why)
	a := r.Attempt
	a.Tx, a.Number, a.State, a.From, a.Nonce = s.Tx.ID, s.newest().Number+1, store.AttemptPrepared, s.Tx.From, s.Tx.Nonce
	s.Attempts = append(s.Attempts, a)
	e.changed(&a)
	e.Payload = &r.Payload
	s.Tx.Attempt, s.Tx.Hash = a.Number, a.Hash
	if r.Gas != "" {
		s.Tx.Gas = r.Gas
	}
	s.LastError, s.Incomplete = nil, false
	s.Tx.Fee = nil
	s.setSub(store.SubPrepared, r.Now)
	s.progress(e, r.Now)
}

// bury marks the attempts that are dead without a mark.
func (s *State) bury(e *Effects, why string) {
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if a.State != store.AttemptDone {
			a.State, a.Dead = store.AttemptDone, why
			e.changed(a)
		}
	}
}

// progress notes that the transaction got further.
func (s *State) progress(e *Effects, now time.Time) {
	e.Write = true
	if now.IsZero() {
		e.Progressed = true
		return
	}
	s.Tx.Progressed = now
}
