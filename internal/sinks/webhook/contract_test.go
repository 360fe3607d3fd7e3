package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pyralis-io/pyralis/pkg/sink"
	"github.com/pyralis-io/pyralis/pkg/sink/sinktest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	fixture := func(t *testing.T, fields string) sinktest.Fixture {
		p := &post{came: make(chan *waiting)}
		p.server = httptest.NewServer(p)
		t.Cleanup(p.server.Close)
		return sinktest.Fixture{
			Factory: factory(t, nil), Config: config(p.server.URL+"?key=canary-1", fields), Refuses: true,
			Secrets: []string{"canary-1", "canary-2", whsec("c"), whsec("p")},
			Bad:     []json.RawMessage{nil, json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`{"url":7}`), json.RawMessage(`{"url":"ftp://x"}`)},
			Receive: func(*testing.T, sink.Stream) sinktest.Receiver { return &receiver{post: p} },
		}
	}
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		fields := `"headers":{"Authorization":"canary-2"},"secret":"` + whsec("c") + `","previousSecret":"` + whsec("p") + `"`
		f := fixture(t, fields)
		f.Impatient = func(t *testing.T) sinktest.Fixture { return fixture(t, fields+`,"requestTimeout":"2s"`) }
		return f
	})
}

// post is a server whose requests wait until a receiver takes them.
type post struct {
	server *httptest.Server
	came   chan *waiting
}

// waiting is a request that has no answer yet. An answer 0 breaks the connection.
type waiting struct {
	body   []byte
	answer chan int
}

func (p *post) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m := &waiting{body: body, answer: make(chan int, 2)}
	select {
	case p.came <- m:
	case <-r.Context().Done():
		return
	}
	select {
	case code := <-m.answer:
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
	case <-r.Context().Done():
	}
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
		r.taken = append(r.taken, m)
		r.mu.Unlock()
		say := func(code int) func() {
			return func() {
				select {
				case m.answer <- code:
				default: // there is one answer already
				}
			}
		}
		return &sinktest.Delivery{Events: m.body, Ack: say(http.StatusOK), Nack: say(http.StatusUnprocessableEntity)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *receiver) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.taken {
		select {
		case m.answer <- 0:
		default:
		}
	}
}
