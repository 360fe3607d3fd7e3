package apitypes

import (
	"encoding/json"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// The values of DeadLetter.Kind.
const (
	LetterPermanent  = "permanent"  // the receiver said that it will refuse the event for ever
	LetterRefused    = "refused"    // the receiver refused the event for retryTimeout, and took another one meanwhile
	LetterExpression = "expression" // the event could not be evaluated, so it was sent to nobody
)

// DeadLetter is an event that was set aside because it could not be delivered (Pyralis).
type DeadLetter struct {
	ID              string          `json:"id" doc:"UUID, the same if the event is set aside again."`
	Sequence        string          `json:"sequence" doc:"Orders dead letters as they were set aside."`
	StreamID        string          `json:"streamId" doc:"Id of the event stream."`
	ListenerID      string          `json:"listenerId" doc:"Id of the listener, which may be deleted by now."`
	ListenerName    string          `json:"listenerName" doc:"Its name when the event was set aside."`
	EventID         string          `json:"eventId" doc:"Id of the event."`
	BlockNumber     string          `json:"blockNumber" doc:"Block of the event; 0 for a change that no block brought about."`
	Kind            string          `json:"kind" doc:"permanent: the receiver will refuse it for ever. refused: it refused it, and took others meanwhile. expression: where or transform failed, and nobody was asked."`
	Error           string          `json:"error" doc:"The receiver's words, or what failed."`
	Attempts        int             `json:"attempts" doc:"How often it was sent."`
	FirstFailed     *fftypes.FFTime `json:"firstFailed,omitempty" doc:"When it failed first."`
	LastFailed      *fftypes.FFTime `json:"lastFailed,omitempty" doc:"When it failed last."`
	ReplayRequested *fftypes.FFTime `json:"replayRequested,omitempty" doc:"When its replay was asked for; absent: it was not, or the replay has failed."`
	Event           json.RawMessage `json:"event,omitempty" doc:"The event as it would have been delivered. Lists leave it out."`
}

// DeadLetterSelection says which dead letters of a stream are meant: those for which all that it names holds, or all.
type DeadLetterSelection struct {
	All      bool            `json:"all,omitempty" doc:"true: all dead letters of the stream. Nothing else can be named then."`
	After    string          `json:"after,omitempty" doc:"Only those with a higher sequence."`
	Before   string          `json:"before,omitempty" doc:"Only those with a lower sequence."`
	Listener string          `json:"listener,omitempty" doc:"Only those of this listener: its id or, while it is there, its name."`
	Kind     string          `json:"kind,omitempty" doc:"Only those of this kind: permanent, refused or expression."`
	Since    *fftypes.FFTime `json:"since,omitempty" doc:"Only those that failed last at this time or later."`
	Until    *fftypes.FFTime `json:"until,omitempty" doc:"Only those that failed last before this time."`
}

// DeadLetterCount says how many dead letters a request was about.
type DeadLetterCount struct {
	Count int64 `json:"count" doc:"How many they are."`
}
