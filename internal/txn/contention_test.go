package txn

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const testTurn = 30 * time.Second

func contended() (*contention, *clock) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return newContention(testTurn, c.now), c
}

// lose has transactions join that lost a race with their first attempts.
func lose(c *contention, id string, keys ...string) standing { return c.enter(id, 1, "ch", keys, true) }

func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	require.True(t, lose(c, "a", "k").turn)
	for _, id := range []string{"b", "c", "d"} {
		require.False(t, lose(c, id, "k").turn)
		require.Equal(t, "a", c.blocker(id))
	}
	require.True(t, lose(c, "x", "other").turn)
	require.True(t, c.enter("y", 1, "another channel", []string{"k"}, true).turn, "keys are those of a ledger")
	require.Empty(t, c.blocker("a"))
	require.Equal(t, 3, c.waiting())
	require.True(t, lose(c, "a", "k").turn, "it still has its turn")
	require.Equal(t, []string{"b"}, c.leave("a"))
	require.Empty(t, c.leave("a"))
	require.Empty(t, c.leave("c"), "it only waited")
	require.Equal(t, []string{"d"}, c.leave("b"))
	require.True(t, lose(c, "d", "k").turn)
	for _, id := range []string{"d", "x", "y"} {
		require.Empty(t, c.leave(id))
	}
	require.Empty(t, c.lines, "nothing is left")
	require.Empty(t, c.contenders)
	require.Zero(t, c.keys)
}

// What was never sent joins only where somebody is, and then has to be prepared afresh.
func TestNewcomers(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	fresh := func(id string, attempt int) standing { return c.enter(id, attempt, "ch", []string{"k"}, false) }
	require.True(t, fresh("a", 1).turn)
	require.Empty(t, c.contenders)
	require.True(t, lose(c, "b", "k").turn)
	require.False(t, fresh("a", 1).turn)
	require.False(t, c.outdated("a", 1), "not yet: it waits")
	require.True(t, fresh("b", 2).turn, "what was prepared in its turn is sent")
	require.False(t, c.outdated("b", 2))
	require.Equal(t, []string{"a"}, c.leave("b"))
	require.True(t, c.outdated("a", 1))
	require.False(t, c.outdated("a", 2), "prepared afresh")
	require.True(t, fresh("a", 2).turn)
}

// What is changed is in the lines of its new keys only, at their ends, and is prepared afresh in its turn.
func TestChanged(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	require.True(t, lose(c, "a", "k").turn)
	require.False(t, lose(c, "b", "k").turn)
	require.False(t, lose(c, "c", "k").turn)
	require.True(t, lose(c, "x", "l").turn)
	require.Empty(t, c.rejoin("b", 2, "ch", []string{"l"}))
	require.Equal(t, "x", c.blocker("b"))
	require.Equal(t, []string{"c"}, c.leave("a"))
	require.False(t, c.outdated("b", 2), "not yet: it waits")
	require.Equal(t, []string{"b"}, c.leave("x"))
	require.True(t, c.outdated("b", 2))
	require.False(t, lose(c, "d", "l").turn)
	require.Equal(t, []string{"d"}, c.rejoin("b", 3, "ch", []string{"alone"}), "it lets go of its turn")
	require.Empty(t, c.blocker("b"), "and waits for nobody")
	require.Len(t, c.contenders, 2)
}

// Whoever loses in spite of his turn goes to the end.
func TestLosingInTurn(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	require.True(t, lose(c, "a", "k").turn)
	require.False(t, lose(c, "b", "k").turn)
	again := c.enter("a", 2, "ch", []string{"k"}, true)
	require.False(t, again.turn)
	require.Equal(t, []string{"b"}, again.next)
	require.Equal(t, "b", c.blocker("a"))
}

// A turn is not for ever: what became of the one that has it may not be known for long.
func TestTurnsEnd(t *testing.T) {
	t.Parallel()
	c, clock := contended()
	require.True(t, lose(c, "a", "k", "l").turn)
	b := lose(c, "b", "k")
	require.Equal(t, clock.at.Add(testTurn), b.until)
	require.Equal(t, clock.at.Add(2*testTurn), lose(c, "c", "k").until)
	require.False(t, lose(c, "d", "l").turn)
	clock.at = clock.at.Add(testTurn - time.Second)
	require.False(t, lose(c, "b", "k").turn)
	clock.at = clock.at.Add(time.Second)
	b = lose(c, "b", "k")
	require.True(t, b.turn)
	require.Equal(t, []string{"d"}, b.next, "others that waited for it are told")
	require.Empty(t, c.leave("a"), "it is not there any more")
	require.False(t, lose(c, "c", "k").turn, "the next turn has just begun")
}

