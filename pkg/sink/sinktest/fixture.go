package sinktest

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// patience is how long the suite waits for what must happen.
const patience = 10 * time.Second

// Fixture is a sink under test.
type Fixture struct {
	Factory sink.Factory
	Config  json.RawMessage   // of a stream; nil for none
	Bad     []json.RawMessage // configurations that must be refused

	// Receive brings a receiver of the stream. The test ends it with Leave.
	Receive func(t *testing.T, s sink.Stream) Receiver
	// Refuses: a receiver can refuse a batch (Delivery.Nack is set).
	Refuses bool
}

// Receiver is the far end.
type Receiver interface {
	// Next returns the next batch that arrives.
	Next(ctx context.Context) (*Delivery, error)
	// Leave ends the receiver, batches unanswered or not.
	Leave()
}

// Delivery is a batch as it arrived.
type Delivery struct {
	Events json.RawMessage // the array of events
	Ack    func()          // tells the sink that the batch is durable
	Nack   func()          // refuses the batch; nil if that cannot be said
}

// Run runs the suite. fixture is called for each test.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *rig){
		"configuration":          testConfiguration,
		"order":                  testOrder,
		"done only after ack":    testDoneAfterAck,
		"refused and sent again": testRefused,
		"receiver leaves":        testLeave,
		"nobody there":           testNobody,
		"void while unanswered":  testVoid,
		"close":                  testClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, fixture(t)))
		})
	}
}

// rig is a fixture with an open sink.
type rig struct {
	Fixture
	t      *testing.T
	stream sink.Stream
	sink   sink.Sink
}

func newRig(t *testing.T, f Fixture) *rig {
	t.Helper()
	cfg, err := f.Factory.Validate(f.Config)
	require.NoError(t, err)
	r := &rig{Fixture: f, t: t, stream: sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "suite"}}
	r.sink, err = f.Factory.Open(t.Context(), r.stream, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, r.sink.Close(ctx))
	})
	return r
}

func (r *rig) receive() Receiver {
	r.t.Helper()
	rec := r.Receive(r.t, r.stream)
	if w, ok := r.sink.(sink.Waiter); ok {
		ctx, cancel := context.WithTimeout(r.t.Context(), patience)
		defer cancel()
		require.NoError(r.t, w.Wait(ctx), "a receiver is there")
	}
	return rec
}

// next is the next batch at a receiver.
func (r *rig) next(rec Receiver) *Delivery {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	d, err := rec.Next(ctx)
	require.NoError(r.t, err)
	return d
}

// batch makes a batch of some events.
func batch(number int64, attempt, events int) *sink.Batch {
	b := &sink.Batch{Number: number, Attempt: attempt, Body: []byte{'['}}
	l := &sink.Listener{ID: "0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22", Name: "l", Stream: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11"}
	type span struct{ start, end int }
	var spans []span
	for i := range events {
		if i > 0 {
			b.Body = append(b.Body, ',')
		}
		start := len(b.Body)
		b.Body = append(b.Body, `{"id":"e`+strconv.FormatInt(number, 10)+`-`+strconv.Itoa(i)+`","data":{"text":"ä\u0000"}}`...)
		spans = append(spans, span{start, len(b.Body)})
	}
	b.Body = append(b.Body, ']')
	for i, s := range spans {
		b.Events = append(b.Events, sink.Event{
			ID: "e" + strconv.FormatInt(number, 10) + "-" + strconv.Itoa(i), Listener: l, Block: uint64(number), JSON: b.Body[s.start:s.end],
		})
	}
	return b
}

// sending is a Send under way.
type sending struct {
	t        *testing.T
	cancel   context.CancelFunc
	returned chan struct{}
	result   chan error

	mu    sync.Mutex
	calls int // guarded by mu
}

func (r *rig) send(b *sink.Batch) *sending {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &sending{t: r.t, cancel: cancel, returned: make(chan struct{}), result: make(chan error, 10)}
	r.t.Cleanup(func() {
		cancel()
		<-s.returned
		s.mu.Lock()
		defer s.mu.Unlock()
		require.LessOrEqual(r.t, s.calls, 1, "done must be called once")
	})
	go func() {
		defer close(s.returned)
		r.sink.Send(ctx, b, func(err error) {
			s.mu.Lock()
			s.calls++
			s.mu.Unlock()
			s.result <- err
		})
	}()
	return s
}

// wait is what done was called with.
func (s *sending) wait() error {
	s.t.Helper()
	select {
	case err := <-s.result:
		return err
	case <-time.After(patience):
		require.FailNow(s.t, "done was not called")
		return nil
	}
}

// open checks that done was not called yet.
func (s *sending) open() {
	s.t.Helper()
	select {
	case err := <-s.result:
		require.FailNow(s.t, "done was called too early", "%v", err)
	default:
	}
}
