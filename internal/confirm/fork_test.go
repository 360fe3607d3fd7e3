package confirm_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestForkBelowEveryHashThatIsKnown: outcomes that wait for very many confirmations are far below the hashes that a view has after a restart.
func TestForkBelowEveryHashThatIsKnown(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"while away": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := newChain(ffcapi.Confirmations, 100), newLedgers()
				b := start(t, c, s, required(6))
				b.ready()
				b.ask(map[string]int{"stays": 5000, "late": 5000})
				stays := c.mine("stays")
				for i := range 5 {
					hash := fmt.Sprint("gone", i)
					b.ask(map[string]int{hash: 5000})
					c.grow(10)
					c.mine(hash, "gone")
				}
				b.ask(map[string]int{"moved": 5000})
				c.mine("moved")
				c.grow(900)
				synctest.Wait()
				b.stop()
				if !away {
					b = start(t, c, s, required(6))
					b.Follow("")
					synctest.Wait()
				}
				depth := len(c.blocks) - 1 - int(stays.Number)
				blocks := make([][]string, depth+2)
				blocks[3], blocks[20] = []string{"late"}, []string{"moved"}
				c.replace(depth, blocks...)
				if away {
					b = start(t, c, s, required(6))
					b.Follow("")
				}
				settle(time.Minute)
				require.NoError(t, b.Failed(""))
				for i := range 5 {
					require.Nil(t, s.outcome(fmt.Sprint("gone", i)))
				}
				n := 5000
				want := &store.Outcome{Block: c.at(int(stays.Number) + 21), Success: true, Required: &n}
				require.Equal(t, want, s.outcome("moved"))
				require.Equal(t, stays, s.outcome("stays").Block)
				require.Equal(t, c.at(int(stays.Number)+4), s.outcome("late").Block)
				require.Equal(t, c.at(-7), b.safe())
			})
		})
	}
}

// TestReorganisationsOfAnyDepth: whatever order the blocks come in, and however often a read fails on the way to the fork.
func TestReorganisationsOfAnyDepth(t *testing.T) {
	t.Parallel()
	const needs = 12
	for depth := 1; depth <= needs; depth++ {
		for name, trouble := range map[string]func(c *chain){
			"in order":              func(*chain) {},
			"heads only":            func(c *chain) { c.headsOnly = true },
			"reads fail":            func(c *chain) { c.headsOnly, c.unread = true, 4 },
			"connection breaks":     func(c *chain) { c.down, c.unread = ffcapi.Errorf(ffcapi.Unavailable, "away"), 3 },
			"node is behind at tip": func(c *chain) { c.lag = 2 },
		} {
			t.Run(fmt.Sprint(depth, " ", name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					reorganise(t, depth, needs, trouble)
				})
			})
		}
	}
}

func reorganise(t *testing.T, depth, needs int, trouble func(c *chain)) {
	t.Helper()
	c, s := newChain(ffcapi.Confirmations, 50), newLedgers()
	b := start(t, c, s, required(needs))
	b.ready()
	var old []string
	for i := range needs {
		old = append(old, fmt.Sprint("t", i))
		s.track(old[i])
		c.mine(old[i])
	}
	synctest.Wait()
	safe := b.safe()
	c.set(func() { trouble(c) })
	kept, moved := old[:needs-depth], old[needs-depth:]
	blocks := make([][]string, depth+1)
	for i, h := range moved {
		if i%3 > 0 { // the others are not mined again
			blocks[depth-i] = []string{h + "!"}
		}
	}
	c.replace(depth, blocks...)
	settle(time.Second)
	c.set(func() { c.down = nil })
	settle(2 * time.Minute)
	c.set(func() { c.lag = 0 })
	c.grow(1)
	settle(2 * time.Minute)
	for i, h := range kept {
		require.Equal(t, c.at(50+i), s.outcome(h).Block)
	}
	for i, h := range moved {
		o := s.outcome(h)
		if i%3 == 0 {
			require.Nil(t, o, h)
			continue
		}
		require.Equal(t, c.at(50+needs-i), o.Block, h)
		require.False(t, o.Success)
	}
	require.GreaterOrEqual(t, b.safe().Number, safe.Number)
	require.Equal(t, c.at(-1-needs), b.safe())
	require.NoError(t, b.Failed(""))
	require.Zero(t, c.unread, "the failing reads were met")
	c.grow(needs)
	settle(time.Minute)
	for i, h := range moved {
		require.Equal(t, i%3 > 0, b.isFinal(h))
	}
}
