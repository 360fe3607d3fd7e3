package stream

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// forkDigits is how much of the block's hash ends an event id where a block can still be replaced.
const forkDigits = 8

// encoder writes the events of one ledger as JSON, by appending. What all events of the ledger share is encoded once.
type encoder struct {
	head    []byte // `{"id":"<connector>:<ledger>:`
	idStart int    // where the id begins in head
	ledger  []byte // `","ledger":"<ledger>","signature":`
	forks   bool   // block hashes can change: they are part of the id
	dataAt  int    // where the data of the event encoded last begin, from its start

	stamp     time.Time // newest timestamp encoded: the events of a block share theirs
	stampText []byte
}

func newEncoder(connector, ledger string, finality ffcapi.Finality) *encoder {
	const open = `{"id":"`
	e := &encoder{idStart: len(open), forks: finality != ffcapi.Instant}
	id := appendJSONString(nil, connector+":"+ledger+":")
	e.head = append([]byte(open), id[1:len(id)-1]...)
	e.ledger = append([]byte(`,"ledger":`), appendJSONString(nil, ledger)...)
	e.ledger = append(e.ledger, `,"signature":`...)
	return e
}

// common appends everything of an event but what differs between listeners, and returns where its id ends, relative to the
// start. The object is left open.
func (e *encoder) common(b []byte, ev *ffcapi.Event, stamp *time.Time) (out []byte, idEnd int) {
	start := len(b)
	b = append(b, e.head...)
	protocolID := len(b)
	b = ev.Cursor.AppendText(b)
	protocolIDEnd := len(b)
	if e.forks {
		b = append(b, '/')
		b = append(b, forkID(ev.BlockHash)...)
	}
	idEnd = len(b) - start
	b = append(b, `","protocolId":"`...)
	b = append(b, b[protocolID:protocolIDEnd]...)
	b = append(b, '"')
	b = append(b, e.ledger...)
	b = appendJSONString(b, ev.Name)
	if ev.Address != "" {
		b = append(b, `,"address":`...)
		b = appendJSONString(b, ev.Address)
	}
	b = append(b, `,"blockHash":`...)
	b = appendJSONString(b, ev.BlockHash)
	b = append(b, `,"blockNumber":"`...)
	b = strconv.AppendUint(b, ev.Cursor.Block, 10)
	b = append(b, `","transactionHash":`...)
	b = appendJSONString(b, ev.TxHash)
	b = append(b, `,"transactionIndex":"`...)
	b = strconv.AppendUint(b, ev.Cursor.Tx, 10)
	b = append(b, `","logIndex":"`...)
	b = strconv.AppendUint(b, ev.Cursor.Log, 10)
	b = append(b, '"')
	if stamp != nil {
		b = append(b, `,"timestamp":"`...)
		b = append(b, e.timestamp(*stamp)...)
		b = append(b, '"')
	}
	b = appendInfo(b, ev.Info)
	b = append(b, `,"data":`...)
	e.dataAt = len(b) - start
	if len(ev.Data) == 0 {
		return append(b, "null"...), idEnd
	}
	return append(b, ev.Data...), idEnd
}

func (e *encoder) timestamp(t time.Time) []byte {
	if e.stampText == nil || !t.Equal(e.stamp) {
		e.stamp = t
		e.stampText = t.UTC().AppendFormat(e.stampText[:0], time.RFC3339Nano)
	}
	return e.stampText
}

// tail is what ends every event of one listener.
func tail(s *store.Stream, l *store.Listener) []byte {
	b := []byte(`,"listenerId":`)
	b = appendJSONString(b, l.ID)
	b = append(b, `,"listenerName":`...)
	b = appendJSONString(b, l.Name)
	b = append(b, `,"listenerType":`...)
	b = appendJSONString(b, orElse(l.Type, apitypes.ListenerEvents))
	b = append(b, `,"streamId":`...)
	b = appendJSONString(b, s.ID)
	b = append(b, `,"subId":`...)
	b = appendJSONString(b, l.ID)
	return append(b, '}')
}

// appendInfo puts the members of the object beside those of the event.
func appendInfo(b []byte, info json.RawMessage) []byte {
	first, last := 0, len(info)-1
	for first < last && isSpace(info[first]) {
		first++
	}
	for last > first && isSpace(info[last]) {
		last--
	}
	if last <= first || info[first] != '{' || info[last] != '}' {
		return b
	}
	first++
	for first < last && isSpace(info[first]) {
		first++
	}
	if first == last {
		return b
	}
	b = append(b, ',')
	return append(b, info[first:last]...)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// forkID is the part of a block hash that tells apart an event from its twin in a block that replaced it.
func forkID(hash string) string {
	if len(hash) > 1 && hash[0] == '0' && (hash[1] == 'x' || hash[1] == 'X') {
		hash = hash[2:]
	}
	return hash[:min(len(hash), forkDigits)]
}

// appendJSONString appends s as JSON. Hashes, names and addresses are plain ASCII, which needs no look at an escape table.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot be: a string is always encoded, invalid UTF-8 as U+FFFD
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
