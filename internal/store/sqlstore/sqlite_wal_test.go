package sqlstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPaceOfCopying: a log that grows is copied in large steps, one that does not now and then, and a short one never.
func TestPaceOfCopying(t *testing.T) {
	t.Parallel()
	var p walPace
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		size  int64
		want  bool
	}{
		{0, walStart - 1, false},
		{0, walStart, true},
		{walInterval, walStart + 1, false},
		{walInterval, walStart + walStep - 1, false},
		{walInterval, walStart + walStep, true},
		{walPause - 1, walStart + walStep, false}, // it may have begun from the start again, at the same size
		{1, walStart + walStep, true},
		{walInterval, 1, false}, // emptied
		{walInterval, walStep, false},
		{walInterval, walStep + 1, true},
	} {
		at = at.Add(c.after)
		require.Equal(t, c.want, p.due(c.size, at), "%+v", c)
	}
}
