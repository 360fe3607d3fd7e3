package store

import (
	"context"
	"encoding/json"
	"time"
)

// The kinds of dead letters.
const (
	LetterPermanent  = "permanent"  // the receiver said that it will refuse the event for ever
	LetterRefused    = "refused"    // the receiver refused the event, and took others meanwhile
	LetterExpression = "expression" // the event could not be evaluated, so it was sent to nobody
)

// DeadLetter is an event that was set aside because it could not be delivered. It outlives its listener, not its stream.
type DeadLetter struct {
	Seq          int64  // orders those of all streams as they were set aside
	ID           string // made of stream, listener, event and replay: an event that is set aside twice has it twice
	Stream       string // id
	Listener     string // id
	ListenerName string // when the event was delivered
	Replay       string // of the listener, as in sink.Listener
	Event        string // id
	Block        uint64
	Payload      json.RawMessage // the event as it would have been delivered
	Kind         string
	Error        string
	Attempts     int
	FirstFailed  time.Time
	LastFailed   time.Time
	ReplayAsked  time.Time // when somebody asked for it to be delivered after all; zero: nobody did
}

// LetterCount is how many dead letters a stream has, and how many of them are to be replayed.
type LetterCount struct{ All, Replays int64 }

// LetterFilter selects dead letters of a stream. All that it names must hold.
type LetterFilter struct {
	Stream   string
	After    int64     // only those with a higher Seq
	Before   int64     // only those with a lower Seq; 0: no bound
	Listener string    // id
	Kind     string    // one of the kinds
	Since    time.Time // only those that failed last at this time or later
	Until    time.Time // only those that failed last before it; zero: no bound
}

// DeadLetters keeps what could not be delivered. Lists are in order of Seq.
type DeadLetters interface {
	// PutDeadLetters sets events of a stream aside if epoch is the stream's newest; else ErrFenced and nothing is stored. One with an ID
	// that is there already takes its place, and keeps its Seq, its first failure and the wish to replay it.
	PutDeadLetters(ctx context.Context, f Fence, stream string, epoch int64, letters []*DeadLetter) error
	// ReturnDeadLetters is for those that were replayed in vain: Kind, Error, Attempts and LastFailed are stored, the wish to replay them is
	// fulfilled. Those that were deleted meanwhile are passed over. ErrFenced as above.
	ReturnDeadLetters(ctx context.Context, f Fence, stream string, epoch int64, letters []*DeadLetter) error
	// DropDeadLetters deletes those that were replayed, by Seq.
	DropDeadLetters(ctx context.Context, f Fence, stream string, seqs []int64) error

	// DeadLetter: ErrNotFound.
	DeadLetter(ctx context.Context, stream, id string) (*DeadLetter, error)
	// ListDeadLetters returns up to limit of those that a filter selects, without Payload.
	ListDeadLetters(ctx context.Context, flt LetterFilter, limit int) ([]*DeadLetter, error)
	// DeadLettersToReplay returns up to limit of those of a stream that are to be replayed, as long as their payloads have no more than size
	// bytes together; the first one whatever it has.
	DeadLettersToReplay(ctx context.Context, stream string, limit int, size int64) ([]*DeadLetter, error)
	// CountDeadLetters counts those of some streams, by id of the stream; one that is not named has none.
	CountDeadLetters(ctx context.Context, streams []string) (map[string]LetterCount, error)
	// AskReplay wishes those that a filter selects to be replayed, and returns how many they are. It goes by portions, so that nothing else
	// waits long: an error leaves those before it asked for.
	AskReplay(ctx context.Context, f Fence, flt LetterFilter) (int64, error)
	// DeleteDeadLetters deletes those that a filter selects, by portions, and returns how many it deleted.
	DeleteDeadLetters(ctx context.Context, f Fence, flt LetterFilter) (int64, error)
}
