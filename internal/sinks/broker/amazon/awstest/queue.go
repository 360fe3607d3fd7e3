package awstest

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// window is how long a de-duplication id is remembered.
const window = 5 * time.Minute

// Message is a message as it is sent or kept.
type Message struct {
	ID         string // "" while it is only being sent
	Body       string
	Attributes map[string]string
	Group      string
	DedupID    string
	Subject    string // SNS only
	Sequence   string // FIFO only
}

// size counts as AWS does: the body, and of each attribute name, type and value.
func (m *Message) size() int {
	n := len(m.Body)
	for name, value := range m.Attributes {
		n += len(name) + len("String") + len(value)
	}
	return n
}

// book keeps the messages of a queue or topic, in their order.
type book struct {
	fifo  bool
	limit int
	kept  []Message
	taken map[string]seen // by de-duplication id
}

type seen struct {
	message Message
	at      time.Time
}

func newBook(name string, limit int, attributes map[string]string) book {
	if text := attributes["MaximumMessageSize"]; text != "" {
		limit, _ = strconv.Atoi(text)
	}
	return book{fifo: strings.HasSuffix(name, ".fifo"), limit: limit, taken: make(map[string]seen)}
}

// put takes a message, unless its id was taken within the window: then the answer is that of the first time.
func (b *book) put(m Message, now time.Time, id string) (kept Message, fresh bool, bad *Entry) {
	switch {
	case m.Body == "":
		return m, false, &Entry{"EmptyValue", "The request must contain the parameter MessageBody.", true}
	case m.size() > b.limit:
		return m, false, &Entry{"InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than " + strconv.Itoa(b.limit) + " bytes.", true}
	case len(m.Attributes) > 10:
		return m, false, &Entry{"InvalidParameterValue", "Number of message attributes [" + strconv.Itoa(len(m.Attributes)) + "] exceeds the allowed maximum [10].", true}
	case strings.ContainsFunc(m.Body, illegal):
		return m, false, &Entry{"InvalidMessageContents", "Invalid characters found in the body.", true}
	case m.Group != "" && (len(m.Group) > 128 || strings.ContainsFunc(m.Group, func(r rune) bool { return r <= ' ' || r > '~' })):
		return m, false, &Entry{"InvalidParameterValue", "Value " + m.Group + " for parameter MessageGroupId is invalid.", true}
	case !b.fifo && m.DedupID != "":
		return m, false, &Entry{"InvalidParameterValue", "The request include parameter that is not valid for this queue type.", true}
	case b.fifo && m.Group == "":
		return m, false, &Entry{"MissingParameter", "The request must contain the parameter MessageGroupId.", true}
	case b.fifo && m.DedupID == "":
		return m, false, &Entry{"InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly", true}
	}
	for name, value := range m.Attributes {
		if value == "" || strings.ContainsFunc(value, illegal) {
			return m, false, &Entry{"InvalidParameterValue", "The message attribute '" + name + "' must contain a non-empty value.", true}
		}
	}
	if b.fifo {
		if was, ok := b.taken[m.DedupID]; ok && now.Sub(was.at) < window {
			return was.message, false, nil
		}
		m.Sequence = strconv.Itoa(1000 + len(b.kept))
	}
	m.ID, m.Attributes = id, maps.Clone(m.Attributes)
	if b.fifo {
		b.taken[m.DedupID] = seen{m, now}
	}
	b.kept = append(b.kept, m)
	return m, true, nil
}

// illegal says which characters are not taken.
func illegal(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// queue is a queue of SQS.
type queue struct {
	book
	attributes map[string]string
	waiting    []*item
}

// item is a message that nobody has deleted.
type item struct {
	Message
	hidden   time.Time // until then
	handle   string    // of the last receipt
	received int
}

// add puts a message in sight.
func (q *queue) add(m Message) { q.waiting = append(q.waiting, &item{Message: m}) }

// receive takes up to some messages out of sight.
func (q *queue) receive(most int, now time.Time, visibility time.Duration, handle func() string) (got []*item) {
	held := make(map[string]bool)
	for _, i := range q.waiting {
		if i.hidden.After(now) {
			if q.fifo {
				held[i.Group] = true
			}
			continue
		}
		if len(got) == most || held[i.Group] {
			continue
		}
		i.hidden, i.handle = now.Add(visibility), handle()
		i.received++
		got = append(got, i)
	}
	return got
}

// drop deletes what was received under a handle.
func (q *queue) drop(handle string) bool {
	for n, i := range q.waiting {
		if i.handle == handle && handle != "" {
			q.waiting = append(q.waiting[:n:n], q.waiting[n+1:]...)
			return true
		}
	}
	return false
}

// CreateQueue makes a queue and returns its URL. attributes are those that are not as usual, e.g. MessageRetentionPeriod.
func (s *Server) CreateQueue(name string, attributes map[string]string) (url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 1 << 20
	all := map[string]string{
		"QueueArn": "arn:aws:sqs:" + Region + ":" + Account + ":" + name, "MaximumMessageSize": strconv.Itoa(most),
		"MessageRetentionPeriod": "345600", "VisibilityTimeout": "30",
	}
	if strings.HasSuffix(name, ".fifo") {
		all["FifoQueue"], all["ContentBasedDeduplication"] = "true", "false"
	}
	maps.Copy(all, attributes)
	url = s.URL + "/" + Account + "/" + name
	s.queues[url] = &queue{book: newBook(name, most, all), attributes: all}
	return url
}

// Messages are all messages that a queue or topic has taken, in order, received or not.
func (s *Server) Messages(target string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[target]; q != nil {
		return append([]Message(nil), q.kept...)
	}
	if t := s.topics[target]; t != nil {
		return append([]Message(nil), t.kept...)
	}
	return nil
}

// Waiting says how many messages of a queue nobody has deleted.
func (s *Server) Waiting(url string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[url]; q != nil {
		return len(q.waiting)
	}
	return 0
}
