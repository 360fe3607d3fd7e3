package awstest

import (
	"context"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// topic is a topic of SNS.
type topic struct {
	book
	attributes map[string]string
	queues     []*queue // that are subscribed, with raw message delivery
}

// CreateTopic makes a topic and returns its ARN. attributes are those that are not as usual, e.g. MaximumMessageSize.
func (s *Server) CreateTopic(name string, attributes map[string]string) (arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const usual = 256 << 10
	arn = "arn:aws:sns:" + Region + ":" + Account + ":" + name
	all := map[string]string{"TopicArn": arn, "MaximumMessageSize": strconv.Itoa(usual), "SubscriptionsConfirmed": "0"}
	if strings.HasSuffix(name, ".fifo") {
		all["FifoTopic"], all["ContentBasedDeduplication"] = "true", "false"
	}
	maps.Copy(all, attributes)
	s.topics[arn] = &topic{book: newBook(name, usual, all), attributes: all}
	return arn
}

// Subscribe has the messages of a topic go to a queue, as they were published.
func (s *Server) Subscribe(arn, queueURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[arn]
	t.queues = append(t.queues, s.queues[queueURL])
	t.attributes["SubscriptionsConfirmed"] = strconv.Itoa(len(t.queues))
}

// query is the protocol of SNS: forms, answered in XML.
type query struct{}

func (query) read(s *Server, _ *http.Request, body []byte) (*Call, deed, *refusal) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, refuse("MalformedQueryString", "%s", err)
	}
	c := &Call{Action: form.Get("Action"), Target: form.Get("TopicArn")}
	with := func(do func(t *topic, fail map[int]Entry) (any, *refusal)) deed {
		return func(_ context.Context, fail map[int]Entry) (any, *refusal) {
			s.mu.Lock()
			defer s.mu.Unlock()
			t := s.topics[c.Target]
			if t == nil {
				return nil, &refusal{status: http.StatusNotFound, code: "NotFound", text: "Topic does not exist"}
			}
			return do(t, fail)
		}
	}
	switch c.Action {
	case "GetTopicAttributes":
		return c, with(func(t *topic, _ map[int]Entry) (any, *refusal) { return topicAttributes(t), nil }), nil
	case "Publish":
		c.Messages = []Message{published(form, "")}
		return c, with(func(t *topic, _ map[int]Entry) (any, *refusal) {
			kept, bad := s.publish(t, c.Messages[0])
			if bad != nil {
				return nil, refuse(bad.Code, "%s", bad.Text)
			}
			return publishAnswer{MessageID: kept.ID, SequenceNumber: kept.Sequence}, nil
		}), nil
	case "PublishBatch":
		var ids []string
		for n := 1; ; n++ {
			prefix := "PublishBatchRequestEntries.member." + strconv.Itoa(n) + "."
			if !form.Has(prefix + "Id") {
				break
			}
			ids = append(ids, form.Get(prefix+"Id"))
			c.Messages = append(c.Messages, published(form, prefix))
		}
		return c, with(func(t *topic, fail map[int]Entry) (any, *refusal) { return s.publishBatch(t, ids, c.Messages, fail) }), nil
	}
	return nil, nil, refuse("InvalidAction", "The action %s is not valid for this endpoint.", c.Action)
}

// published reads a message out of a form.
func published(form url.Values, prefix string) Message {
	m := Message{
		Body: form.Get(prefix + "Message"), Subject: form.Get(prefix + "Subject"), Group: form.Get(prefix + "MessageGroupId"),
		DedupID: form.Get(prefix + "MessageDeduplicationId"), Attributes: make(map[string]string),
	}
	for n := 1; ; n++ {
		at := prefix + "MessageAttributes.entry." + strconv.Itoa(n) + "."
		if !form.Has(at + "Name") {
			return m
		}
		m.Attributes[form.Get(at+"Name")] = form.Get(at + "Value.StringValue")
	}
}

// publish keeps a message and hands it to the queues. The caller holds mu.
func (s *Server) publish(t *topic, m Message) (Message, *Entry) {
	kept, fresh, bad := t.put(m, s.now(), s.id())
	if bad == nil && fresh {
		for _, q := range t.queues {
			_, bad = s.keep(q, Message{Body: m.Body, Attributes: m.Attributes, Group: m.Group, DedupID: m.DedupID})
		}
	}
	return kept, bad
}

type publishAnswer struct {
	XMLName        xml.Name `xml:"PublishResult"`
	MessageID      string   `xml:"MessageId"`
	SequenceNumber string   `xml:",omitempty"`
}

type batchAnswer struct {
	XMLName    xml.Name         `xml:"PublishBatchResult"`
	Successful []batchPublished `xml:"Successful>member"`
	Failed     []batchRefused   `xml:"Failed>member"`
}

type batchPublished struct {
	ID             string `xml:"Id"`
	MessageID      string `xml:"MessageId"`
	SequenceNumber string `xml:",omitempty"`
}

type batchRefused struct {
	ID          string `xml:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

func (s *Server) publishBatch(t *topic, ids []string, messages []Message, fail map[int]Entry) (any, *refusal) {
	size := 0
	for i := range messages {
		size += messages[i].size()
	}
	switch {
	case len(messages) > 10:
		return nil, refuse("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
	case size > t.limit:
		return nil, refuse("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
	}
	var out batchAnswer
	for i := range messages {
		bad, failed := fail[i]
		if !failed {
			kept, refused := s.publish(t, messages[i])
			if refused == nil {
				out.Successful = append(out.Successful, batchPublished{ID: ids[i], MessageID: kept.ID, SequenceNumber: kept.Sequence})
				continue
			}
			bad = *refused
		}
		out.Failed = append(out.Failed, batchRefused{ID: ids[i], Code: bad.Code, Message: bad.Text, SenderFault: bad.Sender})
	}
	return out, nil
}

type attributesAnswer struct {
	XMLName xml.Name `xml:"GetTopicAttributesResult"`
	Entries []pair   `xml:"Attributes>entry"`
}

type pair struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func topicAttributes(t *topic) (out attributesAnswer) {
	for k, v := range t.attributes {
		out.Entries = append(out.Entries, pair{k, v})
	}
	return out
}

func (query) answer(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "text/xml")
	type response struct {
		XMLName xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ Response"`
		Result  any
	}
	_ = xml.NewEncoder(w).Encode(response{Result: answer})
}

func (query) refuse(w http.ResponseWriter, bad *refusal) {
	type detail struct{ Type, Code, Message string }
	type response struct {
		XMLName   xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ ErrorResponse"`
		Error     detail
		RequestID string `xml:"RequestId"`
	}
	w.Header().Set("Content-Type", "text/xml")
	if bad.retryAfter != "" {
		w.Header().Set("Retry-After", bad.retryAfter)
	}
	w.WriteHeader(bad.status)
	_ = xml.NewEncoder(w).Encode(response{Error: detail{"Sender", bad.code, bad.text}, RequestID: "00000000-0000-4000-8000-000000000000"})
}
