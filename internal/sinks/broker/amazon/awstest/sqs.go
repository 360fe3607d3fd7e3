package awstest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// inJSON is the protocol of SQS (JSON 1.0) and Secrets Manager (JSON 1.1).
type inJSON struct{ service, action string }

// request has the members of all requests that are understood.
type request struct {
	QueueURL            string `json:"QueueUrl"`
	QueueName           string
	Entries             []entry
	ReceiptHandle       string
	MaxNumberOfMessages int
	VisibilityTimeout   *int
	WaitTimeSeconds     int
	SecretID            string `json:"SecretId"`
	entry
}

type entry struct {
	ID                     string `json:"Id"`
	MessageBody            string
	MessageAttributes      map[string]attribute
	MessageGroupID         string `json:"MessageGroupId"`
	MessageDeduplicationID string `json:"MessageDeduplicationId"`
}

type attribute struct{ DataType, StringValue string }

func (e *entry) message() Message {
	m := Message{Body: e.MessageBody, Group: e.MessageGroupID, DedupID: e.MessageDeduplicationID, Attributes: make(map[string]string)}
	for name, a := range e.MessageAttributes {
		m.Attributes[name] = a.StringValue
	}
	return m
}

func (p inJSON) read(s *Server, _ *http.Request, body []byte) (*Call, deed, *refusal) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, nil, refuse("SerializationException", "%s", err)
	}
	c := &Call{Action: p.action, Target: in.QueueURL + in.SecretID}
	with := func(do func(q *queue, fail map[int]Entry) (any, *refusal)) deed {
		return func(_ context.Context, fail map[int]Entry) (any, *refusal) {
			s.mu.Lock()
			defer s.mu.Unlock()
			q := s.queues[in.QueueURL]
			if q == nil {
				return nil, refuse("QueueDoesNotExist", "The specified queue does not exist.")
			}
			return do(q, fail)
		}
	}
	switch p.service + "." + p.action {
	case "AmazonSQS.SendMessage":
		c.Messages = []Message{in.message()}
		return c, with(func(q *queue, _ map[int]Entry) (any, *refusal) { return s.sendOne(q, c.Messages[0]) }), nil
	case "AmazonSQS.SendMessageBatch":
		for i := range in.Entries {
			c.Messages = append(c.Messages, in.Entries[i].message())
		}
		return c, with(func(q *queue, fail map[int]Entry) (any, *refusal) { return s.sendBatch(q, &in, c.Messages, fail) }), nil
	case "AmazonSQS.GetQueueAttributes":
		return c, with(func(q *queue, _ map[int]Entry) (any, *refusal) {
			return map[string]any{"Attributes": q.attributes}, nil
		}), nil
	case "AmazonSQS.GetQueueUrl":
		in.QueueURL = s.URL + "/" + Account + "/" + in.QueueName
		return c, with(func(*queue, map[int]Entry) (any, *refusal) { return map[string]any{"QueueUrl": in.QueueURL}, nil }), nil
	case "AmazonSQS.DeleteMessage":
		return c, with(func(q *queue, _ map[int]Entry) (any, *refusal) {
			if !q.drop(in.ReceiptHandle) {
				return nil, refuse("ReceiptHandleIsInvalid", "The specified receipt handle isn't valid.")
			}
			s.changed()
			return struct{}{}, nil
		}), nil
	case "AmazonSQS.ReceiveMessage":
		return c, s.receiver(&in), nil
	case "secretsmanager.GetSecretValue":
		return c, func(context.Context, map[int]Entry) (any, *refusal) { return s.secret(in.SecretID) }, nil
	}
	return nil, nil, refuse("UnknownOperationException", "%s.%s", p.service, p.action)
}

func sum(text string) string {
	h := md5.Sum([]byte(text))
	return hex.EncodeToString(h[:])
}

type sent struct {
	ID             string `json:"Id,omitempty"`
	MessageID      string `json:"MessageId"`
	MD5            string `json:"MD5OfMessageBody"`
	SequenceNumber string `json:",omitempty"`
}

