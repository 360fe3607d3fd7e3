package txn_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestRetryOfALongID: there is always an id for the next one, the same each time, and another for another transaction.
func TestRetryOfALongID(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return refusal("broke") }
	seen := map[string]bool{}
	for _, end := range []string{"a", "b", "c:retry-9"} {
		id := strings.Repeat("x", 256-len(end)) + end
		r.submit(submission(id))
		for range 3 {
			r.until(id, store.SubFailed)
			next, replay, err := r.RetryTransaction(t.Context(), id, "")
			require.NoError(t, err)
			require.False(t, replay)
			again, replay, err := r.RetryTransaction(t.Context(), id, "")
			require.NoError(t, err)
			require.True(t, replay)
			require.Equal(t, next.ID, again.ID)
			require.False(t, seen[next.ID])
			seen[next.ID], id = true, next.ID
		}
	}
	require.Len(t, seen, 9)
	for id := range seen {
		require.Regexp(t, `^x{200}~[0-9a-f]{16}:retry-(1|2|3|10|11|12)$`, id)
	}
}
