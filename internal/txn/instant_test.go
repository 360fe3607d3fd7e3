package txn

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestATimeFromTheStoreIsAsFarAwayAsTheClockSays, also when that was set since the process started.
func TestATimeFromTheStoreIsAsFarAwayAsTheClockSays(t *testing.T) {
	t.Parallel()
	began := time.Now()
	now := began
	*(*uint64)(unsafe.Pointer(&now)) += 3600 << 30 // the wall clock was set, the monotonic one goes on: see the fields of time.Time
	require.Equal(t, time.Hour, now.Round(0).Sub(began.Round(0)))
	require.Zero(t, now.Sub(began))
	stored := now.Add(time.Minute).Round(0) // that is, without the monotonic clock
	due := instantOf(stored, now)
	require.Equal(t, time.Minute, due.until(now))
	require.True(t, due.after(now))
	require.False(t, due.after(now.Add(time.Minute)))
	require.False(t, instantOf(time.Time{}, now).after(now))
}
