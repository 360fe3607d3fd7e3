package confirm_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
)

func (b *bed) safeAt(n int) ffcapi.BlockRef {
	head, _, _ := b.SafeAt("", n)
	return head
}

func TestSafeAtFollowsTheHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 1000), newLedgers(), required(10))
		_, ok, moved := b.SafeAt("", 2)
		require.False(t, ok)
		b.Follow("")
		<-moved
		synctest.Wait()
		require.Equal(t, b.c.at(-3), b.safeAt(2))
		require.Equal(t, b.c.at(-1), b.safeAt(0))
		require.Equal(t, b.safe(), b.safeAt(-1), "the configured number")
		require.Equal(t, b.safe(), b.safeAt(10))
		_, _, moved = b.SafeAt("", 100)
		<-moved
		require.Equal(t, b.c.at(-101), b.safeAt(100), "below everything that was walked: the node tells")

		_, _, moved = b.SafeAt("", 2)
		b.c.grow(1)
		<-moved
		synctest.Wait()
		require.Equal(t, b.c.at(-3), b.safeAt(2))
		settle(10 * time.Second)
		require.Equal(t, b.c.at(-101), b.safeAt(100), "and tells again")
		b.c.grow(400)
		synctest.Wait()
		require.Equal(t, b.c.at(-101), b.safeAt(100), "the view retains enough for it")
		require.Equal(t, b.c.at(-11), b.safe())
	})
}

func TestSafeAtDoesNotFallWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 1000)
		b := start(t, c, newLedgers(), required(10))
		b.ready()
		b.safeAt(2)
		b.safeAt(300)
		c.grow(30)
		settle(10 * time.Second)
		at := map[int]ffcapi.BlockRef{2: c.at(-3), 300: c.at(-301)}
		for n, ref := range at {
			require.Equal(t, ref, b.safeAt(n))
		}
		c.set(func() { c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		settle(time.Second)
		c.set(func() { c.down, c.lag, c.hold = nil, 5, uint64(len(c.blocks)-6) })
		c.grow(1)
		for range 100 {
			settle(100 * time.Millisecond)
			for n, ref := range at {
				require.GreaterOrEqual(t, b.safeAt(n).Number, ref.Number)
			}
		}
		c.set(func() { c.lag, c.hold = 0, 0 })
		c.grow(500)
		settle(time.Second)
		c.grow(1)
		synctest.Wait()
		require.Equal(t, c.at(-3), b.safeAt(2))
		require.Equal(t, c.at(-301), b.safeAt(300))
	})
}

func TestSafeAtFallsBelowAFork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 50)
		b := start(t, c, newLedgers(), required(10))
		b.Follow("")
		b.safeAt(0)
		b.safeAt(3)
		c.grow(10)
		synctest.Wait()
		safe := b.safe()
		_, _, moved := b.SafeAt("", 3)
		c.replace(5, nil, nil)
		<-moved
		synctest.Wait()
		require.Equal(t, c.at(-1), b.safeAt(0))
		require.Equal(t, c.at(-4), b.safeAt(3), "it was above the fork")
		require.Equal(t, safe, b.safe())
	})
}

func TestSafeAtNoticesAForkWhileDisconnected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 50)
		b := start(t, c, newLedgers(), required(10))
		b.Follow("")
		c.grow(10)
		synctest.Wait()
		require.Equal(t, c.at(-2), b.safeAt(1))
		c.set(func() { c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		settle(time.Second)
		c.replace(5, nil, nil, nil, nil, nil)
		c.set(func() { c.down = nil })
		settle(time.Minute)
		require.Equal(t, c.at(-2), b.safeAt(1))
	})
}

func TestSafeAtOnInstantAndFailedLedgers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 50)
		b := start(t, c, newLedgers(), func(o *confirm.Options) { o.Required = 3 })
		_, _, moved := b.SafeAt("", 20)
		b.Follow("")
		<-moved
		require.Equal(t, c.head(), b.safeAt(20))
		synctest.Wait()
		_, _, moved = b.SafeAt("", 20)
		c.replace(1, nil, nil)
		<-moved
		_, ok, _ := b.SafeAt("", 20)
		require.False(t, ok)
	})
}

// TestSafeAtTellsOfAFall: who waits for a safe head hears as well that it was taken back, even if nothing comes after it.
func TestSafeAtTellsOfAFall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 100)
		b := start(t, c, newLedgers(), required(3))
		b.ready()
		b.safeAt(0)
		c.grow(1)
		settle(time.Second)
		at, ok, moved := b.SafeAt("", 0)
		require.True(t, ok)
		require.Equal(t, c.head(), at)
		c.replace(1, []string{})
		synctest.Wait()
		require.Equal(t, c.head(), b.safeAt(0))
		select {
		case <-moved:
		default:
			require.Fail(t, "the safe head has changed and nobody was told")
		}
	})
}
