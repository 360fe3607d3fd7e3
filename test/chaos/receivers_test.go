//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

func asError(err error, target **client.Error) bool { return errors.As(err, target) }

// open makes the streams and their receivers:
//
//	socket  a WebSocket client that reconnects, and refuses a batch now and then
//	away    a WebSocket client that is away half of the time
//	hook    a webhook that fails one delivery in ten
//	down    a webhook whose port is closed half of the time
func (r *eventRun) open(ctx context.Context, running *sync.WaitGroup) {
	for i, kind := range []string{"socket", "away", "hook", "down"} {
		a := &account{stream: kind, listeners: map[string]*receipts{}}
		r.accounts = append(r.accounts, a)
		rnd := r.rand(uint64(100 + i))
		body := &apitypes.EventStream{
			Name: &kind, BatchSize: ptr(uint64(1 + rnd.IntN(100))), BatchTimeout: duration(100 * time.Millisecond),
			RetryTimeout: duration(2 * time.Second), BlockedRetryDelay: duration(300 * time.Millisecond),
		}
		switch kind {
		case "socket":
			running.Go(func() { r.socket(ctx, a, rnd) })
		case "away":
			running.Go(func() { r.away(ctx, a, rnd) })
		case "hook":
			h := &hook{r: r, a: a, rnd: rnd, fails: 10}
			body.Webhook = h.listen()
			h.up()
			running.Go(func() {
				<-ctx.Done()
				h.down()
			})
		case "down":
			h := &hook{r: r, a: a, rnd: rnd}
			body.Webhook = h.listen()
			running.Go(func() { h.comeAndGo(ctx) })
		}
		if body.Webhook != nil {
			body.Type = ptr(apitypes.StreamWebhook)
		}
		_, err := r.c.CreateStream(r.t.Context(), body)
		require.NoError(r.t, err)
		r.listen(kind, kind+" events", apitypes.ListenerEvents, 0)
		r.listen(kind, kind+" blocks", apitypes.ListenerBlocks, 0)
		r.listen(kind, kind+chosen, apitypes.ListenerEvents, 0)
	}
}

func ptr[T any](v T) *T { return &v }

// span draws a duration, up to a limit.
func span(rnd *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(limit)))
}

// work is how long a receiver takes for a batch at most.
const work = 20 * time.Millisecond

var errUnwanted = errors.New("not now")

// consumer is a client of an account's stream, which refuses one batch in so many.
func (r *eventRun) consumer(a *account, rnd *rand.Rand, refuses int) *client.Consumer {
	return &client.Consumer{
		URL: r.p.URL, Stream: a.stream, Window: 4,
		Handle: func(_ context.Context, b *client.Batch) error {
			server.Pause(r.t, span(rnd, work)) // so that a kill finds something under way
			if rnd.IntN(refuses) == 0 {
				a.failed()
				return errUnwanted
			}
			return a.take(b.Number, 1, b.Events)
		},
		Disconnected: func(error) { a.failed() },
	}
}

func (r *eventRun) socket(ctx context.Context, a *account, rnd *rand.Rand) {
	if err := r.consumer(a, rnd, 50).Run(ctx); ctx.Err() == nil {
		r.note("%s: %v", a.stream, err)
	}
}

// away comes and goes.
func (r *eventRun) away(ctx context.Context, a *account, rnd *rand.Rand) {
	for ctx.Err() == nil {
		here, leave := context.WithTimeout(ctx, span(rnd, time.Second))
		if err := r.consumer(a, rnd, 1000).Run(here); here.Err() == nil {
			r.note("%s: %v", a.stream, err)
		}
		leave()
		a.failed()
		server.Pause(r.t, span(rnd, time.Second))
	}
}

// hookTimeout is how long the node waits for the answer of a webhook.
const hookTimeout = 2 * time.Second

// hook is a receiver of webhooks.
type hook struct {
	r       *eventRun
	a       *account
	fails   int // one delivery in so many; 0: none
	address string

	mu     sync.Mutex
	rnd    *rand.Rand // guarded by mu
	server *http.Server
	first  net.Listener // until it is served
}

// listen takes a port, and returns the configuration of the stream. The port is none of those that the system gives to outgoing connections: one of
// those might sit on it while the receiver is down.
func (h *hook) listen() json.RawMessage {
	for {
		l, err := new(net.ListenConfig).Listen(h.r.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err != nil {
			continue
		}
		h.first, h.address = l, l.Addr().String()
		return json.RawMessage(fmt.Sprintf(`{"url":"http://%s/","format":"envelope","requestTimeout":%q}`, h.address, hookTimeout))
	}
}

func (h *hook) up() {
	l := h.first
	for h.first = nil; l == nil; {
		var err error
		if l, err = net.Listen("tcp", h.address); err != nil {
			server.Pause(h.r.t, 10*time.Millisecond)
		}
		if h.r.t.Context().Err() != nil {
			return
		}
	}
	srv := &http.Server{Handler: h}
	h.mu.Lock()
	h.server = srv
	h.mu.Unlock()
	go srv.Serve(l) // ends with down
}

// down closes the port and all connections.
func (h *hook) down() {
	h.mu.Lock()
	srv := h.server
	h.server = nil
	h.mu.Unlock()
	if srv != nil {
		srv.Close()
		h.a.failed()
	}
}

func (h *hook) comeAndGo(ctx context.Context) {
	defer h.down()
	for ctx.Err() == nil {
		h.up()
		server.Pause(h.r.t, h.span(time.Second))
		h.down()
		server.Pause(h.r.t, h.span(time.Second))
	}
}

func (h *hook) span(limit time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return span(h.rnd, limit)
}

// dice says how a delivery fails; 0: not at all.
func (h *hook) dice() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails == 0 || h.rnd.IntN(h.fails) > 0 {
		return 0
	}
	return 1 + h.rnd.IntN(5)
}

func (h *hook) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the node was killed
	}
	var b struct {
		BatchNumber int64             `json:"batchNumber"`
		Attempt     int               `json:"attempt"`
		Events      []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		h.r.note("%s: %v", h.a.stream, err)
		return
	}
	take := func() {
		if err := h.a.take(b.BatchNumber, b.Attempt, b.Events); err != nil {
			h.r.note("%s: %v", h.a.stream, err)
		}
	}
	server.Pause(h.r.t, h.span(work))
	fault := h.dice()
	defer func() {
		if req.Context().Err() != nil {
			h.a.failed() // the answer does not arrive
		}
	}()
	if fault != 0 {
		defer h.a.failed() // and whatever was taken may come again
	}
	switch fault {
	case 0:
		take()
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case 3: // nobody hears from it any more
		select {
		case <-req.Context().Done():
		case <-time.After(2 * hookTimeout):
		}
		panic(http.ErrAbortHandler)
	case 4: // cut before anything was done
		panic(http.ErrAbortHandler)
	default: // cut when all was done
		take()
		panic(http.ErrAbortHandler)
	}
}
