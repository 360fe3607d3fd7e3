package ffcapi

import (
	"encoding/json"
	"time"
)

// ListenerSpec is a listener as a user writes it.
type ListenerSpec struct {
	Filters   []json.RawMessage // any of them matches; all on one ledger
	Options   json.RawMessage   // JSON object, chain specific; unknown fields are refused
	FromBlock string            // "earliest", "latest", a block number, or a form of the chain's own; "" is "latest"
}

// Listener is a validated listener. The core stores it as JSON and passes it back in EventQuery; a connector keeps nothing.
type Listener struct {
	Ledger    string          `json:"ledger"`
	Key       string          `json:"key"`       // digest of what it matches: equal keys match the same events
	Signature string          `json:"signature"` // readable, e.g. "assets:AssetCreated"; shown to users
	Start     Cursor          `json:"start"`     // first position to read
	Resolved  json.RawMessage `json:"resolved"`  // whatever the connector needs to match events, in its own form
}

// EventQuery opens a reading session.
type EventQuery struct {
	Ledger    string
	Listeners []*Listener // at the same position; the connector may assume nothing else about their order
	From      Cursor
	Upto      BlockRef // last block to read; known to be final
	Max       int      // events in a page; soft, a page may hold up to one block more
}

// EventPage is one step of a session. It belongs to the consumer: a connector does not touch it after the yield.
type EventPage struct {
	// Events are in chain order, all at or after the session's position and before Next. An event that listeners want in different
	// forms is there once for each form, one after the other, and no listener matches two of them.
	Events []Event

	// Next is the position after the page. It moves also when nothing matched.
	Next Cursor

	// Through is the highest block the page has read from, wholly or in part, as the answering node has it. The consumer drops a
	// page whose Through hash is not on its canonical chain.
	Through BlockRef
}

// Event is one decoded event.
type Event struct {
	Cursor    Cursor // its own position
	BlockHash string
	TxHash    string
	Name      string          // the event's name or signature
	Address   string          // contract or location the event came from
	Timestamp *time.Time      // nil: the core fills it in from the block
	Data      json.RawMessage // read-only: it may be shared with other sessions
	Info      json.RawMessage // JSON object of the chain's own fields, or nil; its names differ from those of the wire format; read-only
	Matches   []int           // indexes into EventQuery.Listeners, ascending; shared between events, read-only
}
