package sink

import (
	"crypto/sha256"
	"encoding/hex"
)

// Batch is a batch of encoded events. It is read-only and shared by all receivers and retries; a sink may keep it as long as it likes.
type Batch struct {
	Number  int64 // never names two contents
	Attempt int   // from 1
	Events  []Event
	// Body is the JSON array of all events, encoded once.
	Body []byte
}

// Event is one encoded event of a batch.
type Event struct {
	ID       string // the same at each delivery
	Listener *Listener
	Block    uint64 // 0 for a status change that no block brought about
	JSON     []byte // a part of Batch.Body
}

// Listener is what the events of one listener share.
type Listener struct {
	ID     string
	Name   string
	Stream string // id of the stream
	Replay string // changes when the listener is reset, so that a wanted replay is not taken for a repetition
}

// DedupID is the same at each delivery of the event to this listener, and differs for another listener's copy and for a wanted
// replay. It has 64 characters: brokers that swallow repetitions take it as the message id.
func (e *Event) DedupID() string {
	const usual = 256 // bytes that ids and names have together, which then need no memory of their own
	text := make([]byte, 0, usual)
	for _, part := range [...]string{e.Listener.Stream, e.Listener.ID, e.ID, e.Listener.Replay} {
		text = append(text, part...)
		text = append(text, 0) // so that parts cannot run into one another
	}
	sum := sha256.Sum256(text)
	var id [2 * sha256.Size]byte
	for i, b := range sum {
		id[2*i], id[2*i+1] = digits[b][0], digits[b][1]
	}
	return string(id[:])
}

// digits are all bytes in hexadecimal: a sink asks for the id of each event that it sends, and encoding/hex goes digit by digit.
var digits = func() (all [256][2]byte) {
	for b := range all {
		copy(all[b][:], hex.EncodeToString([]byte{byte(b)}))
	}
	return all
}()
