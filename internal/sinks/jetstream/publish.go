package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
)

const (
	maxWindow = 512     // messages that are unanswered at the same time
	maxFlight = 8 << 20 // bytes of them
	perHeader = len(": \r\n")
)

// publish says how many of the first messages are stored, and what is wrong with the next. Nothing behind that one is stored by this call, but
// what had been stored before.
func (l *link) publish(ctx context.Context, messages []broker.Message) (stored int, err error) {
	if l.replicated() {
		if l.info.Config.AllowAtomicPublish {
			return l.inGroups(ctx, messages)
		}
		return l.oneByOne(ctx, messages)
	}
	for stored < len(messages) {
		var n int
		n, err = l.chain(ctx, messages[stored:], l.window)
		stored += n
		var r *refusal
		switch {
		case err == nil:
			l.window = min(2*l.window, maxWindow)
		case n > 0 && errors.As(err, &r) && r.ErrCode == wrongLastID:
			l.window = max(1, l.window/2) // others publish to the stream, too, and one of their messages came between two of ours
		default:
			return stored, l.judged(ctx, &messages[stored], err)
		}
	}
	return stored, nil
}

// replicated says whether a group of servers keeps the stream. When another one of them takes the lead, a message may be lost and the next be taken.
func (l *link) replicated() bool { return l.info.Config.Replicas > 1 }

func (l *link) oneByOne(ctx context.Context, messages []broker.Message) (stored int, err error) {
	for i := range messages {
		if _, err := l.chain(ctx, messages[i:i+1], 1); err != nil {
			return i, l.judged(ctx, &messages[i], err)
		}
	}
	return len(messages), nil
}

// chain publishes messages without waiting for the answer to each. Each but the first is taken only if the one before it is the last that the
// stream has, so that nothing is stored behind a gap. It returns when all that was published is answered, or doubtful.
func (l *link) chain(ctx context.Context, messages []broker.Message, window int) (stored int, err error) {
	c := &chain{link: l, messages: messages, base: l.number + 1, failed: len(messages)}
	c.answered, c.taken = make([]bool, len(messages)), make([]bool, len(messages))
	patience := time.NewTimer(l.timeout)
	defer patience.Stop()
	for {
		if err := c.fill(window); err != nil {
			c.fail(c.sent, err)
		}
		if c.pending == 0 {
			break
		}
		if err := l.await(ctx, patience, c.answer); err != nil {
			l.doubtful = true
			c.fail(c.first(), err)
			break
		}
	}
	return c.first(), c.err
}

// chain is what is known of messages while they are published.
type chain struct {
	link     *link
	messages []broker.Message
	base     uint64 // number of the first
	sent     int
	pending  int    // unanswered messages
	flight   int    // bytes of them
	answered []bool // by message
	taken    []bool
	failed   int // index of the first that failed; their number if none has
	err      error
}

// first is the index of the first message that is not stored.
func (c *chain) first() int {
	for i, taken := range c.taken {
		if !taken {
			return i
		}
	}
	return len(c.taken)
}

func (c *chain) fail(i int, err error) {
	if i < c.failed {
		c.failed, c.err = i, err
	}
}

// fill publishes as much as may be unanswered, unless a message has failed.
func (c *chain) fill(window int) error {
	for c.sent < len(c.messages) && c.failed == len(c.messages) && c.pending < window && (c.pending == 0 || c.flight < maxFlight) {
		m := &c.messages[c.sent]
		previous := ""
		if c.sent > 0 {
			previous = c.messages[c.sent-1].ID
		}
		if err := c.link.write(m, previous); err != nil {
			return err
		}
		c.sent++
		c.pending++
		c.flight += len(m.Body)
	}
	return nil
}

// answer notes what became of a message.
func (c *chain) answer(number uint64, err error) {
	i := int(number - c.base)
	if number < c.base || i >= c.sent || c.answered[i] {
		return
	}
	c.answered[i] = true
	c.pending--
	c.flight -= len(c.messages[i].Body)
	if err != nil {
		c.fail(i, err)
		return
	}
	c.taken[i] = true
}

// write publishes a message. previous is the id of the one that must be the last of the stream; "": any may be.
func (l *link) write(m *broker.Message, previous string) error {
	fields := l.header(m, 1)
	if previous != "" {
		fields[nats.ExpectedLastMsgIdHdr] = []string{previous}
	}
	return l.put(m, fields, true)
}

func (l *link) header(m *broker.Message, more int) nats.Header {
	const own = 2
	fields := make(nats.Header, len(m.Header)+own+more)
	values := make([]string, len(m.Header)) // one allocation for all
	for i, h := range m.Header {
		values[i] = h.Value
		fields[h.Name] = values[i : i+1 : i+1]
	}
	fields[nats.MsgIdHdr] = []string{m.ID}
	fields[nats.ExpectedStreamHdr] = []string{l.stream}
	return fields
}

func (l *link) put(m *broker.Message, fields nats.Header, answered bool) error {
	size, limit := int64(len("NATS/1.0\r\n\r\n")+len(m.Body)), l.nc.MaxPayload()
	for name, v := range fields {
		size += int64(len(name) + len(v[0]) + perHeader)
	}
	if size > limit {
		return m.TooLarge(fmt.Sprintf("the message has %d bytes with its headers, and the server takes %d at most (max_payload)", size, limit))
	}
	msg := &nats.Msg{Subject: m.Texts[0], Header: fields, Data: m.Body}
	if answered {
		msg.Reply = l.inbox + strconv.FormatUint(l.number+1, 10)
	}
	if err := l.nc.PublishMsg(msg); err != nil {
		l.doubtful = true // a part of it may be on its way
		return err
	}
	if answered {
		l.number++
	}
	return nil
}

// await waits for answers: one, and those that are there with it.
func (l *link) await(ctx context.Context, patience *time.Timer, answer func(number uint64, err error)) error {
	patience.Reset(l.timeout)
	select {
	case m := <-l.answers:
		for {
			if number, err := strconv.ParseUint(m.Subject[min(len(l.inbox), len(m.Subject)):], 10, 64); err == nil {
				answer(number, l.verdict(m))
			}
			select {
			case m = <-l.answers:
				continue
			default:
			}
			return nil
		}
	case err := <-l.trouble:
		return err
	case <-l.closed:
		if err := l.nc.LastError(); err != nil {
			return fmt.Errorf("the connection is broken: %w", err)
		}
		return errors.New("the server has closed the connection")
	case <-patience.C:
		return fmt.Errorf("no acknowledgement within %s", l.timeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// judged is what is wrong with a message, as done may get it.
func (l *link) judged(ctx context.Context, m *broker.Message, err error) error {
	shown := l.failed(ctx, err)
	var r *refusal
	if errors.As(err, &r) && r.tooLarge() {
		return m.TooLarge(shown.Error())
	}
	return shown
}
