package stream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

func skipping(p *policy) { p.skip = true }

// inLane runs a test in virtual time.
func inLane(t *testing.T, window int, change func(*policy), test func(l *lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if change == nil {
			change = func(*policy) {}
		}
		l := newLane(t, newFakeSink(window), change)
		defer l.quit()
		test(l)
	})
}

var (
	errNo    = sink.Permanent(errTest)
	errNack  = sink.Refused(errTest)
	errSplit = errors.New("connection broke")
)

func TestAPoisonEventBlocksAtOnceAndIsNotSent(t *testing.T) {
	t.Parallel()
	inLane(t, 1, nil, func(l *lane) {
		l.push("a")
		b := l.batch("p")
		b.poison = errTest
		require.NoError(l.t, l.d.push(l.t.Context(), b))
		l.push("c")
		l.take("a").finish(nil)
		l.idle()
		require.True(l.t, l.blocked())
		require.Contains(l.t, l.lastError(), errTest.Error())
		require.Equal(l.t, 1, l.done())
		l.aside()
	})
}

func TestAPoisonEventIsSetAsideWithSkip(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		b := l.batch("p")
		b.poison = errTest
		require.NoError(l.t, l.d.push(l.t.Context(), b))
		l.push("b")
		l.aside("p expression 0")
		l.take("b").finish(nil)
		require.Equal(l.t, 2, l.done())
	})
}

func TestAPermanentRefusalIsCutDownToItsEvent(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("abcdefgh")
		l.push("xy")
		l.take("abcdefgh").finish(errNo)
		l.take("abcd").finish(nil)
		require.Zero(l.t, l.done(), "all parts share the place of the whole")
		l.take("efgh").finish(errNo)
		l.take("ef").finish(errNo)
		l.take("e").finish(nil)
		l.take("f").finish(errNo)
		l.aside("f permanent 4")
		require.Zero(l.t, l.done())
		l.take("gh").finish(nil)
		require.Equal(l.t, 8, l.done())
		l.take("xy").finish(nil)
		require.Equal(l.t, 10, l.done())
		require.Zero(l.t, l.d.holding())
		require.Equal(l.t, uint64(9), l.d.stats.delivered.Load())
		require.Equal(l.t, uint64(1), l.d.stats.deadLettered.Load())
	})
}

// TestASplitHoldsBackWhatFollows is rule 14: parts go one by one under numbers of their own, and what was behind the batch is void
// and comes after all of them, under new numbers.
func TestASplitHoldsBackWhatFollows(t *testing.T) {
	t.Parallel()
	inLane(t, 3, skipping, func(l *lane) {
		l.push("ab")
		l.push("cd")
		l.push("ef")
		first, second, third := l.take("ab"), l.take("cd"), l.take("ef")
		first.finish(errNo)
		synctest.Wait()
		require.Error(l.t, second.ctx.Err())
		require.Error(l.t, third.ctx.Err())
		second.finish(nil) // void: a late acknowledgement counts for nothing
		a := l.take("a")
		require.Greater(l.t, a.Number, third.Number)
		l.idle()
		a.finish(errNo)
		l.aside("a permanent 2")
		b := l.take("b")
		require.Greater(l.t, b.Number, a.Number)
		l.idle()
		require.Zero(l.t, l.done())
		b.finish(nil)
		c, e := l.take("cd"), l.take("ef")
		require.Greater(l.t, c.Number, b.Number)
		e.finish(nil)
		require.Equal(l.t, 2, l.done())
		c.finish(nil)
		require.Equal(l.t, 6, l.done())
	})
}

func TestWithBlockNothingIsSetAside(t *testing.T) {
	t.Parallel()
	inLane(t, 1, nil, func(l *lane) {
		l.push("ab")
		l.push("c")
		l.refuse("ab", errNo, time.Hour)
		require.True(l.t, l.blocked())
		l.aside()
		l.take("ab").finish(nil)
		require.False(l.t, l.blocked())
		l.take("c").finish(nil)
		require.Equal(l.t, 3, l.done())
	})
}

func TestARefusalHasUntilTheRetryTimeout(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("abcd")
		l.refuse("abcd", errNack, laneRetry)
		l.aside()
		l.take("abcd").finish(errNack) // too late
		l.take("ab").finish(nil)
		l.take("cd").finish(errNack)
		l.take("c").finish(nil)
		l.take("d").finish(errNack)
		require.Equal(l.t, []string{"d refused"}, l.set())
		require.Equal(l.t, 4, l.done())
	})
}

