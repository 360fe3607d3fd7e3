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
	known := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			if r.has(strconv.Itoa(i)) {
				n++
			}
		}
		return n
	}
	const all = recentSets * recentWays
	for i := range all {
		r.add(strconv.Itoa(i))
		r.add(strconv.Itoa(i)) // a second time takes no second place
	}
	require.True(t, r.has(strconv.Itoa(all-1)), "the newest one")
	require.Greater(t, known(all-1000, all), 995, "the newest ones")
	require.Greater(t, known(all/2, all), all/2*8/10)
	for i := range 4 * all {
		r.add(strconv.Itoa(all + i))
	}
	require.Less(t, known(0, all), all/1000)
	require.Zero(t, known(10*all, 11*all), "what never was there")
}
