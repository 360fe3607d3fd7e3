package confirm_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestSlowReceiptHoldsUpNobodyElse: neither the safe head nor the receipts of other transactions wait for it.
func TestSlowReceiptHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(c *chain){
		"refused": func(c *chain) { c.receipts = map[string]int{"slow": 1 << 30} },
		"stuck":   func(c *chain) { c.stuck = map[string]bool{"slow": true} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newChain(ffcapi.Confirmations, 10)
				c.noOutcomes = true
				b := start(t, c, newLedgers(), required(3))
				b.ready()
				for _, h := range []string{"slow", "beside", "after"} {
					b.s.track(h)
				}
				c.set(func() { slow(c) })
				at := c.mine("slow", "beside")
				after := c.mine("after")
				c.grow(30)
				synctest.Wait()
				require.Equal(t, c.at(-4), b.safe())
				head, _ := b.Head("")
				require.Equal(t, c.head(), head)
				settle(time.Minute)
				require.Less(t, b.s.position().Number, at.Number, "its block is not done")
				asked := c.asked
				c.set(func() { c.receipts, c.stuck = nil, nil })
				settle(time.Minute)
				require.LessOrEqual(t, c.asked, asked+2, "the others were asked for long before")
				require.Equal(t, &store.Outcome{Block: at, Success: true, Final: true}, b.s.outcome("slow"))
				require.Equal(t, &store.Outcome{Block: at, Index: 1, Success: true, Final: true}, b.s.outcome("beside"))
				require.Equal(t, &store.Outcome{Block: after, Success: true, Final: true}, b.s.outcome("after"))
				require.Equal(t, c.head(), b.s.position())
			})
		})
	}
}

func TestReceiptsAreAskedForByFewAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.noOutcomes = true
		c.stuck = map[string]bool{}
		b := start(t, c, newLedgers(), func(o *confirm.Options) { o.ReceiptWorkers = 5 })
		b.ready()
		var hashes []string
		for i := range 300 {
			hashes = append(hashes, fmt.Sprint("t", i))
			b.s.track(hashes[i])
			c.set(func() { c.stuck[hashes[i]] = i < 20 })
		}
		for i := 0; i < len(hashes); i += 3 { // more blocks than are asked for at once
			c.mine(hashes[i : i+3]...)
		}
		settle(time.Minute)
		require.Equal(t, 5, c.most)
		c.set(func() { c.stuck = nil })
		settle(time.Minute)
		require.Equal(t, 5, c.most)
		for _, h := range hashes {
			require.NotNil(t, b.s.outcome(h), h)
		}
	})
}

func TestReorganisationTakesWaitingBlocksAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 10)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), required(3))
		b.ready()
		for _, h := range []string{"a", "b", "c"} {
			b.s.track(h)
		}
		c.set(func() { c.stuck = map[string]bool{"a": true} })
		at := c.mine("a")
		c.mine("b", "c")
		c.grow(1)
		synctest.Wait()
		c.replace(2, nil, []string{"c!"})
		synctest.Wait()
		c.set(func() { c.stuck = nil })
		settle(time.Minute)
		require.Equal(t, at, b.s.outcome("a").Block)
		require.Nil(t, b.s.outcome("b"))
		require.Equal(t, &store.Outcome{Block: c.head()}, b.s.outcome("c"))
		require.Equal(t, c.head(), b.s.position())
		require.Len(t, c.sessions, 1, "nothing was restarted for it")
	})
}

// TestBlocksThatWaitAreBounded: when too many wait, no more are read, and none is lost.
func TestBlocksThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 10)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), required(0))
		b.ready()
		b.s.track("a")
		b.s.track("b")
		c.set(func() { c.stuck = map[string]bool{"a": true} })
		at := c.mine("a")
		c.grow(10_050)
		last := c.mine("b")
		settle(3 * time.Second)
		head, _ := b.Head("")
		require.Equal(t, at.Number+9_999, b.safe().Number)
		require.Equal(t, b.safe(), head)
		c.set(func() { c.stuck = nil })
		settle(time.Minute)
		require.Equal(t, last, b.s.outcome("b").Block)
		require.Equal(t, last, b.safe())
		require.NoError(t, b.Failed(""))
	})
}

// TestWhatWaitedIsWrittenInSteps: one late receipt lets many blocks go at once, and no write grows beyond its bound for it.
func TestWhatWaitedIsWrittenInSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.noOutcomes = true
		c.stuck = map[string]bool{"slow": true}
		b := start(t, c, newLedgers(), required(0))
		b.ready()
		b.s.track("slow")
		c.mine("slow")
		const n = 1700
		for i := range n {
			h := fmt.Sprint("t", i)
			b.s.track(h)
			c.mine(h)
		}
		settle(time.Minute)
		c.set(func() { c.stuck = nil })
		settle(time.Minute)
		for i := range n {
			require.NotNil(t, b.s.outcome(fmt.Sprint("t", i)))
		}
		require.Equal(t, c.head(), b.s.position())
		for _, a := range b.s.written() {
			require.LessOrEqual(t, len(a.Blocks), 500)
		}
	})
}

// TestReplacedBlockWhileNoMoreAreRead: the receipts of a block that is gone never come. When so many blocks wait behind it that no more are read, the
// node is asked whether it is still there.
func TestReplacedBlockWhileNoMoreAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 10)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), required(0))
		b.ready()
		b.s.track("a")
		c.set(func() { c.receipts = map[string]int{"a": 1 << 30} })
		c.mine("a")
		c.grow(10_050)
		settle(3 * time.Second)
		require.NotEqual(t, c.head(), b.safe(), "no more are read")
		c.set(func() { c.receipts = nil })
		c.replace(10_051, []string{"a"})
		settle(2 * time.Minute)
		require.NotNil(t, b.s.outcome("a"))
		require.Equal(t, c.head(), b.s.outcome("a").Block)
	})
}
