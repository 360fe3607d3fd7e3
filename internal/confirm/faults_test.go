package confirm_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"testing/synctest"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/store"
)

func TestConfirmations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 10), newLedgers(), required(3))
		b.ready()
		b.s.track("a")
		ref := b.c.mine("a")
		synctest.Wait()
		require.Equal(t, &store.Outcome{Block: ref, Success: true}, b.s.outcome("a"), "found, and not final")
		b.c.grow(2)
		synctest.Wait()
		require.False(t, b.s.outcome("a").Final)
		b.c.grow(1)
		synctest.Wait()
		require.True(t, b.s.outcome("a").Final)
		require.Equal(t, ref, b.safe())
	})
}

func TestReorganisationLeavesNoStaleOutcome(t *testing.T) {
	t.Parallel()
	for name, headsOnly := range map[string]bool{"in order": false, "heads only": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newChain(ffcapi.Confirmations, 20)
				c.headsOnly = headsOnly
				b := start(t, c, newLedgers(), required(5))
				b.ready()
				for _, h := range []string{"gone", "moved", "stays"} {
					b.s.track(h)
				}
				stays := c.mine("stays")
				synctest.Wait()
				c.mine("gone", "moved")
				synctest.Wait()
				c.grow(1)
				synctest.Wait()
				safe := b.safe()

				c.replace(2, nil, []string{"moved!"}, nil)
				settle(time.Second)
				require.Nil(t, b.s.outcome("gone"))
				require.Equal(t, &store.Outcome{Block: c.at(22)}, b.s.outcome("moved"))
				require.Equal(t, stays, b.s.outcome("stays").Block)
				require.GreaterOrEqual(t, b.safe().Number, safe.Number)
				requireUndoneWithPosition(t, b.s)

				c.grow(5)
				settle(time.Second)
				require.True(t, b.s.outcome("moved").Final)
				require.False(t, b.s.outcome("moved").Success)
				require.Nil(t, b.s.outcome("gone"))
				require.Equal(t, c.at(-6), b.safe())
				require.NoError(t, b.Failed(""))
			})
		})
	}
}

// requireUndoneWithPosition checks that the position was never left on the old branch by a write that undid outcomes.
func requireUndoneWithPosition(t *testing.T, s *ledgers) {
	t.Helper()
	undone := 0
	for _, w := range s.written() {
		if w.Rewind != nil {
			undone++
			require.NotEqual(t, w.From, w.To)
			for _, b := range w.Blocks {
				require.Greater(t, b.Block.Number, *w.Rewind)
			}
		}
	}
	require.Positive(t, undone)
}

func TestReorganisationWhileAway(t *testing.T) {
	t.Parallel()
	for name, depth := range map[string]int{"above the final block": 4, "below everything known": 60} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := newChain(ffcapi.Confirmations, 100), newLedgers()
				b := start(t, c, s, required(6))
				b.ready()
				for _, h := range []string{"gone", "moved", "late"} {
					s.track(h)
				}
				c.grow(1)
				c.mine("gone", "moved")
				c.grow(2)
				synctest.Wait()
				require.NotNil(t, s.outcome("gone"))
				b.stop()
				require.Equal(t, c.head(), s.position())

				blocks := make([][]string, depth+1)
				blocks[0], blocks[depth] = []string{"late"}, []string{"moved"}
				c.replace(depth, blocks...)
				b = start(t, c, s, required(6))
				b.Follow("")
				settle(time.Second)
				require.Nil(t, s.outcome("gone"))
				require.Equal(t, c.at(-1), s.outcome("moved").Block)
				require.NotNil(t, s.outcome("late"), "what is new far below the old position is found, too")
				require.Equal(t, c.at(-7), b.safe())
			})
		})
	}
}

func TestRestartAppliesNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newChain(ffcapi.Confirmations, 100), newLedgers()
		b := start(t, c, s, required(6))
		b.ready()
		s.track("a")
		c.mine("a")
		c.mine("x")
		c.grow(1)
		synctest.Wait()
		b.stop()
		given := len(s.given)

		b = start(t, c, s, required(6))
		b.Follow("")
		synctest.Wait()
		require.Equal(t, c.at(-7), b.safe(), "the final block is below the position and known at once")
		hash, known := b.Canonical("", 100)
		require.True(t, known)
		require.Equal(t, c.at(100).Hash, hash)
		for _, a := range s.given[given:] {
			require.Empty(t, a.Blocks)
		}
		c.grow(4)
		synctest.Wait()
		require.True(t, s.outcome("a").Final)
	})
}

func TestDeepReorganisationMovesTheSafeHeadBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 30), newLedgers(), required(2))
		b.Follow("")
		synctest.Wait()
		b.c.grow(10)
		synctest.Wait()
		require.Equal(t, b.c.at(37), b.safe())
		_, _, moved := b.Safe("")
		b.c.replace(8, nil, nil)
		<-moved
		synctest.Wait()
		require.Equal(t, b.c.at(31), b.safe())
		require.NoError(t, b.Failed(""))
	})
}

func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.mute = 1
		b := start(t, c, newLedgers(), nil)
		b.ready()
		settle(10 * time.Minute)
		require.Len(t, c.sessions, 1, "no block is missed, so nothing is wrong")
		b.s.track("a")
		c.mine("a")
		settle(20 * time.Second)
		require.Nil(t, b.s.outcome("a"))
		require.Equal(t, c.head(), b.safe(), "the safe head is the node's")
		settle(30 * time.Second)
		require.NotNil(t, b.s.outcome("a"))
		require.Len(t, c.sessions, 2)
	})
}

func TestHalfOpenConnectionOnAnotherBranch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 30)
		b := start(t, c, newLedgers(), required(3))
		b.ready()
		b.s.track("a")
		c.mine("a")
		synctest.Wait()
		c.set(func() { c.frozen = 1 })
		c.replace(1, []string{"b"})
		synctest.Wait()
		require.NotNil(t, b.s.outcome("a"))
		settle(time.Minute)
		require.Nil(t, b.s.outcome("a"), "a head of the same number and another hash is noticed, too")
	})
}

func TestLaggingNode(t *testing.T) {
	t.Parallel()
	for _, finality := range []ffcapi.Finality{ffcapi.Instant, ffcapi.Confirmations} {
		t.Run(string(finality), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newChain(finality, 100)
				b := start(t, c, newLedgers(), required(2))
				b.ready()
				b.s.track("a")
				ref := c.mine("a")
				c.grow(2)
				synctest.Wait()
				safe := b.safe()
				require.True(t, b.s.outcome("a").Final)

				c.set(func() { c.broken = 1; c.lag = 20 })
				c.grow(1)
				settle(5 * time.Minute)
				require.Equal(t, ref, b.s.outcome("a").Block)
				require.GreaterOrEqual(t, b.safe().Number, safe.Number, "a node that is behind takes nothing back")
				require.NoError(t, b.Failed(""))
				c.set(func() { c.lag = 0 })
				c.grow(1)
				settle(time.Minute)
				head, _ := b.Head("")
				require.Equal(t, c.head(), head)
			})
		})
	}
}

func TestBrokenSessionsAndGapsLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.broken = 5
		c.headsOnly = true
		b := start(t, c, newLedgers(), nil)
		b.ready()
		for _, h := range []string{"a", "b", "c", "d", "e", "f"} {
			b.s.track(h)
			c.mine(h)
			c.grow(3)
			settle(100 * time.Millisecond)
		}
		settle(time.Minute)
		for _, h := range []string{"a", "b", "c", "d", "e", "f"} {
			require.NotNil(t, b.s.outcome(h), h)
		}
		require.NoError(t, b.Failed(""))
	})
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, during func(c *chain)
		want           error
		says           string
	}{
		"position replaced while away": {
			before: func(c *chain) { c.replace(1, nil, nil) }, want: confirm.ErrChainChanged, says: "block 10",
		},
		"block replaced": {
			during: func(c *chain) { c.replace(1, nil, nil) }, want: confirm.ErrChainChanged,
		},
		"another ledger while away": {
			before: func(c *chain) { c.id = "other" }, want: confirm.ErrOtherLedger, says: "other",
		},
		"another ledger": {
			during: func(c *chain) { c.set(func() { c.id = "other" }) }, want: confirm.ErrOtherLedger, says: "genesis",
		},
		"pruned while away": {
			before: func(c *chain) {
				c.grow(100)
				c.first = 50
			},
			want: confirm.ErrPruned, says: "up to block 10, and the first block that the node still has is 50",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := newChain(ffcapi.Instant, 10), newLedgers()
				b := start(t, c, s, nil)
				b.ready()
				c.grow(1)
				settle(11 * time.Second)
				if tc.before != nil {
					b.stop()
					require.Equal(t, uint64(10), s.position().Number)
					tc.before(c)
					b = start(t, c, s, nil)
				}
				b.Follow("")
				synctest.Wait()
				if tc.during != nil {
					tc.during(c)
				}
				if tc.during != nil {
					settle(time.Minute)
				}
				require.ErrorIs(t, b.Failed(""), tc.want)
				require.ErrorContains(t, b.Failed(""), tc.says)
				require.ErrorIs(t, b.Ready(t.Context(), ""), tc.want)
				_, ok, _ := b.Safe("")
				require.False(t, ok, "nothing may be delivered")

				s.track("a")
				c.mine("a")
				settle(time.Minute)
				require.Nil(t, s.outcome("a"))
			})
		})
	}
}

func TestPrunedWithoutPositionGoesOnAtTheHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.broken = 1
		b := start(t, c, newLedgers(), nil)
		b.Follow("")
		synctest.Wait()
		c.set(func() { c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		c.grow(100)
		settle(time.Minute)
		c.set(func() { c.down, c.first = nil, 60 })
		settle(time.Minute)
		require.NoError(t, b.Failed(""))
		require.Equal(t, c.head(), b.safe())
	})
}

func TestStreamOnlyLedgerNoticesAChangeWhileDisconnected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		b := start(t, c, newLedgers(), nil)
		b.Follow("")
		c.grow(1)
		synctest.Wait()
		c.set(func() { c.down = ffcapi.Errorf(ffcapi.Unavailable, "away") })
		settle(time.Second)
		c.replace(3, nil, nil, nil, nil)
		c.set(func() { c.down = nil })
		settle(time.Minute)
		require.ErrorIs(t, b.Failed(""), confirm.ErrChainChanged)
	})
}

func TestReceiptsWhereBlocksTellNoOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), nil)
		b.ready()
		b.s.track("a")
		b.s.track("b")
		c.receipts = map[string]int{"a": 7}
		c.foreign = map[string]int{"b": 5}
		ref := c.mine("x", "a", "y", "b!")
		settle(time.Minute)
		require.Equal(t, &store.Outcome{Block: ref, Index: 1, Success: true, Final: true}, b.s.outcome("a"), "a failed read is repeated")
		require.Equal(t, &store.Outcome{Block: ref, Index: 3, Final: true}, b.s.outcome("b"), "a receipt of another branch does not count")
		require.Equal(t, 2+7+5, c.asked, "only ours are asked for")

		c.mine("a!")
		c.grow(1)
		settle(11 * time.Second)
		require.True(t, b.s.outcome("a").Success, "listed again: the first occurrence counts")
		require.Equal(t, c.head(), b.s.position())
	})
}

func TestBlockReplacedWhileItsReceiptsAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Confirmations, 10)
		c.noOutcomes = true
		b := start(t, c, newLedgers(), required(2))
		b.ready()
		b.s.track("a")
		c.receipts = map[string]int{"a": 20}
		c.mine("a")
		settle(time.Second)
		require.Nil(t, b.s.outcome("a"))
		c.replace(1, nil, []string{"a!"})
		settle(2 * time.Minute)
		require.Equal(t, &store.Outcome{Block: c.head()}, b.s.outcome("a"))
	})
}
