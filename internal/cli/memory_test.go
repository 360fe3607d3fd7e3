package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGarbageIsBounded(t *testing.T) { //nolint:paralleltest // it is set for the process
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	spare(func(name string) string { return map[string]string{"GOGC": "200"}[name] })
	require.Equal(t, 100, debug.SetGCPercent(100), "who sets GOGC knows why")

	percent := func() int {
		runtime.GC()
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	spare(func(string) string { return "" })
	require.Greater(t, percent(), garbage, "a small heap has room to grow")

	large := make([]byte, roomy)
	require.Eventually(t, func() bool { return percent() == garbage }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(large)
	large = nil
	require.Eventually(t, func() bool { return percent() > garbage }, 10*time.Second, time.Millisecond)
	_ = large
}

func TestPercentForKeepsToTheRoom(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: most, 4 << 20: most, 16 << 20: 300, 32 << 20: 100, 40 << 20: garbage, 64 << 20: garbage, 1 << 30: garbage} {
		require.Equal(t, want, percentFor(live, 0), "%d MiB", live>>20)
	}
	require.Equal(t, 240, percentFor(16<<20, 4<<20), "roots count as well")
}
