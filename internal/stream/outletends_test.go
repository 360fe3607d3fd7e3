package stream

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// An outlet that was waited for in vain is waited for again once it has answered.
func TestAnOutletThatAnswersIsWaitedForAgain(t *testing.T) {
	t.Parallel()
	withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
		f.take(t, "s")
		require.NoError(t, r.m.SuspendStream(t.Context(), "s")) // in vain
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		r.live("s").finish(errNo)
		d, _ := f.take(t, "s")
		d.finish(nil)
		r.stored(listener, ffcapi.BlockStart(2).String())

		r.chain.mine("A")
		r.live("s").finish(errNo)
		d, _ = f.take(t, "s")
		changed := make(chan error)
		go func() {
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(3))})
			changed <- err
		}()
		synctest.Wait()
		require.NoError(t, d.ctx.Err(), "the letter is sent twice")
		d.finish(nil)
		require.NoError(t, <-changed)
	})
}

// A receiver that wants nothing any more suspends the stream also while a dead letter waits for the outlet, and the letter is handed over later.
func TestAReceiverIsGoneWhileALetterWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f *kafkaFactory
		r := newRig(t, func(r *rig) {
			f = outletTo(r)
			r.factory.setup = func(s *fakeSink) { s.window = 2 }
		})
		stream := r.stream("s", skips, withOutlet, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
		r.listen("s", "l", "A")
		r.chain.mine("A")
		r.chain.mine("A")
		first, second := r.live("s"), r.live("s")
		second.finish(errNo)
		away, _ := f.take(t, "s")
		require.Len(t, r.letters(stream), 1)
		away.finish(errAway)
		first.finish(sink.Gone(errTest))
		require.Eventually(t, func() bool { return r.state("s").State == stateSuspended }, patience, tick)
		require.Len(t, r.letters(stream), 1)

		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		r.live("s").finish(nil)
		r.live("s").finish(errNo)
		d, letter := f.take(t, "s")
		require.Equal(t, second.Events[0].ID, letter.EventID)
		d.finish(nil)
	})
}
