package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// A worker that ends too late for the change that stopped it leaves a stream that goes on.
func TestAStreamGoesOnAfterAWorkerThatWasSlowToEnd(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.factory.setup = func(s *fakeSink) { s.stuck = make(chan struct{}) }
			})
			r.stream("s")
			r.listen("s", "l", "A")
			r.chain.mine("A")
			synctest.Wait() // in Send
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(5))})
			require.ErrorContains(t, err, `stream "s" does not stop`)
			if again {
				// The next change finds the worker still there, or its successor: one runs afterwards, with the new settings.
				changed := make(chan error, 1)
				go func() {
					_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(7))})
					changed <- err
				}()
				synctest.Wait()
				close(r.factory.of("s").stuck)
				require.NoError(t, <-changed)
			} else {
				close(r.factory.of("s").stuck)
			}
			d := r.live("s")
			require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
			d.finish(nil)
			r.caughtUp("s")
			s, err := r.m.find("s")
			require.NoError(t, err)
			if again {
				require.Equal(t, 7, s.worker.run.Load().def.BatchSize)
			}
		})
	}
}

// Blocks without events that were read while a batch was out are done with it, not only when the next block comes.
func TestBlocksReadBehindABatchAreDoneWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.chain.mine("A")
	d := r.live("s")
	r.chain.mine("B")
	s, err := r.m.find("s")
	require.NoError(t, err)
	out := s.worker.run.Load().delivery
	r.eventually(func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.parked != nil && len(out.parked.entry.Marks) > 0
	})
	d.finish(nil)
	r.caughtUp("s")
	r.stored(l, "000000000003/000000/000000")
}

// A run that has sent 10⁹ batches goes on under another epoch: its numbers would be those of the next.
func TestNumbersThatAreUsedUpBeginAnotherEpoch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.chain.mine("A")
	d := r.live("s")
	epoch := d.Number / numbersPerEpoch
	s, err := r.m.find("s")
	require.NoError(t, err)
	out := s.worker.run.Load().delivery
	out.mu.Lock()
	out.numbers = numbersPerEpoch - 2
	out.mu.Unlock()
	r.chain.mine("A")
	d.finish(nil)
	d = r.live("s")
	require.Equal(t, epoch*numbersPerEpoch+numbersPerEpoch-1, d.Number, "the last one")
	r.chain.mine("A")
	d.finish(nil)
	d = r.live("s")
	require.Equal(t, (epoch+1)*numbersPerEpoch+1, d.Number)
	require.Equal(t, []string{"3/0"}, ids(t, d.Batch))
	d.finish(nil)
	r.stored(l, "000000000004/000000/000000")
}

func TestAReceiverCannotPutAStreamOffForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream("s")
		r.listen("s", "l", "A")
		r.chain.mine("A")
		d := r.live("s")
		began := time.Now()
		d.finish(&sink.RetryAfter{After: 1 << 62, Err: errTest})
		again := <-r.factory.of("s").out
		require.Equal(t, d.Number, again.Number)
		require.Equal(t, maxRetryAfter, time.Since(began))
		again.finish(nil)
	})
}

// A store that cannot be reached ends no stream, whatever it is asked for.
func TestAStreamOutlivesAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stream := r.stream("s")
		l := r.listen("s", "l", "A")
		r.stop()
		for _, away := range []string{"NewEpoch", "Listeners", "Checkpoints", "WriteCheckpoints"} {
			r.start()
			r.store.setFault(func(call string) error {
				if call == away {
					return store.ErrUnavailable
				}
				return nil
			})
			require.NoError(t, r.m.SuspendStream(t.Context(), stream))
			require.NoError(t, r.m.ResumeStream(t.Context(), stream))
			r.chain.mine("A")
			<-time.After(time.Hour)
			require.NotEqual(t, stateFailed, r.state("s").State, away)
			r.store.setFault(nil)
			d := r.live("s")
			head, _ := r.chain.Head("")
			require.Equal(t, head.Number, d.Events[0].Block, away)
			d.finish(nil)
			r.stored(l, ffcapi.BlockStart(head.Number+1).String())
			r.stop()
		}
		r.start()
	})
}
