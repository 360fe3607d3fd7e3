package confirm_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestTimesOfTheNewestBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 10)
		b := start(t, c, newLedgers(), required(0))
		_, known := b.Time("", 0)
		require.False(t, known)
		b.Follow("")
		synctest.Wait()
		first := c.head().Number
		c.grow(1500)
		synctest.Wait()
		c.replace(1, nil, nil)
		synctest.Wait()
		head := c.head().Number
		for n := head - 1000; n <= head; n++ {
			at, known := b.Time("", n)
			require.True(t, known, n)
			require.Equal(t, c.blocks[n].Timestamp, at)
		}
		for _, n := range []uint64{first, head + 1, head + 1024} {
			at, known := b.Time("", n)
			require.False(t, known, "%d: %s", n, at.Sub(time.Unix(0, 0)))
		}
	})
}
