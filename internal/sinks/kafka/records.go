package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
)

// The texts of a message, as texts.all puts them.
const (
	textTopic = iota
	textKey
	textPartition
	textHeaders
)

// The most that the protocol adds to what a record carries.
const (
	batchOverhead  = 80 // of the batch that a record is in, alone
	recordOverhead = 40
	headerOverhead = 10
)

// records makes records of messages, in their order, up to the first that is too large. bad is what is wrong with that one.
func (p *producer) records(messages []broker.Message) (records []*kgo.Record, bad error) {
	p.room.prepare(messages, len(p.texts.names))
	records = make([]*kgo.Record, 0, len(messages))
	now := time.Now() // which takes as long as all else that is done for a record here
	for i := range messages {
		r := &p.room.records[i]
		r.Timestamp = now
		p.fill(r, &messages[i], &p.room)
		if _, most := size(r); most > p.cfg.MaxMessageSize {
			return records, messages[i].TooLarge(fmt.Sprintf("%s, and maxMessageSize is %d", sizes(r), p.cfg.MaxMessageSize))
		}
		records = append(records, r)
	}
	return records, nil
}

func (p *producer) fill(r *kgo.Record, m *broker.Message, room *room) {
	r.Topic, r.Value = m.Texts[textTopic], m.Body
	switch key := m.Texts[textKey]; {
	case p.cfg.Key != "":
		r.Key = []byte(key)
	case p.cfg.Partition == "":
		r.Key = p.ownKey
	}
	if p.cfg.Partition != "" {
		r.Partition = number(m.Texts[textPartition])
	}
	first := len(room.headers)
	for _, h := range m.Header {
		room.add(h.Name, h.Value)
	}
	for i, name := range p.texts.names {
		room.add(name, m.Texts[textHeaders+i])
	}
	r.Headers = room.headers[first:len(room.headers):len(room.headers)]
}

// room is memory for the records of a batch. The next batch gets it as well, if the client has no use for it any more.
type room struct {
	records []kgo.Record
	headers []kgo.RecordHeader
	values  []byte // of the headers
}

// mostKept is how many bytes of headers a sink keeps memory for.
const mostKept = 1 << 18

func (room *room) prepare(messages []broker.Message, further int) {
	count, size := 0, 0
	for i := range messages {
		m := &messages[i]
		count += len(m.Header) + further
		for _, h := range m.Header {
			size += len(h.Value)
		}
		for _, text := range m.Texts[textHeaders:] {
			size += len(text)
		}
	}
	room.records = slices.Grow(room.records[:0], len(messages))[:len(messages)]
	room.headers = slices.Grow(room.headers[:0], count)
	room.values = slices.Grow(room.values[:0], size)
}

// release forgets what the memory held. The memory itself is forgotten, too, if there is much of it, or if the client may still write what is in it.
func (room *room) release(used bool) {
	if used || cap(room.values) > mostKept {
		room.records, room.headers, room.values = nil, nil, nil
		return
	}
	clear(room.records)
	clear(room.headers)
}

func (room *room) add(name, value string) {
	first := len(room.values)
	room.values = append(room.values, value...)
	room.headers = append(room.headers, kgo.RecordHeader{Key: name, Value: room.values[first:len(room.values):len(room.values)]})
}

// number is a text that partitionNumber found fine.
func number(text string) int32 {
	n, _ := strconv.ParseInt(text, 10, 32)
	return int32(n)
}

// size is what a record takes at least, and at most in a batch of its own.
func size(r *kgo.Record) (least, most int) {
	least = len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		least += len(h.Key) + len(h.Value)
	}
	return least, least + batchOverhead + recordOverhead + headerOverhead*len(r.Headers)
}

// sizes says how large a record is, and why.
func sizes(r *kgo.Record) string {
	least, most := size(r)
	return fmt.Sprintf("the message has up to %d bytes (value %d, key %d, headers %d, and what the protocol adds)", most, len(r.Value), len(r.Key), least-len(r.Value)-len(r.Key))
}
