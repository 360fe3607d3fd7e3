package confirm_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestFinalForSoManyConfirmations(t *testing.T) {
	t.Parallel()
	for _, finality := range []ffcapi.Finality{ffcapi.Instant, ffcapi.Confirmations} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, newChain(finality, 100), newLedgers(), required(5))
			require.False(t, b.Final("", 0, -1), "nothing is known yet")
			b.Follow("")
			synctest.Wait()
			for _, n := range []int{-1, 0, 2, 5, 60} {
				needs := uint64(n)
				switch {
				case finality == ffcapi.Instant:
					needs = 0
				case n < 0:
					needs = 5
				}
				require.True(t, b.Final("", 99-needs, n), n)
				require.False(t, b.Final("", 100-needs, n), n)
			}
		})
	}
}

func TestFindInBlocksThatHavePassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 200)
		b := start(t, c, newLedgers(), required(3))
		b.Follow("")
		old := c.mine("old")
		c.mine("x", "twice")
		second := c.mine("y", "twice!")
		c.grow(126)
		synctest.Wait()

		block, i, err := b.Find(t.Context(), "", "twice", 200)
		require.NoError(t, err)
		require.Equal(t, c.at(201), block.BlockRef, "the first occurrence counts")
		require.Equal(t, "twice", block.Transactions[i].Hash)
		block, _, err = b.Find(t.Context(), "", "twice", 201)
		require.NoError(t, err)
		require.Equal(t, second, block.BlockRef)
		block, _, err = b.Find(t.Context(), "", "old", 0)
		require.NoError(t, err)
		require.Nil(t, block, "block %d is not retained", old.Number)
		c.grow(1)
		synctest.Wait()
		reads := len(c.reads)
		block, _, err = b.Find(t.Context(), "", "nowhere", 0)
		require.NoError(t, err)
		require.Nil(t, block)
		require.Equal(t, 128, len(c.reads)-reads, "as many as are retained")

		c.set(func() { c.hold = 1 }) // the node has a branch that was not heard of
		c.replace(1, []string{"z"})
		_, _, err = b.Find(t.Context(), "", "z", 300)
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
		block, _, err = b.Find(t.Context(), "other", "z", 0)
		require.NoError(t, err)
		require.Nil(t, block)
	})
}

func TestConfirmationsOfABlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 1000)
		b := start(t, c, newLedgers(), required(3))
		b.Follow("")
		synctest.Wait()
		c.grow(5)
		synctest.Wait()
		get := func(of ffcapi.BlockRef, n int) []ffcapi.Block {
			links, err := b.Confirmations(t.Context(), "", of, n)
			require.NoError(t, err)
			for i, l := range links {
				require.Equal(t, c.at(int(of.Number)+1+i), l.BlockRef)
				require.Equal(t, c.at(int(of.Number)+i).Hash, l.ParentHash)
			}
			return links
		}
		reads := len(c.reads)
		require.Len(t, get(c.at(1000), 3), 3)
		require.Len(t, get(c.at(1002), 3), 2, "as many as there are")
		require.Empty(t, get(c.at(-1), 3))
		require.Empty(t, get(c.at(1000), 0))
		require.Len(t, c.reads, reads, "what is retained is not read again")
		require.Len(t, get(c.at(990), 12), 12, "the first ones from the node, the others retained")
		require.Len(t, c.reads, reads+6)
		require.Len(t, get(c.at(10), 500), 256)
		require.Empty(t, get(ffcapi.BlockRef{Number: 1001, Hash: "gone"}, 3))
		require.Empty(t, get(ffcapi.BlockRef{Number: 10, Hash: "gone"}, 3))
		c.set(func() { c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		_, err := b.Confirmations(t.Context(), "", c.at(10), 3)
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
		settle(time.Second)

		require.Len(t, b.Confirming("", c.at(1000), 2), 2)
		require.Len(t, b.Confirming("", c.at(1000), -1), 3, "the configured number")
		require.Empty(t, b.Confirming("", c.at(10), 3), "the node is not asked")
		require.Empty(t, b.Confirming("other", c.at(10), 3))
	})
}

func TestConfirmationsWithInstantFinality(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 100)
		b := start(t, c, newLedgers(), required(3))
		for range 2 {
			links, err := b.Confirmations(t.Context(), "", c.at(50), -1)
			require.NoError(t, err)
			require.Empty(t, links)
			require.Empty(t, b.Confirming("", c.at(99), 5))
			b.Follow("")
			synctest.Wait()
			c.grow(5)
			synctest.Wait()
		}
	})
}

// TestFindInABlockThatCannotBeRead: a block that was not read may hold the transaction, so the search has found nothing out.
func TestFindInABlockThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 200)
		b := start(t, c, newLedgers(), required(3))
		b.Follow("")
		at := c.mine("a")
		c.grow(5)
		synctest.Wait()
		c.set(func() { c.unread = 1 })
		block, _, err := b.Find(t.Context(), "", "a", at.Number-1)
		require.Equal(t, ffcapi.Timeout, ffcapi.KindOf(err))
		require.Nil(t, block)
		block, _, err = b.Find(t.Context(), "", "a", at.Number-1)
		require.NoError(t, err)
		require.Equal(t, at, block.BlockRef)
	})
}
