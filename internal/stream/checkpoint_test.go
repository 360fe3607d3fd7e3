package stream

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// slowStore takes its time for checkpoints, and says when they were written.
type slowStore struct {
	*fakeStore
	writes chan [2]time.Time // begun, ended
}

const slowWrite = 2 * time.Millisecond

func (s *slowStore) WriteCheckpoints(ctx context.Context, f store.Fence, stream string, epoch int64, cps []store.Checkpoint) error {
	began := time.Now()
	<-time.After(slowWrite)
	s.writes <- [2]time.Time{began, time.Now()}
	return s.fakeStore.WriteCheckpoints(ctx, f, stream, epoch, cps)
}

// The checkpoints of many listeners leave the store and the processor time for others; those of a few are written at once.
func TestManyCheckpointsLeaveRoom(t *testing.T) {
	t.Parallel()
	for listeners, pause := range map[int]time.Duration{1: 0, manyRows: 3 * slowWrite} {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowStore{newFakeStore(), make(chan [2]time.Time, 1000)}
			r := newRig(t, func(r *rig) { r.opts.Store, r.opts.MaxUnstored = slow, ptr(100) }) // so that no batch waits for the store
			r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1000)) })
			for i := range listeners {
				r.listen("s", fmt.Sprintf("l%d", i), "A")
			}
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			for range 20 { // events go on coming, and are acknowledged at once
				r.chain.mine("A")
				r.live("s").finish(nil)
				synctest.Wait()
				require.Empty(t, r.factory.of("s").out)
				<-time.After(slowWrite / 2)
			}
			var last time.Time
			for len(slow.writes) > 0 {
				w := <-slow.writes
				if !last.IsZero() {
					require.GreaterOrEqual(t, w[0].Sub(last), pause)
					require.Less(t, w[0].Sub(last), pause+slowWrite, "but no longer")
				}
				last = w[1]
			}
			require.False(t, last.IsZero())
		})
	}
}
