package amazon_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{queues, topics} {
		for name, target := range map[string]string{"standard": "events", "fifo": "events.fifo"} {
			fixture := func(t *testing.T, fields string) sinktest.Fixture {
				r := newRig(t, k)
				p := &post{send: r.send, came: make(chan *waiting)}
				r.aws.On(p.take)
				return sinktest.Fixture{
					Factory: r.factory, Refuses: true, Secrets: []string{secretKey, "canary-token"},
					Config: r.config(k.create(r.aws, target, map[string]string{"MaximumMessageSize": "1048576"}), `"perMessage":"batch","groupId":"all","sessionToken":"canary-token"`+fields),
					Bad: []json.RawMessage{
						nil, json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`{"` + k.target + `":7}`), r.config("nowhere", ""),
					},
					Receive: func(*testing.T, sink.Stream) sinktest.Receiver { return p.receiver() },
				}
			}
			t.Run(k.name+" "+name, func(t *testing.T) {
				t.Parallel()
				sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
					f := fixture(t, "")
					f.Impatient = func(t *testing.T) sinktest.Fixture { return fixture(t, `,"requestTimeout":"1s"`) }
					return f
				})
			})
		}
	}
}

// post has calls wait until a receiver answers them.
type post struct {
	send string
	came chan *waiting

	mu   sync.Mutex
	gone bool // guarded by mu; the connections of all calls are cut
}

// waiting is a call that has no answer yet.
type waiting struct {
	body   string
	answer chan awstest.Fault
}

func (p *post) take(ctx context.Context, c *awstest.Call) awstest.Fault {
	cut := awstest.Fault{Cut: true}
	if c.Action != p.send {
		return awstest.Fault{}
	}
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone {
		return cut
	}
	m := &waiting{body: c.Messages[0].Body, answer: make(chan awstest.Fault, 1)}
	select {
	case p.came <- m:
	case <-ctx.Done():
		return cut
	}
	select {
	case f := <-m.answer:
		return f
	case <-ctx.Done():
		return cut
	}
}

func (p *post) receiver() *receiver {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = false
	return &receiver{post: p}
}

type receiver struct {
	post *post

	mu    sync.Mutex
	taken []*waiting // guarded by mu
}

func (r *receiver) Next(ctx context.Context) (*sinktest.Delivery, error) {
	select {
	case m := <-r.post.came:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken = append(r.taken, m)
		return &sinktest.Delivery{
			Events: json.RawMessage(m.body),
			Ack:    m.say(awstest.Fault{}),
			Nack:   m.say(awstest.Fault{Entries: map[int]awstest.Entry{0: {Code: "InvalidParameterValue", Text: "no", Sender: true}}}),
		}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *waiting) say(f awstest.Fault) func() {
	return func() {
		select {
		case m.answer <- f:
		default: // there is one answer already
		}
	}
}

func (r *receiver) Leave() {
	r.post.mu.Lock()
	r.post.gone = true
	r.post.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.taken {
		m.say(awstest.Fault{Cut: true})()
	}
}
