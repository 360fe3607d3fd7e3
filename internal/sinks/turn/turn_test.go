package turn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// send is a Send in the background.
func send(ctx context.Context, s *turn.Slot, deliver func(context.Context, *sink.Batch) error) <-chan error {
	result := make(chan error, 2)
	go s.Send(ctx, nil, func(err error) { result <- err }, deliver)
	return result
}

func fine(context.Context, *sink.Batch) error { return nil }

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	s := turn.New(t.Context())
	started, ready := make(chan struct{}), make(chan struct{})
	first := send(t.Context(), s, func(context.Context, *sink.Batch) error {
		close(started)
		<-ready
		return errors.New("no")
	})
	<-started
	ctx, cancel := context.WithCancelCause(t.Context())
	second := send(ctx, s, func(context.Context, *sink.Batch) error { return errors.New("began before the first had ended") })
	cancel(errors.New("void"))
	require.EqualError(t, <-second, "void")
	close(ready)
	require.EqualError(t, <-first, "no")
	require.NoError(t, <-send(t.Context(), s, fine))
	require.NoError(t, s.Close(t.Context(), nil))
}

func TestClose(t *testing.T) {
	t.Parallel()
	before, cancel := context.WithCancel(t.Context())
	s := turn.New(before)
	cancel()
	require.NoError(t, s.Life().Err(), "it does not end with who opened the sink")
	started, ready := make(chan struct{}), make(chan struct{})
	deliver := func(ctx context.Context, _ *sink.Batch) error {
		close(started)
		<-ctx.Done()
		<-ready
		return context.Cause(ctx)
	}
	held := send(t.Context(), s, deliver)
	<-started
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	released, left := false, make(chan struct{})
	require.ErrorContains(t, s.Close(ended, func() {
		if !released { // the race detector sees if nothing orders the two
			t.Error("the delivery has not ended")
		}
		close(left)
	}), "a delivery does not end")
	require.ErrorIs(t, context.Cause(s.Life()), sink.ErrClosed)
	released = true
	close(ready)
	require.ErrorIs(t, <-held, sink.ErrClosed)
	<-left // nothing stays open for want of time
	last := 0
	for range 100 { // a context that is over takes nothing from a slot that is free
		require.NoError(t, s.Close(ended, func() { last++ }))
	}
	require.Equal(t, 100, last)
	for range 100 { // which of a free slot and the end is seen first is left to chance
		require.ErrorIs(t, <-send(t.Context(), s, fine), sink.ErrClosed)
	}
}

// A delivery that panics is over: the next one begins, and Close ends.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := turn.New(t.Context())
	require.PanicsWithValue(t, "bug", func() {
		s.Send(t.Context(), nil, func(error) { t.Error("done is for who recovers") }, func(context.Context, *sink.Batch) error { panic("bug") })
	})
	require.NoError(t, <-send(t.Context(), s, fine))
	require.NoError(t, s.Close(t.Context(), nil))
}
