package ws_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// broadcast opens a stream that broadcasts, with clients that acknowledge.
func broadcast(r *rig, acking ...*client) sink.Sink {
	r.t.Helper()
	s := r.openAs("id-s", "s", "broadcast")
	for _, c := range acking {
		c.say(`{"type":"listen","stream":"s","acks":true,"window":2}`)
		c.settled()
	}
	return s
}

func TestBroadcastWaitsForAllWhoAcknowledge(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	a, b, plain := r.dial(), r.dial(), r.dial()
	s := broadcast(r, a, b)
	plain.listen("s", 1)
	plain.settled()
	done := r.send(t.Context(), s, 1, 1)
	for _, c := range []*client{a, b, plain} {
		require.Equal(t, int64(1), c.next().BatchNumber)
	}
	plain.ack(1) // a habit of FireFly's clients: it changes nothing
	plain.settled()
	a.ack(1)
	a.ack(1)
	a.refused("batch 1")
	pending(t, done)
	b.ack(1)
	require.NoError(t, result(t, done))

	done = r.send(t.Context(), s, 2, 1)
	a.next()
	a.ack(2)
	a.settled()
	pending(t, done)
	require.NoError(t, b.Close())
	require.NoError(t, result(t, done), "who left holds up nobody")
	plain.next()

	require.NoError(t, a.Close())
	plain.settled()
	require.NoError(t, result(t, r.send(t.Context(), s, 3, 1)), "for who does not acknowledge, what is written is taken")
	require.Equal(t, int64(3), plain.next().BatchNumber)
	plain.say(`{"type":"nack","stream":"s","batchNumber":3}`)
	plain.refused("listen with acks true")
}

func TestBroadcastToNobodyWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	a := r.dial()
	s := broadcast(r, a)
	done := r.send(t.Context(), s, 1, 1)
	a.next()
	require.NoError(t, a.Close())
	require.ErrorIs(t, result(t, done), sink.ErrNobody, "nobody took it")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.(sink.Waiter).Wait(ctx))
	later := make(chan error, 1)
	go s.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 2, Body: []byte("[]")}, func(err error) { later <- err })
	b := r.dial()
	b.say(`{"type":"listen","stream":"s","acks":true}`)
	require.Equal(t, int64(1), b.next().BatchNumber)
	b.ack(1)
	require.NoError(t, result(t, later))
}

// Who took a refused batch is not sent it again. What was behind it is void.
func TestBroadcastComesAgainToThoseWhoDidNotTakeIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	a, b, slow := r.dial(), r.dial(), r.dial()
	s := broadcast(r, a, b)
	slow.say(`{"type":"listen","stream":"s","acks":true}`)
	slow.settled()
	first := r.send(t.Context(), s, 1, 1)
	behind, void := context.WithCancel(t.Context())
	second := r.send(behind, s, 2, 1)
	for _, c := range []*client{a, b} {
		require.Equal(t, int64(1), c.next().BatchNumber)
		require.Equal(t, int64(2), c.next().BatchNumber)
	}
	slow.next()
	a.ack(1)
	a.settled()
	b.say(`{"type":"nack","stream":"s","batchNumber":1,"message":"disk full","reply":true}`)
	m := b.next()
	require.Equal(t, "nacked", m.Type)
	require.Equal(t, int64(1), m.BatchNumber)
	require.Empty(t, m.InFlight, "the one behind it is void")
	b.say(`{"type":"nack","stream":"s","batchNumber":1,"reply":true}`)
	require.Equal(t, "nacked", b.next().Type, "wrong as it is, it is answered")
	b.refused("batch 1")
	err := result(t, first)
	require.ErrorContains(t, err, "disk full")
	require.True(t, sink.IsRefused(err))
	void()
	require.Error(t, result(t, second))

	slow.say(`{"type":"listen","stream":"s","acks":true,"window":5}`)
	slow.ack(1) // late: it counts when it is sent again
	slow.settled()
	again := r.send(t.Context(), s, 1, 2)
	require.Equal(t, 2, b.next().Attempt)
	b.ack(1)
	require.NoError(t, result(t, again))
	third := r.send(t.Context(), s, 3, 1)
	for _, c := range []*client{a, b, slow} {
		require.Equal(t, int64(3), c.next().BatchNumber)
		c.ack(3)
	}
	require.NoError(t, result(t, third))
}

// Who comes while a batch is in flight gets it, too: else it could be sent to them after later ones.
func TestBroadcastWhoJoinsGetsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	a, b := r.dial(), r.dial()
	s := broadcast(r, a)
	done := r.send(t.Context(), s, 1, 1)
	a.next()
	b.say(`{"type":"listen","stream":"id-s","acks":true}`)
	require.Equal(t, int64(1), b.next().BatchNumber)
	a.ack(1)
	a.settled()
	pending(t, done)
	b.say(`{"type":"ack","stream":"id-s","batchNumber":1}`)
	require.NoError(t, result(t, done))
}

// Who does not acknowledge in time what others took is cut off.
func TestBroadcastIsNotHeldUpForEver(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, ws.Options{AckTimeout: time.Minute, Now: c.now})
	never := r.dial()
	s := broadcast(r, never)
	done := r.send(t.Context(), s, 1, 1)
	never.next()
	c.advance(time.Minute)
	require.Equal(t, 2, never.next().Attempt, "alone, it is sent the batch again")
	a := r.dial()
	a.say(`{"type":"listen","stream":"s","acks":true}`)
	require.Equal(t, int64(1), a.next().BatchNumber)
	a.ack(1)
	a.settled()
	pending(t, done)
	c.advance(2 * time.Minute) // each copy is waited for twice as long
	require.NoError(t, result(t, done))
	for {
		_, _, err := never.ReadMessage()
		if err != nil {
			require.True(t, websocket.IsCloseError(err, websocket.CloseTryAgainLater), "%v", err)
			break
		}
	}
	require.Equal(t, 1, s.(sink.Windowed).Window())
}

// A client that reads nothing holds up the others for as long as a write may take, and never keeps more than the window.
func TestBroadcastToAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{WriteTimeout: 3 * time.Second})
	a, deaf := r.dial(), r.dial()
	s := broadcast(r, a)
	require.NoError(t, deaf.NetConn().(*net.TCPConn).SetReadBuffer(16<<10))
	deaf.listen("s", 2)
	require.Eventually(t, func() bool { return s.(sink.Windowed).Window() == 2 }, patience, tick)
	body := []byte(`["` + strings.Repeat("x", 8<<20) + `"]`)
	taken := make(chan error, 10)
	for n := int64(1); n <= 4; n++ {
		s.Send(t.Context(), &sink.Batch{Number: n, Attempt: 1, Body: body}, func(err error) { taken <- err })
		require.Equal(t, n, a.next().BatchNumber)
		a.ack(n)
	}
	for range 4 {
		require.NoError(t, result(t, taken))
	}
}

func TestAcksCannotBeChangedInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	a := r.dial()
	broadcast(r, a)
	a.say(`{"type":"listen","stream":"s","acks":true,"window":5}`)
	a.listen("s", 1)
	a.refused("unlisten first")
	a.say(`{"type":"unlisten","stream":"s"}`)
	a.listen("s", 1)
	a.settled()
}