// keep puts a message into a queue. The caller holds mu.
func (s *Server) keep(q *queue, m Message) (*sent, *Entry) {
	kept, fresh, bad := q.put(m, s.now(), s.id())
	if bad != nil {
		return nil, bad
	}
	if fresh {
		q.add(kept)
		s.changed()
	}
	return &sent{MessageID: kept.ID, MD5: sum(m.Body), SequenceNumber: kept.Sequence}, nil
}

func (s *Server) sendOne(q *queue, m Message) (any, *refusal) {
	out, bad := s.keep(q, m)
	if bad != nil {
		return nil, refuse(bad.Code, "%s", bad.Text)
	}
	return out, nil
}

// most is how many bytes a batch may have.
const most = 1 << 20

func (s *Server) sendBatch(q *queue, in *request, messages []Message, fail map[int]Entry) (any, *refusal) {
	size := 0
	for i := range messages {
		size += messages[i].size()
	}
	switch {
	case len(messages) == 0:
		return nil, refuse("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.")
	case len(messages) > 10:
		return nil, refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(messages))
	case size > most:
		return nil, refuse("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", most, size)
	}
	type failure struct {
		ID          string `json:"Id"`
		Code        string
		Message     string
		SenderFault bool
	}
	out := struct {
		Successful []*sent
		Failed     []failure
	}{Successful: []*sent{}, Failed: []failure{}}
	for i := range messages {
		bad, failed := fail[i]
		id := in.Entries[i].ID
		if !failed {
			one, refused := s.keep(q, messages[i])
			if refused == nil {
				one.ID = id
				out.Successful = append(out.Successful, one)
				continue
			}
			bad = *refused
		}
		out.Failed = append(out.Failed, failure{ID: id, Code: bad.Code, Message: bad.Text, SenderFault: bad.Sender})
	}
	return out, nil
}

// receiver waits for messages as long as was asked for.
func (s *Server) receiver(in *request) deed {
	return func(ctx context.Context, _ map[int]Entry) (any, *refusal) {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(in.WaitTimeSeconds)*time.Second)
		defer cancel()
		for {
			s.mu.Lock()
			q, news := s.queues[in.QueueURL], s.news
			if q == nil {
				s.mu.Unlock()
				return nil, refuse("QueueDoesNotExist", "The specified queue does not exist.")
			}
			seconds, _ := strconv.Atoi(q.attributes["VisibilityTimeout"])
			if in.VisibilityTimeout != nil {
				seconds = *in.VisibilityTimeout
			}
			got := received(q.receive(max(1, in.MaxNumberOfMessages), s.now(), time.Duration(seconds)*time.Second, s.id))
			s.mu.Unlock()
			if len(got) > 0 {
				return map[string]any{"Messages": got}, nil
			}
			select {
			case <-news:
			case <-ctx.Done():
				return map[string]any{"Messages": []any{}}, nil
			}
		}
	}
}

func received(items []*item) (out []map[string]any) {
	for _, i := range items {
		attributes := make(map[string]attribute)
		for name, value := range i.Attributes {
			attributes[name] = attribute{"String", value}
		}
		system := map[string]string{"ApproximateReceiveCount": strconv.Itoa(i.received)}
		for name, value := range map[string]string{"MessageGroupId": i.Group, "MessageDeduplicationId": i.DedupID, "SequenceNumber": i.Sequence} {
			if value != "" {
				system[name] = value
			}
		}
		out = append(out, map[string]any{
			"MessageId": i.ID, "ReceiptHandle": i.handle, "Body": i.Body, "MD5OfBody": sum(i.Body), "MessageAttributes": attributes, "Attributes": system,
		})
	}
	return out
}

func (p inJSON) answer(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", p.kind())
	_ = json.NewEncoder(w).Encode(answer)
}

func (p inJSON) refuse(w http.ResponseWriter, bad *refusal) {
	w.Header().Set("Content-Type", p.kind())
	if bad.retryAfter != "" {
		w.Header().Set("Retry-After", bad.retryAfter)
	}
	w.WriteHeader(bad.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws." + strings.ToLower(p.service) + "#" + bad.code, "message": bad.text})
}

func (p inJSON) kind() string {
	if p.service == "secretsmanager" {
		return "application/x-amz-json-1.1"
	}
	return "application/x-amz-json-1.0"
}
