package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// patiently is a manager whose changes wait long enough for a test that acknowledges.
func patiently(r *rig) { r.opts.Drain = patience }

// Listeners that are added to a stream under load replay the past, and nobody gets anything twice for it.
func TestListenersAddedUnderLoadRepeatNothing(t *testing.T) {
	t.Parallel()
	const listeners, blocks = 10, 200
	r := newRig(t, patiently, func(r *rig) {
		r.factory.setup = func(s *fakeSink) { s.window = 4 }
	})
	r.chain.mine("A", "A", "A", "A")
	r.stream("s")
	stop, received := make(chan struct{}), make(chan map[string]int)
	go func() {
		got := make(map[string]int)
		for {
			select {
			case d := <-r.factory.of("s").out:
				for i := range d.Events {
					got[d.Events[i].Listener.ID+" "+d.Events[i].ID]++
				}
				d.finish(nil)
			case <-stop:
				received <- got
				return
			}
		}
	}()
	for i := range blocks {
		r.chain.mine("A", "A", "A")
		if i%(blocks/listeners) == 0 {
			l := r.listen("s", fmt.Sprintf("l%d", i), "A")
			r.eventually(func() bool { // until a run has it, it does not catch up either
				_, taken := r.store.checkpoint(l)
				st, err := r.m.Listener(t.Context(), "s", l)
				require.NoError(t, err)
				return taken && !st.Catchup
			})
		}
	}
	const want = listeners * (4 + 3*blocks)
	r.eventually(func() bool { return r.state("s").Delivered >= want })
	r.caughtUp("s")
	close(stop)
	for event, n := range <-received {
		require.Equal(t, 1, n, event)
	}
	require.EqualValues(t, want, r.state("s").Delivered)
	require.Zero(t, r.state("s").Redelivered)
	require.Greater(t, r.epoch(), int64(listeners/2), "there were restarts")
}

// epoch is the number of runs of the only stream.
func (r *rig) epoch() int64 {
	list, err := r.store.Streams(r.t.Context(), 0, 1)
	require.NoError(r.t, err)
	return list[0].Epoch
}

// Every change of a stream lets what is sent be acknowledged before the run is discarded.
func TestAChangeWaitsForWhatIsInFlight(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *rig, listener string) error{
		"patch": func(r *rig, _ string) error {
			_, err := r.m.UpdateStream(r.t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(7))})
			return err
		},
		"suspend": func(r *rig, _ string) error { return r.m.SuspendStream(r.t.Context(), "s") },
		"rename a listener": func(r *rig, l string) error {
			_, err := r.m.UpdateListener(r.t.Context(), "s", l, &apitypes.Listener{Name: ptr("other")})
			return err
		},
		"remove a listener": func(r *rig, l string) error { return r.m.DeleteListener(r.t.Context(), "s", l) },
		"reset a listener": func(r *rig, l string) error {
			_, err := r.m.ResetListener(r.t.Context(), "s", l, nil, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, patiently, func(r *rig) {
				r.factory.setup = func(s *fakeSink) { s.window = 2 }
			})
			r.chain.mine("A", "A", "A", "A", "B", "B")
			r.stream("s", suspended)
			l, other := r.listen("s", "l", "A"), r.listen("s", "other listener", "A", "B")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			first, second := r.live("s"), r.live("s")
			changed := make(chan error, 1)
			go func() { changed <- change(r, l) }()
			r.eventually(func() bool { return r.run("s").delivery.isDraining() })
			second.finish(nil)
			first.finish(nil)
			require.NoError(t, <-changed)
			r.stored(other, "000000000001/000002/000000")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			var again []string
			for len(again) < 4 {
				d := r.next("s")
				require.NoError(t, d.ctx.Err(), "the run that came to its end sends nothing more")
				for i, at := range ids(t, d.Batch) {
					if d.Events[i].Listener.ID == other {
						again = append(again, at)
					}
				}
				d.finish(nil)
			}
			require.Equal(t, []string{"1/2", "1/3", "1/4", "1/5"}, again)
		})
	}
}

// run is the run of a stream.
func (r *rig) run(name string) *run {
	s, err := r.m.find(name)
	require.NoError(r.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worker.run.Load()
}

func (d *delivery) isDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

// A receiver that does not answer holds up one change for a moment, and no other until it answers again.
func TestASilentReceiverHoldsUpOneChangeForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.mine("A", "A", "A", "A")
		r.stream("s", suspended)
		r.listen("s", "l", "A")
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		patch := func(n int) time.Duration {
			began := time.Now()
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchTimeout: ptr(ms(n))})
			require.NoError(t, err)
			return time.Since(began)
		}
		r.live("s")
		require.Equal(t, defaultDrain, patch(1))
		for n := range 10 {
			r.live("s")
			require.Zero(t, patch(2+n))
		}
		r.live("s").finish(nil)
		r.live("s")
		require.Equal(t, defaultDrain, patch(100), "it had answered")
	})
}

// What waits for a receiver, or to be tried again, is not waited for.
func TestWhatIsNotAtTheReceiverHoldsUpNoChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.chain.mine("A", "A", "A")
		r.stream("s", suspended)
		r.listen("s", "l", "A")
		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		r.live("s").finish(errTest)
		synctest.Wait()
		began := time.Now()
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.Zero(t, time.Since(began))

		require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
		d := r.live("s")
		r.factory.of("s").leave()
		d.finish(nil)
		synctest.Wait() // the next one waits for somebody
		began = time.Now()
		require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
		require.Zero(t, time.Since(began))
		r.quiet("s")
	})
}

// sleep lets virtual time pass.
func sleep(t *testing.T, d time.Duration) { require.NoError(t, retry.Sleep(t.Context(), d)) }

// A receiver that takes its time gets on while listeners are being made, and nothing comes twice for them.
func TestListenersDoNotStopAReceiverThatIsSlow(t *testing.T) {
	t.Parallel()
	for name, takes := range map[string]time.Duration{"1.5 s": 1500 * time.Millisecond, "40 s": 40 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
				l := r.listen("s", "l", "A")
				sleep(t, time.Second)
				for range 20 {
					r.chain.mine("A")
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					for n := range int(10 * takes / (500 * time.Millisecond)) {
						r.listen("s", fmt.Sprint(n), "none")
						sleep(t, 500*time.Millisecond)
					}
				}()
				for d := range r.factory.of("s").out {
					sleep(t, takes)
					d.finish(nil)
					select {
					case <-done:
						cp, _ := r.store.checkpoint(l)
						require.GreaterOrEqual(t, cp.Cursor.Block, uint64(5))
						if takes < refreshDrain {
							require.Zero(t, r.state("s").Redelivered)
						}
						return
					default:
					}
				}
			})
		})
	}
}

// A change does not wait for those who take in new listeners, whom a receiver keeps waiting.
func TestAChangeOvertakesWhatWaitsForAReceiver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
		r.listen("s", "l", "A")
		sleep(t, time.Second)
		r.chain.mine("A")
		r.live("s")
		r.listen("s", "other", "A")
		sleep(t, 2*time.Second)
		began := time.Now()
		_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(2))})
		require.NoError(t, err)
		require.Equal(t, defaultDrain, time.Since(began))
		require.Len(t, r.live("s").Events, 2, "the new listener is taken in by the change")
	})
}
