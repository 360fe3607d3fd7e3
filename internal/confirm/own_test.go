package confirm_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// ask tracks transactions that ask for a number of confirmations.
func (b *bed) ask(confirmations map[string]int) {
	for hash, n := range confirmations {
		b.s.track(hash)
		b.s.want(hash, n)
	}
}

func (b *bed) isFinal(hash string) bool {
	o := b.s.outcome(hash)
	return o != nil && o.Final
}

func TestConfirmationsOfATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 2), newLedgers(), required(5))
		b.ready()
		b.ask(map[string]int{"at once": 0, "fewer": 2, "more": 8})
		b.s.track("usual")
		b.c.mine("at once", "fewer", "more", "usual")
		for n := range 10 {
			synctest.Wait()
			require.True(t, b.isFinal("at once"))
			for hash, needs := range map[string]int{"fewer": 2, "usual": 5, "more": 8} {
				require.Equal(t, n >= needs, b.isFinal(hash), "%s after %d blocks", hash, n)
			}
			b.c.grow(1)
		}
	})
}

func TestConfirmationsOfATransactionAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newChain(ffcapi.Confirmations, 100), newLedgers()
		b := start(t, c, s, required(5))
		b.ready()
		b.ask(map[string]int{"fewer": 2, "more": 300})
		c.mine("fewer", "more")
		synctest.Wait()
		b.stop()
		c.grow(299)
		b = start(t, c, s, required(5))
		b.Follow("")
		synctest.Wait()
		require.True(t, b.isFinal("fewer"))
		require.False(t, b.isFinal("more"))
		b.stop()
		b = start(t, c, s, required(1000))
		b.Follow("")
		c.grow(1)
		synctest.Wait()
		require.True(t, b.isFinal("more"), "whatever is configured now")
	})
}

func TestConfirmationsOfATransactionAfterAReorganisation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 100), newLedgers(), required(10))
		b.ready()
		b.ask(map[string]int{"a": 1})
		b.c.grow(5)
		synctest.Wait()
		b.c.replace(4, []string{"a"})
		synctest.Wait()
		require.False(t, b.isFinal("a"))
		safe := b.safe()
		b.c.grow(1)
		synctest.Wait()
		require.Equal(t, safe, b.safe(), "nothing else becomes final with this block")
		require.True(t, b.isFinal("a"))
	})
}

func TestConfirmationsOfATransactionOnAnInstantLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 100), newLedgers(), nil)
		b.ready()
		b.ask(map[string]int{"a": 7})
		b.c.mine("a")
		synctest.Wait()
		require.True(t, b.isFinal("a"))
	})
}
