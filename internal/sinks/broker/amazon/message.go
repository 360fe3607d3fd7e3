package amazon

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Message is a message as it is sent.
type Message struct {
	Body       string
	Group      string // "" for none
	DedupID    string // FIFO only
	Subject    string // "" for none
	Attributes []broker.Header
	size       int
}

// message makes of a message what AWS takes. An error is the fault of the event.
func (s *Sink) message(m *broker.Message, limit int) (out Message, err error) {
	out = Message{Body: body(m.Body), Group: m.Texts[0]}
	if s.target.FIFO {
		out.DedupID = m.ID
	}
	for i, name := range s.names {
		if text := m.Texts[1+i]; text != "" { // there is no empty attribute
			out.Attributes = append(out.Attributes, broker.Header{Name: name, Value: text})
		}
	}
	for _, h := range m.Header {
		if err := checkCharacters(h.Value); err != nil {
			return out, sink.Permanent(fmt.Errorf("%s: %w", h.Name, err))
		}
		out.Attributes = append(out.Attributes, h)
	}
	if s.subject {
		out.Subject = m.Texts[len(m.Texts)-1]
	}
	out.size = len(out.Body) + len(out.Subject)
	for _, a := range out.Attributes {
		out.size += len(a.Name) + len("String") + len(a.Value)
	}
	if out.size > limit {
		return out, m.TooLarge(fmt.Sprintf("the message has %d bytes with its attributes, and %s takes %d at most", out.size, s.service.Name(), limit))
	}
	return out, nil
}

// body is JSON as AWS takes it: the two characters that it does not are written as escapes, which is the same text. They are in no other place than
// within a text.
func body(raw []byte) string {
	if !utf8.Valid(raw) { // would come back as another text than the one that was sent
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	raw = bytes.ReplaceAll(raw, []byte("\uFFFE"), []byte(`\ufffe`))
	raw = bytes.ReplaceAll(raw, []byte("\uFFFF"), []byte(`\uffff`))
	return string(raw)
}

// attributeNames are the names of configured attributes, in the order of their texts.
func attributeNames(attributes map[string]string) []string {
	return slices.Sorted(maps.Keys(attributes))
}
