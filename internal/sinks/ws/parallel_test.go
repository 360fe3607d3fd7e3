package ws_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestParallelGivesEachConnectionAWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, ws.Options{})
	s := r.openAs("id-s", "s", "parallel")
	require.True(t, s.(sink.Unordered).Unordered())
	require.False(t, r.open("ordered").(sink.Unordered).Unordered())
	a, b := r.dial(), r.dial()
	a.listen("s", 2)
	a.settled()
	b.listen("s", 1)
	b.settled()
	require.Equal(t, 3, s.(sink.Windowed).Window())
	done := make(map[int64]chan error)
	for n := int64(1); n <= 3; n++ {
		done[n] = r.send(t.Context(), s, n, 1)
	}
	require.Equal(t, int64(1), a.next().BatchNumber)
	require.Equal(t, int64(2), b.next().BatchNumber)
	require.Equal(t, int64(3), a.next().BatchNumber)
	b.ack(1)
	b.refused("batch 1")

	a.say(`{"type":"nack","stream":"s","batchNumber":1,"reply":true}`)
	m := a.next()
	require.Equal(t, "nacked", m.Type)
	require.Equal(t, []int64{3}, m.InFlight, "what is behind it goes on")
	require.True(t, sink.IsRefused(result(t, done[1])))
	pending(t, done[3])
	a.ack(3)
	require.NoError(t, result(t, done[3]))
	require.NoError(t, b.Close())
	require.ErrorIs(t, result(t, done[2]), sink.ErrNobody)
	again := r.send(t.Context(), s, 2, 2)
	require.Equal(t, int64(2), a.next().BatchNumber)
	a.ack(2)
	require.NoError(t, result(t, again))
}

// What one lets time out goes to another, and nothing more goes to it while others are there.
func TestParallelPassesByWhoIsSilent(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, ws.Options{AckTimeout: time.Minute, Now: c.now})
	s := r.openAs("id-s", "s", "parallel")
	silent := r.dial()
	silent.listen("s", 2)
	r.wait(s)
	first := r.send(t.Context(), s, 1, 1)
	require.Equal(t, int64(1), silent.next().BatchNumber)
	a := r.dial()
	a.listen("s", 1)
	a.settled()
	c.advance(time.Minute)
	require.ErrorIs(t, result(t, first), sink.ErrNobody)
	for n := int64(1); n <= 4; n++ {
		done := r.send(t.Context(), s, n, 1)
		require.Equal(t, n, a.next().BatchNumber)
		a.ack(n)
		require.NoError(t, result(t, done))
	}
	silent.say(`{"type":"nack","stream":"s","batchNumber":1}`)
	silent.refused("batch 1")
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return s.(sink.Windowed).Window() == 2 }, patience, tick)
	last := r.send(t.Context(), s, 5, 1)
	require.Equal(t, int64(5), silent.next().BatchNumber)
	silent.ack(5)
	require.NoError(t, result(t, last))
}
