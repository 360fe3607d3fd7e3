package txstate

import (
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Do is what the manager has to do next, once Write is durable.
type Do int

// What the manager has to do next.
const (
	Nothing Do = iota
	Send       // submit the newest attempt
	Look       // look for the newest attempt on the chain; the answer is Sighted, Missing or Found
	Prepare    // prepare afresh; the answer is Fresh or Unprepared
)

// Effects is what a step asks for.
type Effects struct {
	Do  Do
	Ask bool // the policy engine has to be asked, after Do

	// Until is when the engine is to be asked again; zero: when something changes. It counts when Do is Nothing and Ask is not set,
	// and it is the time of the next try after a Look.
	Until time.Time

	// What has to be stored, see Update. Nothing is stored when Write is not set.
	Write    bool
	Attempts []int // numbers of the attempts that changed or are new
	Payload  *store.Payload
	History  []store.History
	Announce bool
	Wipe     bool
}

// Then is e followed by next: what both have to store, and what next wants done.
func (e Effects) Then(next Effects) Effects {
	next.Write = next.Write || e.Write
	next.Announce = next.Announce || e.Announce
	next.Wipe = next.Wipe || e.Wipe
	next.History = append(slices.Clip(e.History), next.History...)
	for _, n := range e.Attempts {
		if !slices.Contains(next.Attempts, n) {
			next.Attempts = append(next.Attempts, n)
		}
	}
	if next.Payload == nil {
		next.Payload = e.Payload
	}
	return next
}

// Update is what the store is to write for e, with s the state after the step; nil for nothing.
func (e *Effects) Update(s *State) *store.TxUpdate {
	if !e.Write {
		return nil
	}
	tx := s.Tx
	u := &store.TxUpdate{Tx: &tx, Payload: e.Payload, History: e.History, Announce: e.Announce, Wipe: e.Wipe}
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
