package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestOnlyWhatFailedOfABatchGoesAgain(t *testing.T) {
	t.Parallel()
	inLane(t, 2, nil, func(l *lane) {
		l.push("abcdef")
		l.push("xy")
		d, behind := l.take("abcdef"), l.take("xy")
		d.finish(&sink.Partial{Failed: map[int]error{4: errNack, 1: errSplit, 3: errNo}})
		synctest.Wait()
		require.Error(l.t, behind.ctx.Err())
		again := l.take("bde")
		require.Greater(l.t, again.Number, behind.Number, "another content has another number")
		require.Zero(l.t, l.done())
		again.finish(&sink.Partial{Failed: map[int]error{1: errNack}})
		l.take("d").finish(&sink.Partial{Failed: map[int]error{0: errNack}})
		l.take("d").finish(nil)
		require.Equal(l.t, 6, l.done())
		l.take("xy").finish(nil)
		require.Equal(l.t, 8, l.done())
		require.Equal(l.t, uint64(8), l.d.stats.delivered.Load())
	})
}

func TestPartsOfAPartialFailureAreJudgedOneByOne(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("abcdef")
		l.take("abcdef").finish(&sink.Partial{Failed: map[int]error{1: errSplit, 2: errNo, 4: errNack, 5: errNo}})
		l.take("b").finish(nil)
		l.aside("c permanent 1")
		l.refuse("e", errNack, laneRetry-time.Second)
		l.aside()
		for synctest.Wait(); len(l.kept) == 0; synctest.Wait() {
			l.take("e").finish(errNack)
		}
		require.Equal(l.t, []string{"e refused", "f permanent"}, l.set())
		require.Equal(l.t, 6, l.done())
	})
}

func TestAPartialFailureOfNothingIsAFailureOfAll(t *testing.T) {
	t.Parallel()
	inLane(t, 1, skipping, func(l *lane) {
		l.push("ab")
		for _, failed := range []map[int]error{nil, {2: errNo}, {-1: errNo}} {
			l.take("ab").finish(&sink.Partial{Failed: failed})
		}
		l.take("ab").finish(nil)
		l.aside()
		require.Equal(l.t, 2, l.done())
	})
}
