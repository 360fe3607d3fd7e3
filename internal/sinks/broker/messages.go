package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The headers of every message, or attributes where a broker calls them so.
const (
	HeaderID       = "pyralis-message-id" // the same at each delivery of the event to this listener
	HeaderEvent    = "pyralis-event-id"   // not with a batch
	HeaderStream   = "pyralis-stream"     // name
	HeaderListener = "pyralis-listener"   // name; not with a batch
	HeaderType     = "content-type"
)

// Message is what goes to a broker in one piece.
type Message struct {
	ID     string // 64 characters
	Body   []byte
	Header []Header
	Texts  []string // of the Maker, in its order
	First  int      // index of its first event in the batch
	Events int
}

// TooLarge is what is wrong with a message that is too large whenever it is sent: problem says what is known of that.
func (m *Message) TooLarge(problem string) error {
	if m.Events > 1 {
		problem += fmt.Sprintf("; it is a batch of %d events (perMessage): give the stream a smaller batchSize, or each event its own message", m.Events)
	}
	return sink.Permanent(errors.New(problem))
}

// Header is a header of a message.
type Header struct{ Name, Value string }

// Maker makes messages of batches. It is safe for concurrent use.
type Maker struct {
	Stream sink.Stream
	// PerMessage and Format are as in apitypes.BrokerMessages.
	PerMessage, Format string
	Texts              []*Text // evaluated for each message, over its body in the format json
}

// Make makes the messages of a batch, in their order, up to the first event that cannot become one. bad is what is wrong with that one, which is
// behind all messages; a Permanent one if it is the event's fault.
func (m *Maker) Make(ctx context.Context, b *sink.Batch) (messages []Message, bad error) {
	if m.PerMessage == apitypes.MessagePerBatch {
		one, err := m.whole(ctx, b)
		if err != nil {
			return nil, err
		}
		return []Message{one}, nil
	}
	messages = make([]Message, 0, len(b.Events))
	room := &room{make([]string, 0, len(m.Texts)*len(b.Events)), make([]Header, 0, headersOfOne*len(b.Events))}
	for i := range b.Events {
		one, err := m.one(ctx, &b.Events[i], i, room)
		if err != nil {
			return messages, err
		}
		messages = append(messages, one)
	}
	return messages, nil
}

// room is memory for what the messages of a batch hold, in two pieces instead of two for each message.
type room struct {
	texts   []string
	headers []Header
}

const headersOfOne = 5

func (m *Maker) one(ctx context.Context, e *sink.Event, index int, room *room) (msg Message, err error) {
	msg = Message{ID: e.DedupID(), Body: e.JSON, First: index, Events: 1}
	if msg.Texts, err = m.texts(ctx, e.JSON, room); err != nil {
		return msg, err
	}
	kind := "application/json"
	if m.Format == apitypes.FormatCloudEvents {
		kind = "application/cloudevents+json"
		msg.Body = appendCloudEvent(nil, e, msg.ID)
	}
	first := len(room.headers)
	room.headers = append(room.headers,
		Header{HeaderID, msg.ID}, Header{HeaderEvent, e.ID}, Header{HeaderStream, m.Stream.Name}, Header{HeaderListener, e.Listener.Name}, Header{HeaderType, kind})
	msg.Header = room.headers[first:len(room.headers):len(room.headers)]
	return msg, nil
}

func (m *Maker) whole(ctx context.Context, b *sink.Batch) (msg Message, err error) {
	h := sha256.New()
	for i := range b.Events {
		h.Write([]byte(b.Events[i].DedupID()))
	}
	msg = Message{ID: hex.EncodeToString(h.Sum(nil)), Body: b.Body, Events: len(b.Events)}
	if msg.Texts, err = m.texts(ctx, b.Body, new(room)); err != nil {
		return msg, err
	}
	kind := "application/json"
	if m.Format == apitypes.FormatCloudEvents {
		kind = "application/cloudevents-batch+json"
		msg.Body = []byte{'['}
		for i := range b.Events {
			if i > 0 {
				msg.Body = append(msg.Body, ',')
			}
			msg.Body = appendCloudEvent(msg.Body, &b.Events[i], b.Events[i].DedupID())
		}
		msg.Body = append(msg.Body, ']')
	}
	msg.Header = []Header{{HeaderID, msg.ID}, {HeaderStream, m.Stream.Name}, {HeaderType, kind}}
	return msg, nil
}

func (m *Maker) texts(ctx context.Context, body []byte, room *room) ([]string, error) {
	first := len(room.texts)
	for _, t := range m.Texts {
		text, err := t.Of(ctx, body)
		if err != nil {
			return nil, err
		}
		room.texts = append(room.texts, text)
	}
	return room.texts[first:len(room.texts):len(room.texts)], nil
}

// appendCloudEvent appends an event in the structured mode of CloudEvents 1.0.
func appendCloudEvent(out []byte, e *sink.Event, id string) []byte {
	var shown struct {
		Signature string `json:"signature"`
		Timestamp string `json:"timestamp"`
	}
	// An event is JSON of ours; if a transform has made something else of it, these are just not there.
	_ = json.Unmarshal(e.JSON, &shown)
	kind := "io.pyralis.event"
	if name, _, _ := strings.Cut(shown.Signature, "("); name != "" {
		kind += "." + name
	}
	text := func(name, value string) {
		encoded, _ := json.Marshal(value) //nolint:errchkjson // texts always encode
		out = append(append(append(append(out, ',', '"'), name...), '"', ':'), encoded...)
	}
	out = append(out, `{"specversion":"1.0"`...)
	text("id", id)
	text("source", "/eventstreams/"+e.Listener.Stream+"/listeners/"+e.Listener.ID)
	text("type", kind)
	text("subject", e.ID)
	if shown.Timestamp != "" {
		text("time", shown.Timestamp)
	}
	out = append(out, `,"datacontenttype":"application/json","data":`...)
	out = append(out, bytes.TrimSpace(e.JSON)...)
	return append(out, '}')
}
