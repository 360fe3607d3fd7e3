package txstate

import (
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

type (
	// Finished completes an attempt of which no send was ever claimed: it is what Prepare had left to be done. Attempt.Number is set.
	Finished struct {
		Attempt store.Attempt
		Payload store.Payload
	}

	// Unfinished says that an attempt could not be completed. It is not sent as it is.
	Unfinished struct {
		Attempt int // number
		Err     *ffcapi.Error
		Now     time.Time
	}
)

// Unclaimed reports whether no send of the newest attempt was ever claimed.
func (s *State) Unclaimed() bool { return s.newest().State == store.AttemptPrepared }

func (in Finished) step(s *State, e *Effects) {
	e.Ask = true
	a := s.newest()
	if !s.Unclaimed() || a.Number != in.Attempt.Number {
		return // somebody was faster
	}
	a.Expires, a.Exclusive, a.ConflictKeys, a.SendBefore = in.Attempt.Expires, in.Attempt.Exclusive, in.Attempt.ConflictKeys, in.Attempt.SendBefore
	e.Payload = &in.Payload
	e.changed(a)
}

func (in Unfinished) step(s *State, e *Effects) {
	e.Ask = true
	if !s.Unclaimed() || s.newest().Number != in.Attempt {
		return // somebody was faster
	}
	Unprepared{Err: in.Err, Now: in.Now}.step(s, e)
	s.Incomplete, s.Tried = true, in.Now
}
