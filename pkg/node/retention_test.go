package node

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// upTo is a consumer that has taken so much.
type upTo int64

func (c upTo) Consumed() int64 { return int64(c) }

// TestTheLogIsKeptForTheSlowestConsumer, whichever that is.
func TestTheLogIsKeptForTheSlowestConsumer(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 4, consumed(upTo(9), upTo(4)))
	require.EqualValues(t, 4, consumed(upTo(4), upTo(9)))
	require.EqualValues(t, 9, consumed(upTo(9)))
}
