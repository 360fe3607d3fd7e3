package txn

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecentKeysAreForgottenInTheirTurn(t *testing.T) {
	t.Parallel()
	r := newRecent()
	require.False(t, r.has("0"))
	for i := range recentKeys + 1 {
		r.add(strconv.Itoa(i))
	}
	require.True(t, r.has("0"), "those before the newest ones")
	require.True(t, r.has(strconv.Itoa(recentKeys)))
	for i := range recentKeys {
		r.add(strconv.Itoa(recentKeys + 1 + i))
	}
	require.False(t, r.has("0"))
	require.True(t, r.has(strconv.Itoa(recentKeys)))
	require.LessOrEqual(t, len(r.now)+len(r.old), 2*recentKeys)
}
