package stream

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// whileALetterWaits has a test done with a dead letter that the outlet has not answered, and with one that it has failed to take.
func whileALetterWaits(t *testing.T, test func(t *testing.T, w *waitingLetter)) {
	t.Helper()
	for _, failed := range []bool{false, true} {
		withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
			w := &waitingLetter{rig: r, outlet: f, listener: listener}
			w.sent, w.letter = f.take(t, "s")
			if failed {
				w.sent.finish(errAway)
				synctest.Wait()
			}
			test(t, w)
		})
	}
}

// waitingLetter is a dead letter of the stream "s" on its way to the outlet.
type waitingLetter struct {
	*rig
	outlet   *kafkaFactory
	listener string
	sent     *delivered
	letter   *apitypes.DeadLetter
}

// rests checks that the letter is stored, that its event does not count as done, and that nothing comes for an hour.
func (w *waitingLetter) rests() {
	w.t.Helper()
	out := w.outlet.of("s")
	require.NoError(w.t, retry.Sleep(w.t.Context(), time.Hour))
	require.Empty(w.t, out.out)
	require.Len(w.t, w.letters(w.letter.StreamID), 1)
	w.undone(w.listener, ffcapi.BlockStart(1).String())
	require.Error(w.t, w.sent.ctx.Err())
}

// comes checks that the event is refused again and its letter comes to an outlet again, under the same ids, and counts when that has it.
func (w *waitingLetter) comes(t *testing.T, outlet *fakeFactory) {
	t.Helper()
	w.live("s").finish(errNo)
	d, letter := outlet.take(t, "s")
	require.Equal(t, w.letter.ID, letter.ID)
	require.Equal(t, w.letter.Sequence, letter.Sequence)
	require.Equal(t, w.sent.Events[0].DedupID(), d.Events[0].DedupID())
	require.NotEqual(t, w.sent.Number, d.Number, "a number never names two contents")
	w.undone(w.listener, ffcapi.BlockStart(1).String())
	d.finish(nil)
	w.done()
}

// done checks that the event is done, and its letter in the store once.
func (w *waitingLetter) done() {
	w.t.Helper()
	w.stored(w.listener, ffcapi.BlockStart(2).String())
	require.Len(w.t, w.letters(w.letter.StreamID), 1)
	st := w.shows()
	require.Equal(w.t, stateLive, st.State)
	require.EqualValues(w.t, 1, st.DeadLettered)
	w.quiet("s")
}

func TestALetterOutlivesASuspendedStream(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		require.NoError(t, w.m.SuspendStream(t.Context(), "s"))
		w.rests()
		require.Equal(t, stateSuspended, w.shows().State)
		require.NoError(t, w.m.ResumeStream(t.Context(), "s"))
		w.comes(t, &w.outlet.fakeFactory)
	})
}

func TestALetterOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		began := time.Now()
		w.stop()
		require.Less(t, time.Since(began), stopTimeout)
		w.rests()
		w.start()
		w.comes(t, &w.outlet.fakeFactory)
	})
}

// A letter that waits goes where a change has dead letters go.
func TestALetterGoesToAnotherOutlet(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		was := w.outlet.of("s")
		_, err := w.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(`{"type":"webhook","webhook":{"target":"a"}}`)})
		require.NoError(t, err)
		require.True(t, was.isClosed())
		webhook, ok := w.m.sinks[apitypes.StreamWebhook].(*confidential)
		require.True(t, ok)
		w.comes(t, &webhook.fakeFactory)
		require.Empty(t, was.out)
	})
}

func TestALetterStaysInTheStoreWhenItsOutletIsTakenAway(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		_, err := w.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{DeadLetter: json.RawMessage(`null`)})
		require.NoError(t, err)
		w.live("s").finish(errNo)
		w.done()
		require.Empty(t, w.outlet.of("s").out)
	})
}

func TestAStreamIsDeletedWithALetterThatWaits(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		out := w.outlet.of("s")
		require.NoError(t, w.m.DeleteStream(t.Context(), "s"))
		require.True(t, out.isClosed())
		require.Error(t, w.sent.ctx.Err())
		require.NoError(t, retry.Sleep(t.Context(), time.Hour))
		require.Empty(t, out.out)
		require.Empty(t, w.letters(w.letter.StreamID))
	})
}

// A letter that somebody deletes while it waits is still delivered, since it is on its way.
func TestALetterThatIsDeleted(t *testing.T) {
	t.Parallel()
	whileALetterWaits(t, func(t *testing.T, w *waitingLetter) {
		require.NoError(t, w.m.DeleteDeadLetter(t.Context(), "s", w.letter.ID))
		if w.sent.Attempt == 1 && w.shows().LastError == "deadLetter: away" {
			w.sent, _ = w.outlet.take(t, "s")
		}
		w.sent.finish(nil)
		w.stored(w.listener, ffcapi.BlockStart(2).String())
		require.Empty(t, w.letters(w.letter.StreamID))
	})
}

// A change waits a second for the outlet as it does for the main sink, so that it repeats neither the event nor its letter.
func TestAChangeWaitsForTheOutlet(t *testing.T) {
	t.Parallel()
	withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
		d, _ := f.take(t, "s")
		changed := make(chan error)
		go func() {
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(3))})
			changed <- err
		}()
		synctest.Wait()
		require.NoError(t, d.ctx.Err())
		d.finish(nil)
		require.NoError(t, <-changed)
		r.stored(listener, ffcapi.BlockStart(2).String())
		require.EqualValues(t, 1, r.shows().DeadLettered)
		r.quiet("s")
		require.Empty(t, f.of("s").out)

		r.chain.mine("A")
		r.live("s").finish(errNo)
		d, _ = f.take(t, "s")
		began := time.Now()
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.Equal(t, defaultDrain, time.Since(began), "no longer than that")
		require.Error(t, d.ctx.Err())
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		r.live("s").finish(errNo)
		d, _ = f.take(t, "s")
		d.finish(errAway)
		synctest.Wait()
		began = time.Now()
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.Zero(t, time.Since(began), "what the outlet has failed to take is not there")
	})
}

// An outlet that never answers, not even when its time is over, holds up no stop.
func TestAnOutletThatNeverAnswersHoldsUpNoStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, new(mute)} })
		r.stream("s", skips, withOutlet)
		r.listen("s", "l", "A")
		r.chain.mine("A")
		r.live("s").finish(errNo)
		synctest.Wait()
		began := time.Now()
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.Equal(t, defaultDrain, time.Since(began))
	})
}

// mute is a factory of sinks that do not keep to their contract.
type mute struct{ kafkaFactory }

func (m *mute) Open(ctx context.Context, s sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	out, err := m.kafkaFactory.Open(ctx, s, cfg)
	return muteSink{out}, err
}

type muteSink struct{ sink.Sink }

func (muteSink) Send(context.Context, *sink.Batch, func(error)) {}
