package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// With the default settings an event does not wait for others: neither for a full batch nor for batchTimeout, of which virtual time would show
// the smallest part.
func TestABatchDoesNotWaitWhileTheSinkIsIdle(t *testing.T) {
	t.Parallel()
	for kind, event := range map[string]func(*apitypes.Listener){
		"events": func(*apitypes.Listener) {},
		"blocks": func(l *apitypes.Listener) { l.Type, l.Filters = ptr(apitypes.ListenerBlocks), nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("s")})
			require.NoError(t, err)
			l := &apitypes.Listener{Filters: filters("A"), FromBlock: ptr(apitypes.BlockNumber("latest"))}
			event(l)
			_, err = r.m.CreateListener(t.Context(), "s", l)
			require.NoError(t, err)
			<-time.After(time.Second) // until the run has it
			out := r.factory.of("s").out
			for range 20 {
				began := time.Now()
				r.chain.mine("A")
				first := <-out
				require.Zero(t, time.Since(began), kind)
				require.Len(t, first.Events, 1)

				// What comes while the sink is busy goes together, as soon as it is not.
				r.chain.mine("A")
				r.chain.mine("A")
				<-time.After(time.Millisecond)
				require.Empty(t, out)
				began = time.Now()
				first.finish(nil)
				second := <-out
				require.Zero(t, time.Since(began), kind)
				require.Len(t, second.Events, 2)
				second.finish(nil)
				<-time.After(time.Millisecond)
			}
		})
	}
}

// While more is at hand a batch waits to be filled, and no longer than batchTimeout.
func TestABatchWaitsNoLongerThanBatchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("s"), BatchTimeout: ptr(ms(700)), Suspended: ptr(true)})
		require.NoError(t, err)
		r.listen("s", "l", "A")
		r.chain.mine("A")
		r.chain.mine("A")
		r.chain.set(func(c *fakeChain) {
			c.pageCap = 1
			pages := 0
			c.fault = func(call string) error {
				if call != "Events" {
					return nil
				}
				if pages++; pages > 1 {
					return errTest // the second page does not come: the node is away
				}
				return nil
			}
		})
		began := time.Now()
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		d := <-r.factory.of("s").out
		require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
		require.Equal(t, 700*time.Millisecond, time.Since(began))
		d.finish(nil)
	})
}
