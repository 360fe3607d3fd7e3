package txn

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// TestWhatWasAnsweredAndWhatWasMissedAreApart: the one is forgotten without the other, and what is forgotten takes no memory.
func TestWhatWasAnsweredAndWhatWasMissedAreApart(t *testing.T) {
	t.Parallel()
	it := new(item)
	it.know(aside{missed: true, above: 5})
	away := ffcapi.Errorf(ffcapi.Unavailable, "away")
	it.answered(away, 2)
	require.Equal(t, aside{lastErr: away, errOf: 2, missed: true, above: 5}, it.known())
	it.answered(nil, 0)
	require.Equal(t, aside{missed: true, above: 5}, it.known())
	it.answered(away, 3)
	it.noticed()
	require.Equal(t, aside{lastErr: away, errOf: 3}, it.known())
	it.answered(nil, 0)
	require.Nil(t, it.aside)
}