// A crowd of keys is not waited for.
func TestNoRoomForKeys(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	many := make([]string, contendedKeys)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	require.True(t, lose(c, "a", many...).turn)
	require.True(t, lose(c, "b", "0").turn)
	require.Len(t, c.contenders, 1)
	require.Empty(t, c.leave("a"))
	require.True(t, lose(c, "b", "0", "0").turn, "a key that is named twice")
	require.Equal(t, 1, c.keys)
	require.Empty(t, c.leave("b"))
}

// However keys are shared: of those who have a turn no two share one, somebody always has a turn, who joined first is never overtaken on
// his keys, and each who gets a turn is told.
func TestNoTwoWaitForEachOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, _ := contended()
		var order []string // of joining
		keys := map[string][]string{}
		turn := map[string]bool{}
		tell := func(ids []string) {
			for _, id := range ids {
				require.False(t, turn[id], "told twice")
				turn[id] = true
			}
		}
		check := func() {
			for i, id := range order {
				free := !slices.ContainsFunc(order[:i], func(before string) bool {
					return slices.ContainsFunc(keys[before], func(k string) bool { return slices.Contains(keys[id], k) })
				})
				require.Equal(t, free, turn[id], "%s with %v", id, keys[id])
				require.Equal(t, free, c.blocker(id) == "")
			}
			require.Len(t, c.contenders, len(order))
		}
		for n := range rapid.IntRange(1, 40).Draw(t, "steps") {
			if len(order) > 0 && rapid.Bool().Draw(t, "leave") {
				id := rapid.SampledFrom(order).Draw(t, "who")
				order = slices.DeleteFunc(order, func(x string) bool { return x == id })
				delete(turn, id)
				tell(c.leave(id))
			} else {
				id := fmt.Sprint("tx", n)
				keys[id] = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 1, 3).Draw(t, "keys")
				order = append(order, id)
				s := lose(c, id, keys[id]...)
				tell(s.next)
				if s.turn {
					tell([]string{id})
				}
			}
			check()
		}
	})
}

// Two that have thousands of keys in common do not keep everybody else waiting while one of them leaves.
func TestManyKeysInCommon(t *testing.T) {
	t.Parallel()
	c, _ := contended()
	many := make([]string, contendedKeys/4)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	require.True(t, lose(c, "a", many...).turn)
	require.True(t, lose(c, "first", "last").turn)
	require.False(t, lose(c, "b", slices.Concat(many, []string{"last"})...).turn)
	left := make(chan []string)
	go func() { left <- c.leave("a") }()
	select {
	case next := <-left:
		require.Empty(t, next)
	case <-time.After(20 * time.Second):
		require.Fail(t, "it is still looking")
	}
	require.Equal(t, []string{"b"}, c.leave("first"))
}

// TestNewsOfALostRace ends the turn of who does not know of it yet, and of nobody else.
func TestNewsOfALostRace(t *testing.T) {
	t.Parallel()
	keys := []string{"k"}
	for name, test := range map[string]struct {
		joins func(c *contention) // how a got its turn
		ends  bool                // the news that its attempt 2 has lost ends it
	}{
		"it has asked because of that":        {func(c *contention) { c.enter("a", 2, "ch", keys, true) }, false},
		"it has asked because of a later one": {func(c *contention) { c.enter("a", 3, "ch", keys, true) }, false},
		"it sends a later one":                {func(c *contention) { c.enter("a", 1, "ch", keys, true); c.enter("a", 3, "ch", keys, true) }, false},
		"it went on because of one before":    {func(c *contention) { c.enter("a", 1, "ch", keys, true) }, true},
		"a newcomer that was let go": {func(c *contention) {
			lose(c, "x", "k")
			c.enter("a", 2, "ch", keys, false)
			c.leave("x")
			c.enter("a", 2, "ch", keys, false)
		}, true},
		"a newcomer that was not": {func(c *contention) {
			lose(c, "x", "k")
			c.enter("a", 2, "ch", keys, false)
			c.leave("x")
		}, false},
		"a newcomer that has asked since": {func(c *contention) {
			lose(c, "x", "k")
			c.enter("a", 2, "ch", keys, false)
			c.leave("x")
			c.enter("a", 2, "ch", keys, true)
		}, false},
		"a newcomer that was let go, and has asked since": {func(c *contention) {
			lose(c, "x", "k")
			c.enter("a", 2, "ch", keys, false)
			c.leave("x")
			c.enter("a", 2, "ch", keys, false)
			c.enter("a", 2, "ch", keys, true)
		}, false},
		"it was changed since": {func(c *contention) {
			lose(c, "x", "k")
			c.rejoin("a", 2, "ch", keys)
			c.leave("x")
		}, false},
	} {
		c, _ := contended()
		test.joins(c)
		require.False(t, lose(c, "b", "k").turn, name)
		var next []string
		if test.ends {
			next = []string{"b"}
		}
		require.Equal(t, next, c.lost("a", 2), name)
		require.Equal(t, test.ends, lose(c, "b", "k").turn, name)
	}
}