// TestSkipDoesNotEmptyTheStreamWhileTheSinkIsDown is rule 18.
func TestSkipDoesNotEmptyTheStreamWhileTheSinkIsDown(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"refuses everything": errNack, "cannot be reached": errSplit, "asks for time": &sink.RetryAfter{After: time.Minute, Err: errNack},
	} {
		for _, size := range []int{1, 4} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inLane(t, 1, skipping, func(l *lane) {
					const all = "abcdefghijklmnopqrst"
					for i := 0; i < len(all); i += size {
						l.push(all[i : i+size])
					}
					for end := time.Now().Add(6 * time.Hour); time.Now().Before(end); {
						l.any().finish(err)
						synctest.Wait()
					}
					for l.pump(); len(l.there) > 0; l.pump() {
						l.any().finish(err) // it recovers between two rounds
					}
					l.aside()
					require.Zero(l.t, l.done())
					require.True(l.t, l.blocked())
					got := ""
					for len(got) < len(all) {
						d := l.any()
						got += called(d.Batch)
						d.finish(nil)
					}
					require.Equal(l.t, all, got, "all of them, in order")
					l.aside()
					require.Equal(l.t, len(all), l.done())
				})
			})
		}
	}
}

func TestAbsenceIsNoRefusal(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("ab")
		l.take("ab").finish(errNack)
		d := l.take("ab")
		l.sink.leave()
		d.finish(sink.ErrNobody)
		l.wait(time.Hour)
		l.sink.come()
		l.take("ab").finish(errNack)
		l.take("ab").finish(nil)
		l.aside()
		require.Equal(l.t, 2, l.done())
	})
}

// A receiver that leaves with a batch has not failed: the batch goes to the next one at once, however often that happens, and is no trouble.
func TestADisconnectIsNoFailure(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("ab")
		began := time.Now()
		for range 20 {
			l.take("ab").finish(sink.ErrNobody)
		}
		last := l.take("ab")
		require.Zero(l.t, time.Since(began), "nothing waits")
		l.sink.leave()
		last.finish(sink.ErrNobody)
		l.wait(2 * laneRetry)
		require.False(l.t, l.blocked())
		require.Empty(l.t, l.lastError())
		l.sink.come()
		l.take("ab").finish(nil)
		l.aside()
		require.Equal(l.t, 2, l.done())
	})
}

func TestARunEndsWhenTheReceiverIsGone(t *testing.T) {
	t.Parallel()
	inLane(t, 2, skipping, func(l *lane) {
		l.push("a")
		l.push("b")
		first, second := l.take("a"), l.take("b")
		second.finish(sink.Gone(errTest))
		var end *goneError
		err := <-l.end
		require.ErrorAs(l.t, err, &end)
		require.ErrorIs(l.t, err, errTest)
		require.Error(l.t, first.ctx.Err())
		l.end <- nil
	})
}

func TestAStoreThatIsAwayHoldsTheStream(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.full = errTest
		l.push("a")
		l.push("b")
		l.take("a").finish(errNo)
		l.idle()
		require.Zero(l.t, l.done(), "it is not durable yet")
	})
}

func TestJudge(t *testing.T) {
	t.Parallel()
	all := circumstances{events: 1, skip: true, overdue: true, through: true}
	with := func(change func(*circumstances)) circumstances {
		c := all
		change(&c)
		return c
	}
	later := func(err error) error { return &sink.RetryAfter{After: time.Second, Err: err} }
	for name, c := range map[string]struct {
		err  error
		c    circumstances
		want verdict
	}{
		"gone, whatever else":     {sink.Gone(errNo), circumstances{}, gone},
		"nobody":                  {sink.ErrNobody, all, again},
		"transport":               {errSplit, all, again},
		"permanent, block":        {errNo, with(func(c *circumstances) { c.skip = false }), again},
		"permanent at once":       {errNo, circumstances{events: 1, skip: true}, aside},
		"permanent, several":      {errNo, circumstances{events: 2, skip: true}, cut},
		"permanent with a time":   {later(errNo), circumstances{events: 1, skip: true}, aside},
		"refused":                 {errNack, all, aside},
		"refused, several":        {errNack, with(func(c *circumstances) { c.events = 2 }), cut},
		"refused just now":        {errNack, with(func(c *circumstances) { c.overdue = false }), again},
		"refused, no evidence":    {errNack, with(func(c *circumstances) { c.through = false }), suspect},
		"refused, asks for time":  {later(errNack), all, again},
		"refused, block":          {errNack, with(func(c *circumstances) { c.skip = false }), again},
		"replay":                  {errNack, circumstances{events: 1, replay: true}, aside},
		"replay, several":         {errNack, circumstances{events: 2, replay: true}, cut},
		"replay, transport":       {errSplit, circumstances{events: 1, replay: true}, again},
		"replay, asks for time":   {later(errNack), circumstances{events: 1, replay: true}, again},
		"replay, nobody is there": {sink.ErrNobody, circumstances{events: 1, replay: true}, again},
	} {
		require.Equal(t, c.want, judge(c.err, c.c), name)
	}
}
