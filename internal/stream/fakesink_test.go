package stream

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// fakeSink takes batches and leaves them to the test.
type fakeSink struct {
	out    chan *delivered
	window int
	stuck  chan struct{} // not nil: Send does nothing, whatever its context says, until it is closed

	mu     sync.Mutex
	absent chan struct{} // not nil: nobody is there; closed when somebody comes
	closed bool
}

type delivered struct {
	*sink.Batch
	ctx  context.Context // what Send was given
	done func(error)
	once sync.Once
}

// finish calls done, once: by the test or, when the batch is void, by the sink.
func (d *delivered) finish(err error) { d.once.Do(func() { d.done(err) }) }

type fakeFactory struct {
	mu    sync.Mutex
	sinks map[string]*fakeSink // by stream
	setup func(*fakeSink)
}

func (f *fakeFactory) Type() string { return "websocket" }

func (f *fakeFactory) Validate(cfg json.RawMessage) (json.RawMessage, error) {
	if string(cfg) == `{"bad":true}` {
		return nil, errors.New("bad")
	}
	return json.RawMessage(`{"distributionMode":"load_balance"}`), nil
}

func (f *fakeFactory) Open(_ context.Context, s sink.Stream, _ json.RawMessage) (sink.Sink, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sinks == nil {
		f.sinks = make(map[string]*fakeSink)
	}
	fs := &fakeSink{out: make(chan *delivered, 1000), window: 1}
	if f.setup != nil {
		f.setup(fs)
	}
	f.sinks[s.Name] = fs
	return fs, nil
}

func (f *fakeFactory) of(stream string) *fakeSink {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sinks[stream]
}

func (s *fakeSink) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *fakeSink) Window() int { return s.window }

func (s *fakeSink) Wait(ctx context.Context) error {
	s.mu.Lock()
	absent := s.absent
	s.mu.Unlock()
	if absent == nil {
		return nil
	}
	select {
	case <-absent:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// come lets a receiver come that was absent.
func (s *fakeSink) come() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.absent)
	s.absent = nil
}

// leave takes the receiver away.
func (s *fakeSink) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = make(chan struct{})
}

func (s *fakeSink) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	if s.stuck != nil {
		<-s.stuck
	}
	d := &delivered{Batch: b, ctx: ctx, done: done}
	context.AfterFunc(ctx, func() { d.finish(context.Cause(ctx)) })
	select {
	case s.out <- d:
	case <-ctx.Done():
	}
}

func (s *fakeSink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
