package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGarbageIsBounded(t *testing.T) { //nolint:paralleltest // it is set for the process
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	spare(func(name string) string { return map[string]string{"GOGC": "200"}[name] })
	require.Equal(t, 100, debug.SetGCPercent(100), "who sets GOGC knows why")

	percent := func() uint64 {
		runtime.GC()
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(now)
		return now[0].Value.Uint64()
	}
	spare(func(string) string { return "" })
	small := percent()
	require.Greater(t, small, uint64(100), "a small heap has room to grow")

	some := make([]byte, roomy/2)
	require.Eventually(t, func() bool { return percent() < small }, 10*time.Second, time.Millisecond)
	more := make([]byte, roomy)
	require.Eventually(t, func() bool { return percent() == least }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(some)
	runtime.KeepAlive(more)
	some, more = nil, nil
	require.Eventually(t, func() bool { return percent() > 100 }, 10*time.Second, time.Millisecond)
	_, _ = some, more
}

func TestPercentForKeepsToTheRoom(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: most, 4 << 20: most, 16 << 20: 225, 26 << 20: 100, 32 << 20: 62, 40 << 20: least, 64 << 20: least, 1 << 30: least,
	} {
		require.Equal(t, want, percentFor(live, 0), "%d MiB", live>>20)
	}
	require.Equal(t, 180, percentFor(16<<20, 4<<20), "roots count as well")
}
