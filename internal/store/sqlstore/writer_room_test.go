package sqlstore

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAcceptsGoFirst: beside accepts, outcomes get a quarter of a group, and never nothing.
func TestAcceptsGoFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ accepts, outcomes, want int }{
		{accepts: 0, outcomes: 500, want: 128},
		{accepts: 1, outcomes: 500, want: minOutcomes},
		{accepts: 60, outcomes: 500, want: 20},
		{accepts: 60, outcomes: 5, want: 5},
		{accepts: 600, outcomes: 500, want: 85},
	} {
		w := newWriter(nil, nil, nil, 0, nil)
		for range c.accepts {
			w.queues[classAccept] <- &job{}
		}
		for range c.outcomes {
			w.queues[classOutcome] <- &job{}
		}
		w.drain()
		require.Len(t, w.buckets[classAccept], min(c.accepts, classLimit[classAccept]))
		require.Len(t, w.buckets[classOutcome], c.want)
		require.Equal(t, c.outcomes > c.want || c.accepts >= classLimit[classAccept], w.crowded(), "it does not wait for company")
	}
}
