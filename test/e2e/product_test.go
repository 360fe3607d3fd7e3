//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// TestFaultPointsAreNotInTheProduct: nothing is left of what kills a process on purpose in the binary that is shipped, not even the names, and the
// variable that asks for it is refused.
func TestFaultPointsAreNotInTheProduct(t *testing.T) {
	t.Parallel()
	require.Contains(t, server.FailsToStart(t, []string{faultpoint.Variable + "=list"}, "dev"), faultpoint.Variable)
	require.NotEmpty(t, server.FaultPoints(t), "the other binary has them")
	product, err := os.ReadFile(server.Binary())
	require.NoError(t, err)
	for _, text := range []string{faultpoint.Mark, string(faultpoint.OutcomesUnfinished), "internal/faultpoint."} {
		require.False(t, bytes.Contains(product, []byte(text)), "%q is in it", text)
	}
}
