package stream

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestAProbeTellsAnEventFromItsReceiver(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("a")
		l.refuse("a", errNack, laneRetry)
		l.take("a").finish(errNack)
		l.idle()
		require.True(l.t, l.blocked(), "nothing else was tried")
		l.push("bcd")
		l.take("b").finish(errNack) // the next one is not taken either
		l.wait(laneBlocked)
		l.take("a").finish(errNack)
		l.take("b").finish(nil)
		require.Equal(l.t, []string{"a refused"}, l.set())
		require.Equal(l.t, 1, l.done())
		l.take("cd").finish(nil)
		require.Equal(l.t, 4, l.done())
		require.False(l.t, l.blocked())
	})
}

func TestAProbeGoesBackWhenTheReceiverRecovers(t *testing.T) {
	t.Parallel()
	inLane(t, 2, skipping, func(l *lane) {
		l.push("a")
		l.push("bc")
		l.refuse("a", errNack, laneRetry)
		l.take("a").finish(errNack)
		l.take("b").finish(errSplit)
		l.idle()
		l.wait(laneBlocked)
		l.take("a").finish(nil)
		l.take("b").finish(nil)
		l.take("c").finish(nil)
		l.aside()
		require.Equal(l.t, 3, l.done())
	})
}

func TestRefusedEventsInARowAreFound(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		for _, e := range "abcd" {
			l.push(string(e))
		}
		p := l.batch("p")
		p.poison = errTest
		require.NoError(l.t, l.d.push(l.t.Context(), p))
		l.push("e")
		for range 1000 {
			d := l.any()
			if called(d.Batch) == "e" {
				d.finish(nil)
				break
			}
			d.finish(errNack)
			synctest.Wait()
		}
		require.ElementsMatch(l.t, []string{"a refused", "b refused", "c refused", "d refused", "p expression"}, l.set())
		require.Equal(l.t, 6, l.done())
	})
}

// anyOrder is a sink that keeps no order.
type anyOrder struct{ *fakeSink }

func (anyOrder) Unordered() bool { return true }

func TestAnUnorderedSinkGoesOnBehindAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := newFakeSink(2)
		l := newLane(t, anyOrder{out}, skipping)
		l.sink = out
		defer l.quit()
		for _, e := range "abcd" {
			l.push(string(e))
		}
		a, b := l.take("a"), l.take("b")
		a.finish(errNack)
		synctest.Wait()
		require.NoError(t, b.ctx.Err())
		b.finish(nil)
		c := l.take("c")
		require.Zero(t, l.done())
		l.refuse("a", errNack, laneRetry)
		l.take("a").finish(errNack)
		c.finish(nil)
		l.take("d").finish(nil)
		require.Equal(t, []string{"a refused"}, l.set())
		require.Equal(t, 4, l.done())
	})
}

func TestAnUnorderedSinkWithoutRoomIsProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := newFakeSink(1)
		l := newLane(t, anyOrder{out}, skipping)
		l.sink = out
		defer l.quit()
		l.push("a")
		l.push("bc")
		l.refuse("a", errNack, laneRetry)
		l.take("a").finish(errNack)
		l.take("b").finish(nil)
		l.take("c").finish(nil)
		require.Equal(t, []string{"a refused"}, l.set())
		require.Equal(t, 3, l.done())
	})
}
