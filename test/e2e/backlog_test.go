//go:build e2e

package e2e

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// However much waits for receivers that are not there, or do not answer, the process stays small, and another stream has its full rate.
func TestABacklogTakesNoMemory(t *testing.T) {
	t.Parallel()
	const most = 300 << 20
	events := server.Int(t, "E2E_BACKLOG", 200_000)
	p := withHistory(t, events)
	p.Start()
	c := client.New(p.URL)
	t.Cleanup(c.Close)
	before := p.PeakMemory()

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + closed.Addr().String()
	require.NoError(t, closed.Close()) // the sink is stopped
	streamOf(t, c, "stopped", url, 1000)
	streamOf(t, c, "absent", "", 1000)
	streamOf(t, c, "mute", "", 1000)
	dial(t, p.URL, "mute", 50)
	require.Eventually(t, func() bool {
		s, err := c.Stream(t.Context(), "stopped")
		require.NoError(t, err)
		return s.StreamState.LastError != "" && inFlight(t, c, "mute") > 0
	}, time.Minute, 20*time.Millisecond)
	waiting := p.PeakMemory()

	streamOf(t, c, "quick", "", 500)
	began := time.Now()
	consumeAll(t, p.URL, "quick", events)
	took := time.Since(began)
	for _, stream := range []string{"stopped", "absent", "mute"} {
		s, err := c.Stream(t.Context(), stream)
		require.NoError(t, err)
		require.Zero(t, s.StreamState.Delivered, stream)
	}
	peak := p.PeakMemory()
	t.Logf("%d events wait for each of three streams: RSS %d MiB at the start, %d MiB with them, %d MiB at most while another stream delivered as many in %s (%.0f events/s)",
		events, before>>20, waiting>>20, peak>>20, took.Round(time.Millisecond), float64(events)/took.Seconds())
	require.Less(t, peak, int64(most))
	interruptsCleanly(t, p)
}
