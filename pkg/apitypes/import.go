package apitypes

// MovedStream is an event stream of another server on its way to this one, with its listeners. Ids and times are kept.
type MovedStream struct {
	EventStream
	Listeners []*MovedListener `json:"listeners"`
	Notes     []string         `json:"notes,omitempty"` // what cannot be as it was
}

// MovedListener is a listener of a MovedStream.
type MovedListener struct {
	Listener
	// Position is the first event that is not known to be delivered. nil: none is known, and it begins at FromBlock.
	Position *ListenerCheckpoint `json:"position,omitempty"`
	Notes    []string            `json:"notes,omitempty"`
	// Stays says why it cannot be moved; "": it can.
	Stays string `json:"stays,omitempty"`
}

// The values of ImportEntry.Action.
const (
	ImportCreated   = "created"
	ImportUpdated   = "updated"   // its position: it was here, and has delivered nothing here
	ImportUnchanged = "unchanged" // it was here
	ImportSkipped   = "skipped"
)

// ImportEntry says what became of one stream, or of one listener of it.
type ImportEntry struct {
	Stream   string   `json:"stream"`
	Listener string   `json:"listener,omitempty"` // empty: it is about the stream
	ID       string   `json:"id"`
	Action   string   `json:"action"`             // created | updated | unchanged | skipped
	Position string   `json:"position,omitempty"` // block/transaction/log where a listener goes on
	Notes    []string `json:"notes,omitempty"`    // what is not as it was, or why it was skipped
}
