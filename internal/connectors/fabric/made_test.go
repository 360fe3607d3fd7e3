package fabric

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThoseWhoAskAtOnceGetTheSame: each of them makes it, one is kept, and it is counted once.
func TestThoseWhoAskAtOnceGetTheSame(t *testing.T) {
	t.Parallel()
	const readers, size = 8, 10
	for limit, kept := range map[int]int{size: size, size - 1: 0} {
		r := room{limit: limit}
		var m made[[]byte]
		var making, done sync.WaitGroup
		making.Add(readers)
		var got [readers][]byte
		for i := range readers {
			done.Go(func() {
				got[i], _ = m.get(&r, func() ([]byte, int, error) {
					making.Done()
					making.Wait()
					return make([]byte, size), size, nil
				})
			})
		}
		done.Wait()
		require.Equal(t, kept, r.taken())
		for i := range readers - 1 {
			require.Equal(t, kept != 0, &got[i][0] == &got[i+1][0], "reader %d, room for %d", i, limit)
		}
	}
}
