package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestStreamsAreCollected(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	three, late, old := uint64(3), 2.5, 0.25
	states := StreamStates{Memory: 7, MemoryLimit: 64, Streams: []StreamState{
		{
			Stream: "a", State: "blocked", LagBlocks: &three, LagSeconds: &late, LagTransactions: &three, DeadLetters: &three, OldestUnackedSeconds: &old,
			InFlightBatches: 2, Delivered: 10, Redelivered: 4, DeadLettered: 5, Rewinds: 1, Resets: 6,
		},
		{Stream: `b"\`, State: "suspended"},
	}}
	RegisterStreams(reg, func() StreamStates { return states })
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	got := func() map[string]float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		all := make(map[string]float64)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := strings.TrimPrefix(f.GetName(), "pyralis_")
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is nil
			}
		}
		return all
	}
	shared := map[string]float64{"events_memory_bytes": 7, "events_memory_limit_bytes": 64}
	require.Equal(t, map[string]float64{
		"events_memory_bytes": 7, "events_memory_limit_bytes": 64,
		"stream_lag_blocks a": 3, "stream_lag_seconds a": 2.5, "stream_lag_transactions a": 3, "stream_in_flight_batches a": 2,
		"stream_oldest_unacked_seconds a": 0.25, "stream_blocked a": 1, "stream_dead_letters a": 3, "stream_dead_lettered_events_total a": 5,
		"stream_delivered_events_total a": 10, "stream_redelivered_events_total a": 4, "stream_rewinds_total a": 1, "stream_resets_total a": 6, "stream_state blocked a": 1,
		`stream_in_flight_batches b"\`: 0, `stream_oldest_unacked_seconds b"\`: 0, `stream_blocked b"\`: 0, `stream_dead_lettered_events_total b"\`: 0,
		`stream_delivered_events_total b"\`: 0, `stream_redelivered_events_total b"\`: 0, `stream_rewinds_total b"\`: 0, `stream_resets_total b"\`: 0, `stream_state suspended b"\`: 1,
	}, got())
	states.Streams = []StreamState{{Stream: "a\xff", State: "live"}, {Stream: "a\xff", State: "failed"}}
	require.InDelta(t, 1, got()["stream_state live a\uFFFD"], 0, "names that are no text, or there twice for a moment, do not break a scrape")
	states.Streams = nil
	require.Equal(t, shared, got(), "nothing is left of a stream that is gone")
}
