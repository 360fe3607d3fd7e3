package txstate

import (
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// Input is something that happened to a transaction.
type Input interface{ step(s *State, e *Effects) }

type (
	// Decided is a decision of the policy engine. Fee is what to offer with a first send when the decision names none. FeeError says why there
	// is none although there has to be; "" lets it be sent without.
	Decided struct {
		policy.Decision
		Fee      json.RawMessage
		FeeError string
		Now      time.Time
	}

	// Resumed begins the work on a transaction that was read from the store after a restart, or after another owner. Look is the
	// effect if its fate is open.
	Resumed struct{ Now time.Time }

	// Woken says that the engine is to be asked: its time has come, or something changed.
	Woken struct{}

	// Answered is the answer to a send.
	Answered struct {
		Hash string
		Err  *ffcapi.Error // nil: taken
		Now  time.Time
	}

	// Unsent takes a claim back whose send was not begun.
	Unsent struct{ Now time.Time }

	// Sighted answers a Look: the chain has the attempt, in a block that is not known to be final and canonical. Hash is the attempt's.
	Sighted struct{ Now time.Time }

	// Missing answers a Look: the chain has none of the attempts, or nobody could be asked. If Resend is set, the same bytes are sent
	// again; with a Fee other than theirs, what replaces them.
	Missing struct {
		Resend bool
		Fee    json.RawMessage
		Now    time.Time
	}

	// Found says that a block holds an attempt, that what it says changed, or that the block became final. Now is zero when the
	// store's clock is to be taken.
	Found struct {
		Attempt int // number
		Outcome store.Outcome
		Now     time.Time
	}

	// Undone says that the block that held an attempt is no longer canonical. Block is that block, if it is known.
	Undone struct {
		Attempt int
		Block   *ffcapi.BlockRef
		Now     time.Time
	}

	// Passed says that the chain is final up to a block, and that every outcome up to there has been applied.
	Passed struct {
		Block uint64
		Now   time.Time
	}

	// Fresh answers a Prepare with a new attempt. Number, Tx, signer and nonce are filled in here.
	Fresh struct {
		Attempt  store.Attempt
		Payload  store.Payload
		Gas      string          // "" keeps what is there
		Fee      json.RawMessage // what it is to offer; nil: as the policy engine says
		NodeNext *uint64         // the signer's next nonce as the node counts, when State.Renumbers
		Now      time.Time
	}

	// Latest answers an AskNonce: the chain has used the signer's nonces below Next.
	Latest struct{ Next uint64 }

	// Unprepared answers a Prepare that failed.
	Unprepared struct {
		Err *ffcapi.Error
		Now time.Time
	}
)

// Step applies an input. It changes nothing reachable from s. A transaction that is terminal stays as it is.
func Step(s State, in Input) (State, Effects) {
	var e Effects
	if s.Tx.Status.Terminal() {
		if op, ok := in.(operation); ok && !op.done(&s) {
			e.Refused = apitypes.ErrFinished
		}
		return s, e
	}
	s = s.clone()
	in.step(&s, &e)
	return s, e
}
