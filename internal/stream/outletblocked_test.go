package stream

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

var errAway = errors.New("away")

// withLetter is a rig in virtual time, whose stream "s" has had an event refused for good; the dead letter is on its way to the outlet.
func withLetter(t *testing.T, test func(t *testing.T, r *rig, f *kafkaFactory, listener string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var f *kafkaFactory
		r := newRig(t, func(r *rig) { f = outletTo(r) })
		r.stream("s", skips, withOutlet, func(s *apitypes.EventStream) {
			s.BatchSize, s.RetryTimeout, s.BlockedRetryDelay = ptr(uint64(1)), ptr(ms(30_000)), ptr(ms(60_000))
		})
		listener := r.listen("s", "l", "A")
		r.chain.mine("A")
		r.live("s").finish(errNo)
		test(t, r, f, listener)
	})
}

// shows is the state of a stream when nothing moves any more.
func (r *rig) shows() *apitypes.StreamStatus {
	r.t.Helper()
	synctest.Wait()
	return r.state("s")
}

// A stream whose dead letter cannot be handed over is blocked after retryTimeout, as one whose batch cannot be delivered, and says that it is the outlet.
func TestAnOutletThatIsAwayBlocksTheStream(t *testing.T) {
	t.Parallel()
	withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
		d, _ := f.take(t, "s")
		first := time.Now()
		for ; time.Since(first) < 30*time.Second; d, _ = f.take(t, "s") {
			require.Equal(t, stateLive, r.shows().State)
			d.finish(errAway)
			require.Equal(t, "deadLetter: away", r.shows().LastError)
		}
		require.Equal(t, stateLive, r.shows().State, "it may get through now")
		for range 3 {
			d.finish(errAway)
			st := r.shows()
			require.Equal(t, stateBlocked, st.State)
			require.Equal(t, "deadLetter: away", st.LastError)
			require.True(t, first.Equal(time.Time(*st.BlockedSince)))
			failed := time.Now()
			d, _ = f.take(t, "s")
			require.Equal(t, time.Minute, time.Since(failed), "blockedRetryDelay")
			require.Equal(t, stateBlocked, r.shows().State)
		}
		d.finish(nil)
		st := r.shows()
		require.Equal(t, stateLive, st.State)
		require.Nil(t, st.BlockedSince)
		require.EqualValues(t, 1, st.DeadLettered)
		r.stored(listener, ffcapi.BlockStart(2).String())
	})
}

// An outlet that asks for time gets it, whatever it says besides; only a refusal that has lasted for retryTimeout leaves a dead letter in the store alone.
func TestAnOutletThatAsksForTimeIsNotGivenUp(t *testing.T) {
	t.Parallel()
	withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
		for range 3 {
			d, _ := f.take(t, "s")
			began := time.Now()
			d.finish(&sink.RetryAfter{After: time.Minute, Err: errNack})
			d, _ = f.take(t, "s")
			require.Equal(t, time.Minute, time.Since(began))
			d.finish(errAway)
		}
		r.undone(listener, ffcapi.BlockStart(1).String())
		d, _ := f.take(t, "s")
		d.finish(errNack)
		r.stored(listener, ffcapi.BlockStart(2).String())
	})
}

// An outlet that was away for long has retryTimeout from its first refusal on, as the main sink has.
func TestAnOutletThatComesBackMayBeMistakenForAWhile(t *testing.T) {
	t.Parallel()
	withLetter(t, func(t *testing.T, r *rig, f *kafkaFactory, listener string) {
		began := time.Now()
		d, _ := f.take(t, "s")
		for ; time.Since(began) < time.Hour; d, _ = f.take(t, "s") {
			d.finish(errAway)
		}
		d.finish(errNack)
		d, _ = f.take(t, "s")
		r.undone(listener, ffcapi.BlockStart(1).String())
		d.finish(errNack)
		r.stored(listener, ffcapi.BlockStart(2).String())
	})
}

// A sink that panics, or answers twice, has failed to take one dead letter, and no more.
func TestAnOutletThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := new(panicking)
		r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{r.factory, f} })
		r.stream("s", skips, withOutlet)
		r.listen("s", "l", "A")
		r.chain.mine("A")
		r.live("s").finish(errNo)
		synctest.Wait()
		require.Equal(t, "deadLetter: sink panicked: at a dead letter", r.state("s").LastError)
		d, _ := f.take(t, "s")
		require.Equal(t, 2, d.Attempt)
		d.done(nil)
		d.done(errTest)
		d.done(errTest)
		require.EqualValues(t, 1, r.shows().DeadLettered)
		r.quiet("s")
	})
}

// panicking is a factory of sinks that panic once.
type panicking struct{ kafkaFactory }

func (p *panicking) Open(ctx context.Context, s sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	out, err := p.kafkaFactory.Open(ctx, s, cfg)
	return &panics{Sink: out}, err
}

type panics struct {
	sink.Sink
	done bool
}

func (p *panics) Send(ctx context.Context, b *sink.Batch, done func(error)) {
	if !p.done {
		p.done = true
		panic("at a dead letter")
	}
	p.Sink.Send(ctx, b, done)
}

// A store that cannot be read when a dead letter is on its way is waited for, and nothing is sent to the main sink again for it.
func TestAStoreThatIsAwayHoldsADeadLetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f *kafkaFactory
		r := newRig(t, func(r *rig) { f = outletTo(r) })
		r.stream("s", skips, withOutlet)
		r.store.setFault(func(call string) error {
			if call == "DeadLetter" {
				return store.ErrUnavailable
			}
			return nil
		})
		r.listen("s", "l", "A")
		r.chain.mine("A")
		r.live("s").finish(errNo)
		synctest.Wait()
		require.Equal(t, store.ErrUnavailable.Error(), r.state("s").LastError)
		r.store.setFault(nil)
		d, _ := f.take(t, "s")
		d.finish(nil)
		require.EqualValues(t, 1, r.shows().DeadLettered)
		r.quiet("s")
	})
}
