package ws_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestOneConnectionHoldsTheWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	a := r.dial()
	a.listen("s", 3)
	r.wait(s)
	b := r.dial()
	b.listen("s", 3)
	b.say(`{"type":"x"}`)
	b.refused("not understood") // so it listens
	require.Equal(t, 3, s.(sink.Windowed).Window())

	var done []chan error
	for n := int64(1); n <= 3; n++ {
		done = append(done, r.send(t.Context(), s, n, 1))
		require.Equal(t, n, a.next().BatchNumber)
	}
	ctx, cancel := context.WithCancel(t.Context())
	full := make(chan error, 1)
	go func() {
		s.Send(ctx, &sink.Batch{Number: 4, Body: []byte("[]")}, func(err error) { full <- err })
	}()
	a.ack(2)
	require.NoError(t, result(t, done[1]))
	require.Equal(t, int64(4), a.next().BatchNumber, "while something is in flight the holder keeps the stream")
	a.ack(1)
	a.ack(3)
	a.ack(4)
	require.NoError(t, result(t, full))
	require.NoError(t, result(t, done[0]))
	require.NoError(t, result(t, done[2]))
	cancel()

	last := r.send(t.Context(), s, 5, 1)
	require.Equal(t, int64(5), b.next().BatchNumber, "with nothing in flight the next one has its turn")
	a.ack(5)
	a.refused("batch 5")
	pending(t, last)
	require.NoError(t, b.Close())
	require.ErrorIs(t, result(t, last), sink.ErrNobody, "a connection that ends gives its batches back at once")
	last = r.send(t.Context(), s, 5, 2)
	m := a.next()
	require.Equal(t, int64(5), m.BatchNumber)
	require.Equal(t, 2, m.Attempt)
	a.ack(5)
	require.NoError(t, result(t, last))
}

func TestLeavingWithAWindowGivesAllBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	a := r.dial()
	a.listen("s", 2)
	r.wait(s)
	first, second := r.send(t.Context(), s, 1, 1), r.send(t.Context(), s, 2, 1)
	a.next()
	a.next()
	a.say(`{"type":"unlisten","stream":"s"}`)
	require.ErrorIs(t, result(t, first), sink.ErrNobody)
	require.ErrorIs(t, result(t, second), sink.ErrNobody)
	a.ack(1)
	a.refused("does not listen")
}

func TestALateAckCounts(t *testing.T) {
	t.Parallel()
	t.Run("moved to another connection", func(t *testing.T) {
		t.Parallel()
		var c clock
		r := newRig(t, ws.Options{AckTimeout: time.Minute, Now: c.now})
		s := r.open("s")
		a := r.dial()
		a.listen("s", 1)
		r.wait(s)
		done := r.send(t.Context(), s, 9, 1)
		require.Equal(t, int64(9), a.next().BatchNumber)
		b := r.dial()
		b.listen("s", 1)
		b.settled()
		c.advance(time.Minute)
		require.ErrorIs(t, result(t, done), sink.ErrNobody, "the timeout passes the batch on")
		done = r.send(t.Context(), s, 9, 2)
		require.Equal(t, int64(9), b.next().BatchNumber)
		a.ack(9) // the slow one has done it after all
		require.NoError(t, result(t, done))
		b.ack(9)
		b.refused("batch 9")
	})
	t.Run("before it is sent again", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, ws.Options{})
		s := r.open("s")
		a := r.dial()
		a.listen("s", 1)
		r.wait(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := r.send(ctx, s, 9, 1)
		a.next()
		cancel()
		require.Error(t, result(t, done))
		a.ack(9)
		a.say(`{"type":"x"}`)
		a.refused(`"x"`) // no word about the ack: it may count yet
		require.NoError(t, result(t, r.send(t.Context(), s, 9, 2)))
	})
	t.Run("a client slower than the timeout gets on", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, ws.Options{AckTimeout: 10 * time.Millisecond})
		s := r.open("s")
		a := r.dial()
		a.listen("s", 1)
		r.wait(s)
		for n := int64(1); n <= 3; n++ {
			done := r.send(t.Context(), s, n, 1)
			m := a.next()
			for m.BatchNumber != n {
				m = a.next() // a copy of the one before
			}
			again := a.next()
			require.Equal(t, n, again.BatchNumber, "sent again, under its number")
			require.Equal(t, string(m.Events), string(again.Events))
			require.Zero(t, m.Attempt, "the first does not say")
			require.Equal(t, 2, again.Attempt)
			a.ack(n)
			require.NoError(t, result(t, done))
		}
	})
}

// Only who was sent a batch can have done it, also when the batch is on its way back.
func TestALateAckOfAnotherConnectionDoesNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.open("s")
	a := r.dial()
	a.listen("s", 1)
	r.wait(s)
	ctx, cancel := context.WithCancel(t.Context())
	done := r.send(ctx, s, 9, 1)
	a.next()
	b := r.dial()
	b.listen("s", 1)
	b.settled()
	cancel()
	require.Error(t, result(t, done))
	b.ack(9)
	b.refused("batch 9")
	done = r.send(t.Context(), s, 9, 2)
	require.Equal(t, int64(9), b.next().BatchNumber, "it goes again")
	pending(t, done)
	b.ack(9)
	require.NoError(t, result(t, done))
}

func TestClientsMayComeBeforeTheStreamIsOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{Find: streams("s")})
	a := r.dial()
	a.listen("s", 7)
	a.say(`{"type":"x"}`)
	a.refused(`"x"`)
	s := r.open("s")
	r.wait(s)
	require.Equal(t, 7, s.(sink.Windowed).Window())
	_, err := r.server.Open(t.Context(), sink.Stream{ID: "id-s", Name: "s"}, nil)
	require.ErrorContains(t, err, "already has")
	require.NoError(t, s.Close(t.Context()))
	s = r.open("s") // a stream that is changed opens its sink again; who listens, stays
	r.wait(s)
	done := r.send(t.Context(), s, 1, 1)
	a.next()
	a.ack(1)
	require.NoError(t, result(t, done))
}
