package confirm_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/lifecycle/lifecycletest"
	"github.com/pyralis-io/pyralis/internal/store"
)

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

func noRule(*store.Tx, []*store.Attempt, int) *store.TxUpdate { return nil }

func options(c ffcapi.Connector, s store.Ledgers) confirm.Options {
	return confirm.Options{
		Connector: c, Store: s, Rule: noRule, Log: quiet(),
		Fence: func() store.Fence { return fence },
	}
}

// bed is an engine at work in a synctest bubble.
type bed struct {
	*confirm.Engine
	t *testing.T
	c *chain
	s *ledgers
}

// start runs an engine until the test, or stop, ends it.
func start(t *testing.T, c *chain, s *ledgers, change func(*confirm.Options)) *bed {
	t.Helper()
	o := options(c, s)
	if change != nil {
		change(&o)
	}
	e, err := confirm.New(o)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	b := &bed{Engine: e, t: t, c: c, s: s}
	t.Cleanup(b.stop)
	return b
}

func (b *bed) stop() { require.NoError(b.t, b.Stop(context.WithoutCancel(b.t.Context()))) }

func required(n int) func(*confirm.Options) {
	return func(o *confirm.Options) { o.Required = n }
}

func (b *bed) ready() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	require.NoError(b.t, b.Ready(ctx, ""))
}

// settle lets everything happen that needs no more than d.
func settle(d time.Duration) {
	<-time.After(d) // in a bubble: the fake clock moves when all are waiting
	synctest.Wait()
}

func (b *bed) safe() ffcapi.BlockRef {
	head, _, _ := b.Safe("")
	return head
}

func TestService(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func() lifecycle.Service {
		e, err := confirm.New(options(newChain(ffcapi.Instant, 3), newLedgers()))
		require.NoError(t, err)
		e.Follow("")
		return e
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*confirm.Options){
		"no connector": func(o *confirm.Options) { o.Connector = nil },
		"no store":     func(o *confirm.Options) { o.Store = nil },
		"no fence":     func(o *confirm.Options) { o.Fence = nil },
		"no rule":      func(o *confirm.Options) { o.Rule = nil },
		"less than":    func(o *confirm.Options) { o.Required = -1 },
	} {
		o := options(newChain(ffcapi.Instant, 1), newLedgers())
		change(&o)
		_, err := confirm.New(o)
		require.ErrorContains(t, err, name)
	}
}

func TestUnknownLedger(t *testing.T) {
	t.Parallel()
	e, err := confirm.New(options(newChain(ffcapi.Instant, 1), newLedgers()))
	require.NoError(t, err)
	_, ok, moved := e.Safe("other")
	require.False(t, ok)
	require.NotNil(t, moved)
	_, ok = e.Head("other")
	require.False(t, ok)
	_, known := e.Canonical("other", 0)
	require.False(t, known)
	require.NoError(t, e.Failed("other"))
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(e.Ready(t.Context(), "other")), "it was not started")
}

func TestFollowWithoutPositionStartsAtTheHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 1000), newLedgers(), required(7))
		_, ok, moved := b.Safe("")
		require.False(t, ok)
		b.Follow("")
		b.Follow("")
		<-moved
		require.Equal(t, b.c.at(999), b.safe(), "with instant finality no block has to follow")
		synctest.Wait()
		require.Equal(t, []ffcapi.BlockRef{b.c.at(999)}, b.c.sessions)

		_, _, moved = b.Safe("")
		b.c.grow(1)
		<-moved
		require.Equal(t, b.c.head(), b.safe())
		head, ok := b.Head("")
		require.True(t, ok)
		require.Equal(t, b.c.head(), head)
		hash, known := b.Canonical("", 999)
		require.True(t, known)
		require.Equal(t, b.c.at(999).Hash, hash)
		_, known = b.Canonical("", 998)
		require.False(t, known)
		require.Zero(t, b.s.position(), "a ledger that is only read needs no position")
	})
}

func TestFollowWithConfirmationsHasASafeHeadAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 1000), newLedgers(), required(20))
		b.Follow("")
		synctest.Wait()
		require.Equal(t, b.c.at(979), b.safe())
		require.Equal(t, []ffcapi.BlockRef{b.c.at(979)}, b.c.sessions)
		head, _ := b.Head("")
		require.Equal(t, b.c.at(999), head)
	})
}

func TestYoungLedgerIsNotFinalYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Confirmations, 2), newLedgers(), required(3))
		b.s.track("a")
		b.ready()
		b.c.mine("a")
		synctest.Wait()
		_, ok, _ := b.Safe("")
		require.False(t, ok)
		require.False(t, b.s.outcome("a").Final)
		b.c.grow(2)
		synctest.Wait()
		require.Equal(t, b.c.at(1), b.safe())
		b.c.grow(1)
		synctest.Wait()
		require.True(t, b.s.outcome("a").Final)
	})
}

func TestReadyStoresAPositionBeforeAnythingIsSubmitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.ready()
		require.Equal(t, b.c.at(9), b.s.position())
		require.Equal(t, "genesis", b.s.state[""].ID)
		b.ready()

		b.s.track("a")
		ref := b.c.mine("x", "a", "y!")
		synctest.Wait()
		require.Equal(t, &store.Outcome{Block: ref, Index: 1, Success: true, Final: true}, b.s.outcome("a"))
		require.Len(t, b.s.written(), 1, "the outcome and the position are one write")
		require.Equal(t, ref, b.s.position())
	})
}

func TestReadyWhileFollowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.Follow("")
		synctest.Wait()
		b.c.grow(5)
		synctest.Wait()
		b.ready()
		require.Equal(t, b.c.at(14), b.s.position())
		require.Len(t, b.c.sessions, 1, "nothing was restarted for it")
	})
}

func TestReadyWaitsForTheNodeAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(ffcapi.Instant, 10)
		c.down = ffcapi.Errorf(ffcapi.Unavailable, "no route to the node")
		b := start(t, c, newLedgers(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := b.Ready(ctx, "")
		require.ErrorContains(t, err, "no route to the node")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
		c.set(func() { c.down = nil })
		b.ready()
		require.NoError(t, b.Failed(""))
	})
}

func TestRestartCatchesUpWhileTheSafeHeadIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newChain(ffcapi.Instant, 10), newLedgers()
		b := start(t, c, s, nil)
		b.ready()
		s.track("a")
		s.track("b")
		b.stop()

		first := c.mine("a")
		c.grow(3000)
		last := c.mine("b!")
		c.grow(1)
		c.hold = 500
		b = start(t, c, s, nil)
		b.Follow("")
		synctest.Wait()
		require.Equal(t, c.head(), b.safe(), "streams need not wait for the outcomes of old blocks")
		head, _ := b.Head("")
		require.Equal(t, c.head(), head)
		require.Equal(t, first, s.outcome("a").Block)
		require.Nil(t, s.outcome("b"))

		c.grow(1)
		settle(2 * time.Second)
		require.Equal(t, c.head(), b.safe(), "it is kept up to date during the catch-up")
		c.set(func() { c.hold = 0 })
		settle(time.Second)
		require.Equal(t, &store.Outcome{Block: last, Final: true}, s.outcome("b"))
		require.Less(t, len(s.written()), 20, "blocks are written in batches")
	})
}

func TestSecondOccurrenceDoesNotWin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.ready()
		b.s.track("a")
		var first ffcapi.BlockRef
		b.c.set(func() { b.c.hold = 10 })
		first = b.c.mine("a")
		b.c.mine("a!") // both are in one write, in order
		b.c.set(func() { b.c.hold = 0 })
		synctest.Wait()
		require.Equal(t, &store.Outcome{Block: first, Success: true, Final: true}, b.s.outcome("a"))
	})
}

func TestForeignBlocksMoveThePositionLazily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.ready()
		for range 50 {
			b.c.mine("x")
		}
		synctest.Wait()
		require.Empty(t, b.s.written())
		settle(11 * time.Second)
		require.Equal(t, b.c.head(), b.s.position(), "after 10 s")
		require.Len(t, b.s.written(), 1)

		b.c.grow(2500)
		synctest.Wait()
		require.Greater(t, b.s.position().Number, uint64(1000), "after 1000 blocks")

		b.stop()
		require.Equal(t, b.c.head(), b.s.position(), "when it stops")
		settle(time.Minute)
	})
}

func TestStopDoesNotWaitForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.ready()
		at := b.s.position()
		for range 1000 {
			b.s.fail(failure{err: store.ErrUnavailable})
		}
		b.s.track("a")
		b.c.mine("a")
		synctest.Wait()
		began := time.Now()
		b.stop()
		require.Less(t, time.Since(began), 5*time.Second)
		require.Equal(t, at, b.s.position())
	})
}

func TestStoreTroubleLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string][]failure{
		"unavailable":                  {{err: store.ErrUnavailable}, {err: store.ErrUnavailable}},
		"unavailable, but carried out": {{err: store.ErrUnavailable, done: true}},
		"full":                         {{err: store.ErrFull}, {err: store.ErrFull}, {err: store.ErrFull}},
		"position moved":               {{err: store.ErrConflict}},
		"something else":               {{err: errors.New("database is confused")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := start(t, newChain(ffcapi.Confirmations, 10), newLedgers(), required(2))
				b.ready()
				b.s.track("a")
				b.s.track("b")
				b.s.fail(fails...)
				a := b.c.mine("a")
				synctest.Wait()
				second := b.c.mine("b!")
				settle(time.Minute)
				require.Equal(t, &store.Outcome{Block: a, Success: true}, b.s.outcome("a"))
				require.Equal(t, &store.Outcome{Block: second}, b.s.outcome("b"))
				b.c.grow(2)
				settle(time.Minute)
				require.True(t, b.s.outcome("a").Final)
				require.True(t, b.s.outcome("b").Final)
				require.NoError(t, b.Failed(""))
				require.Equal(t, b.c.at(-3), b.safe())
			})
		})
	}
}

func TestPositionMovedBySomebodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), nil)
		b.ready()
		b.s.move(b.c.at(5))
		b.s.track("a")
		ref := b.c.mine("a")
		settle(time.Second)
		require.Equal(t, ref, b.s.outcome("a").Block)
		require.Equal(t, b.c.at(5), b.c.sessions[1], "the run starts again from the stored position")
	})
}

func TestFencedEngineStops(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(b *bed, lost chan struct{}){
		"by the store": func(b *bed, _ chan struct{}) {
			b.s.fail(failure{err: store.ErrFenced})
			b.c.mine("a")
		},
		"by the lock": func(_ *bed, lost chan struct{}) { close(lost) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lost := make(chan struct{})
				b := start(t, newChain(ffcapi.Instant, 10), newLedgers(), func(o *confirm.Options) { o.Lost = lost })
				b.ready()
				b.s.track("a")
				_, _, moved := b.Safe("")
				lose(b, lost)
				settle(time.Minute)
				require.ErrorIs(t, b.Failed(""), store.ErrFenced)
				require.ErrorIs(t, b.Ready(t.Context(), ""), store.ErrFenced)
				<-moved
				_, ok, _ := b.Safe("")
				require.False(t, ok)
				tries := b.s.tries
				b.c.mine("a")
				settle(time.Minute)
				require.Equal(t, tries, b.s.tries, "nothing is written any more")
				require.Nil(t, b.s.outcome("a"))
			})
		})
	}
}
