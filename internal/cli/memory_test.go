package cli

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbageIsBounded(t *testing.T) { //nolint:paralleltest // it is set for the process
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	spare(func(name string) string { return map[string]string{"GOGC": "200"}[name] })
	require.Equal(t, 100, debug.SetGCPercent(100), "who sets GOGC knows why")
	spare(func(string) string { return "" })
	require.Equal(t, garbage, debug.SetGCPercent(100))
}
