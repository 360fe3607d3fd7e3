package stream

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestAPoisonEventBlocksAtOnceAndIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(t, newFakeSink(1))
		defer l.quit()
		l.push("a")
		b := l.batch("p")
		b.poison = errTest
		require.NoError(t, l.d.push(t.Context(), b))
		l.push("c")
		l.take("a").finish(nil)
		l.idle()
		require.True(t, l.blocked())
		require.Contains(t, l.lastError(), errTest.Error())
		require.Equal(t, 1, l.done())
	})
}
