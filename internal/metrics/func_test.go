package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestFunc(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	value := 1.0
	up := Func{Name: "x_up", Help: "Up.", Labels: []string{"peer"}, Read: func(emit func(float64, ...string)) { emit(value, "a"); emit(0, "b") }}
	require.NoError(t, up.Register(reg))
	require.Error(t, up.Register(reg), "a name belongs to one")
	require.NoError(t, Func{Name: "x_total", Help: "All.", Counter: true, Read: func(emit func(float64, ...string)) { emit(7) }}.Register(reg))
	value = 3
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP x_total All.
# TYPE x_total counter
x_total 7
# HELP x_up Up.
# TYPE x_up gauge
x_up{peer="a"} 3
x_up{peer="b"} 0
`)))
	require.NoError(t, Func{Name: "x_bad", Help: "Bad.", Read: func(emit func(float64, ...string)) { emit(1, "too many") }}.Register(reg))
	_, err := reg.Gather()
	require.Error(t, err)
}
