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
const patience = 2 * time.Minute

// Fixture is a sink under test.
type Fixture struct {
	Factory sink.Factory
	Config  json.RawMessage   // of a stream; nil for none
	Bad     []json.RawMessage // configurations that must be refused

	// Receive brings a receiver of the stream. The test ends it with Leave.
	Receive func(t *testing.T, s sink.Stream) Receiver
	// Refuses: a receiver can refuse a batch (Delivery.Nack is set).
	Refuses bool

	// Window is how many batches a receiver takes before it answers the first; 0: one.
	Window int
	// Impatient, if set, makes a fixture whose sink has so short a timeout that the suite can wait for it. The sink then does something about
	// a receiver that does not answer: it fails the batch, or sends it again.
	Impatient func(t *testing.T) Fixture
	// Secrets are texts in Config that nobody may read, for factories that are sink.Confidential.
	Secrets []string
}

// Receiver is the far end.
type Receiver interface {
	// Next returns the next batch that arrives. It ends with ctx; the receiver is not used after that.
	Next(ctx context.Context) (*Delivery, error)
	// Leave ends the receiver, batches unanswered or not.
	Leave()
}

// Delivery is a batch as it arrived. It may be answered after the receiver has left, which changes nothing.
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
		"late ack":               testLateAck,
		"large batch":            testLarge,
		"window":                 testWindow,
		"void while blocked":     testBlocked,
		"no answer":              testSilence,
		"streams are apart":      testApart,
		"close":                  testClose,
		"close while blocked":    testCloseBlocked,
		"open again":             testReopen,
		"secrets":                testSecrets,
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
	cfg    json.RawMessage // as Validate returned it
	stream sink.Stream
	sink   sink.Sink
}

func newRig(t *testing.T, f Fixture) *rig {
	t.Helper()
	cfg, err := f.Factory.Validate(f.Config)
	require.NoError(t, err)
	r := &rig{Fixture: f, t: t, cfg: cfg}
	r.open(sink.Stream{ID: "5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11", Name: "suite"})
	return r
}

// open makes the sink of a stream the one under test.
func (r *rig) open(stream sink.Stream) {
	r.t.Helper()
	s, err := r.Factory.Open(r.t.Context(), stream, r.cfg)
	require.NoError(r.t, err)
	r.stream, r.sink = stream, s
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(r.t, s.Close(ctx))
	})
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
	out := r.sink
	r.t.Cleanup(func() {
		cancel()
		select {
		case <-s.returned:
		case <-time.After(patience):
			require.FailNow(r.t, "Send must return when its context ends")
		}
		if !s.called() {
			require.Error(r.t, s.wait(), "a batch whose context ended is not delivered")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(r.t, 1, s.calls, "done must be called once")
	})
	go func() {
		defer close(s.returned)
		out.Send(ctx, b, func(err error) {
			s.mu.Lock()
			s.calls++
			s.mu.Unlock()
			s.result <- err
		})
	}()
	return s
}

func (s *sending) called() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls > 0
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
