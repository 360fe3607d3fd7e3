package stream

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// scrape returns the value of each metric of a stream, and "state" by its name.
func scrape(t *testing.T, reg *prometheus.Registry, stream string) (values map[string]float64, state string) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	values = make(map[string]float64)
	for _, f := range families {
		name, isOfStream := strings.CutPrefix(f.GetName(), "pyralis_stream_")
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			switch {
			case !isOfStream || labels["stream"] != stream:
			case name == "state":
				require.Empty(t, state, "it is in one state")
				state = labels["state"]
			default:
				values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return values, state
}

// The metrics follow a stream through its life, and go with it.
func TestMetricsOfAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		reg := prometheus.NewPedanticRegistry()
		metrics.RegisterStreams(reg, func() metrics.StreamStates { return r.m.States() })
		r.stream("s", func(s *apitypes.EventStream) {
			s.RetryTimeout, s.BatchSize, s.ErrorHandling = ptr(ms(0)), ptr(uint64(1)), ptr("skip")
		})
		r.listenFrom("s", "1", "A")
		synctest.Wait()
		<-time.After(time.Second) // until its run knows the listener
		r.chain.mine("A", "A")
		synctest.Wait()
		r.next("s").finish(nil)
		d := r.next("s")
		<-time.After(2 * time.Second)
		r.chain.mine("A")
		synctest.Wait()
		got, state := scrape(t, reg, "s")
		require.Equal(t, stateLive, state)
		require.Equal(t, map[string]float64{
			"lag_blocks": 2, "lag_seconds": 1, "in_flight_batches": 1, "oldest_unacked_seconds": 2, "blocked": 0, "dead_letters": 0,
			"dead_lettered_events_total": 0, "delivered_events_total": 1, "redelivered_events_total": 0, "rewinds_total": 0, "resets_total": 0,
		}, got)
		require.Positive(t, r.m.States().Memory)
		require.Equal(t, int64(defaultMaxMemory), r.m.States().MemoryLimit)

		d.finish(errTest)
		synctest.Wait()
		got, state = scrape(t, reg, "s")
		require.Equal(t, stateBlocked, state)
		require.InDelta(t, 1, got["blocked"], 0)
		(<-r.factory.of("s").out).finish(nil)
		last := <-r.factory.of("s").out
		got, state = scrape(t, reg, "s")
		require.Equal(t, stateLive, state)
		require.InDelta(t, 1, got["redelivered_events_total"], 0)
		require.InDelta(t, 2, got["delivered_events_total"], 0)

		last.finish(sink.Permanent(errTest))
		synctest.Wait()
		got, state = scrape(t, reg, "s")
		require.Equal(t, stateLive, state)
		require.InDelta(t, 1, got["dead_lettered_events_total"], 0)
		require.InDelta(t, 1, got["dead_letters"], 0)
		require.Zero(t, got["lag_blocks"])
		r.chain.mine("A")
		<-r.factory.of("s").out

		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		got, state = scrape(t, reg, "s")
		require.Equal(t, stateSuspended, state)
		require.InDelta(t, 1, got["lag_blocks"], 0)
		require.InDelta(t, 2, got["delivered_events_total"], 0, "a counter does not go back")
		require.Zero(t, got["in_flight_batches"])
		require.Zero(t, r.m.States().Memory)

		_, err := r.m.ResetStream(t.Context(), "s", nil, true)
		require.NoError(t, err)
		_, err = r.m.ResetStream(t.Context(), "s", nil, false)
		require.NoError(t, err)
		got, _ = scrape(t, reg, "s")
		require.InDelta(t, 1, got["resets_total"], 0, "a dry run is none")

		_, err = r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Name: ptr("t")})
		require.NoError(t, err)
		_, state = scrape(t, reg, "s")
		require.Empty(t, state)
		_, state = scrape(t, reg, "t")
		require.Equal(t, stateSuspended, state)
		require.NoError(t, r.m.DeleteStream(t.Context(), "t"))
		got, state = scrape(t, reg, "t")
		require.Empty(t, state)
		require.Empty(t, got)
	})
}
