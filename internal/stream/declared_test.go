package stream

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// declaration of a stream with small batches and listeners from the first block on, each of the events that it is called after.
func declares(name string, listeners ...string) Declared {
	d := Declared{Stream: &apitypes.EventStream{Name: &name, BatchSize: ptr(uint64(2))}}
	for _, l := range listeners {
		d.Listeners = append(d.Listeners, &apitypes.Listener{Name: ptr(l), Filters: filters(l), FromBlock: ptr(apitypes.BlockNumber("earliest"))})
	}
	return d
}

func declaring(list ...Declared) func(*rig) { return func(r *rig) { r.opts.Declared = list } }

// redeclare starts the process again with another configuration.
func (r *rig) redeclare(list ...Declared) {
	r.t.Helper()
	r.opts.Declared = list
	r.restart()
}

// listener is what is stored under a name.
func (r *rig) listener(stream, name string) *apitypes.ListenerWithStatus {
	r.t.Helper()
	l, err := r.m.Listener(r.t.Context(), stream, name)
	require.NoError(r.t, err)
	return l
}

// refusedStart starts the process again with a configuration that it refuses, and returns why.
func (r *rig) refusedStart(list ...Declared) error {
	r.t.Helper()
	r.stop()
	good := r.opts.Declared
	r.opts.Declared = list
	m, err := New(r.opts)
	if err == nil {
		err = m.Start(r.t.Context())
	}
	require.Error(r.t, err)
	r.opts.Declared = good
	r.start()
	return err
}

func TestDeclaredStreamsAreKeptInStepAndMoveNoPosition(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A")), func(r *rig) {
		for range 3 {
			r.chain.mine("A", "B")
		}
	})
	d := r.live("s")
	require.Equal(t, []string{"1/0", "2/0"}, ids(t, d.Batch))
	d.finish(nil)
	a := r.listener("s", "A").ID.String()
	r.stored(a, "000000000003/000000/000000")
	require.Equal(t, []string{"3/0"}, ids(t, r.live("s").Batch), "is not acknowledged")
	made, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, apitypes.ManagedByConfig, made.ManagedBy)
	require.Equal(t, apitypes.ManagedByConfig, r.listener("s", "A").ManagedBy)

	changed := declares("s", "A", "B")
	changed.Stream.BatchSize, changed.Stream.ErrorHandling = ptr(uint64(3)), ptr("skip")
	r.redeclare(changed)
	now, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, made.ID, now.ID)
	require.Equal(t, uint64(3), *now.BatchSize)
	require.Equal(t, "skip", *now.ErrorHandling)
	require.Equal(t, a, r.listener("s", "A").ID.String())
	var got []string
	for len(got) < 4 {
		d := r.live("s")
		got = append(got, ids(t, d.Batch)...)
		d.finish(nil)
	}
	require.ElementsMatch(t, []string{"1/1", "2/1", "3/0", "3/1"}, got, "A goes on, B begins at its start")

	r.redeclare(declares("s", "A", "B"))
	now, err = r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, "block", *now.ErrorHandling, "what is no longer said is as by default")
	before := now.Updated
	r.redeclare(declares("s", "A", "B"))
	now, err = r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, before, now.Updated, "nothing has changed")
}

func TestAListenerThatIsNoLongerDeclaredWaitsWhereItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A", "B")), func(r *rig) { r.chain.mine("A", "B") })
	r.live("s").finish(nil)
	b := r.listener("s", "B").ID.String()
	r.stored(b, "000000000002/000000/000000")

	r.redeclare(declares("s", "A"))
	require.True(t, r.listener("s", "B").Undeclared)
	r.chain.mine("B", "A")
	d := r.live("s")
	require.Equal(t, []string{"2/1"}, ids(t, d.Batch), "only A is delivered")
	d.finish(nil)
	r.redeclare(declares("s", "A", "B"))
	d = r.live("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch), "nothing of B is lost, and nothing of A repeated")
	require.Equal(t, b, d.Events[0].Listener.ID)
	d.finish(nil)
	require.False(t, r.listener("s", "B").Undeclared)

	require.ErrorIs(t, r.m.DeleteListener(t.Context(), "s", "B"), apitypes.ErrDeclared)
	r.redeclare(declares("s", "A"))
	require.NoError(t, r.m.DeleteListener(t.Context(), "s", "B"), "what is not declared can be deleted")
}

func TestAStreamThatIsNoLongerDeclaredIsSuspended(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A"), declares("asleep", "A")))
	r.chain.mine("A")
	r.live("s").finish(nil)
	r.stored(r.listener("s", "A").ID.String(), "000000000002/000000/000000")
	require.NoError(t, r.m.SuspendStream(t.Context(), "asleep"))

	r.redeclare()
	st, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.True(t, *st.Suspended)
	require.True(t, st.Undeclared)
	require.Equal(t, stateSuspended, st.StreamState.State)
	err = r.m.ResumeStream(t.Context(), "s")
	require.ErrorIs(t, err, apitypes.ErrDeclared)
	require.ErrorContains(t, err, "put it back there, or delete it here")
	r.chain.mine("A")
	r.redeclare(declares("s", "A"), declares("asleep", "A"))
	require.Equal(t, []string{"2/0"}, ids(t, r.live("s").Batch), "it goes on where it was")
	require.Equal(t, stateSuspended, r.state("asleep").State, "what somebody suspended stays so")

	r.redeclare(declares("asleep", "A"))
	require.NoError(t, r.m.DeleteStream(t.Context(), "s"))
}

func TestTheConfigurationHasTheLastWordOnWhatItDeclares(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A")))
	r.chain.mine("A")
	r.live("s").finish(nil)
	ctx := t.Context()
	for name, refused := range map[string]func() error{
		"PATCH of the stream": func() error {
			_, err := r.m.UpdateStream(ctx, "s", &apitypes.EventStream{BatchSize: ptr(uint64(9))})
			return err
		},
		"DELETE of the stream": func() error { return r.m.DeleteStream(ctx, "s") },
		"a new listener": func() error {
			_, err := r.m.CreateListener(ctx, "s", &apitypes.Listener{Filters: filters("B")})
			return err
		},
		"PATCH of a listener": func() error {
			_, err := r.m.UpdateListener(ctx, "s", "A", &apitypes.Listener{Name: ptr("B")})
			return err
		},
		"DELETE of a listener": func() error { return r.m.DeleteListener(ctx, "s", "A") },
		"a reset to a new name": func() error {
			_, err := r.m.ResetListener(ctx, "s", "A", &apitypes.Listener{Name: ptr("B")}, false)
			return err
		},
	} {
		require.ErrorIs(t, refused(), apitypes.ErrDeclared, name)
	}
	require.NoError(t, r.m.SuspendStream(ctx, "s"))
	r.restart()
	require.Equal(t, stateSuspended, r.state("s").State, "also after a restart")
	require.NoError(t, r.m.ResumeStream(ctx, "s"))
	_, err := r.m.ResetListener(ctx, "s", "A", nil, false)
	require.NoError(t, err)
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch))

	always := declares("s", "A")
	always.Stream.Suspended = ptr(false)
	require.NoError(t, r.m.SuspendStream(ctx, "s"))
	r.redeclare(always)
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch), "suspended: false holds at each start")
}

// Whoever resets a listener in the night must find a node that starts in the morning.
func TestAResetOfADeclaredListenerSurvivesRestarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A")), func(r *rig) {
		for range 3 {
			r.chain.mine("A")
		}
	})
	r.live("s").finish(nil)
	_, err := r.m.ResetListener(t.Context(), "s", "A", &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("3"))}, false)
	require.NoError(t, err)
	r.restart()
	require.Equal(t, apitypes.BlockNumber("3"), *r.listener("s", "A").FromBlock)
	d := r.live("s")
	require.Equal(t, []string{"3/0"}, ids(t, d.Batch))
	d.finish(nil)
	r.stored(r.listener("s", "A").ID.String(), "000000000004/000000/000000")

	follows := declares("s", "A")
	*follows.Listeners[0].FromBlock = "3"
	r.redeclare(follows)
	r.quiet("s")
	err = r.refusedStart(declares("s", "A"))
	require.ErrorContains(t, err, `streams[0].listeners[0].fromBlock is "earliest", and was "3"`)
}

func TestDeclarationsThatCannotBeCarriedOut(t *testing.T) {
	t.Parallel()
	from := func(block string) Declared {
		d := declares("s", "A")
		*d.Listeners[0].FromBlock = apitypes.BlockNumber(block)
		return d
	}
	with := func(change func(*Declared)) Declared {
		d := declares("new", "A", "B")
		change(&d)
		return d
	}
	unnamed := with(func(d *Declared) { d.Stream.Name = nil })
	r := newRig(t, declaring(declares("s", "A")))
	r.chain.mine("A")
	r.live("s").finish(nil)
	r.stored(r.listener("s", "A").ID.String(), "000000000002/000000/000000")
	r.stream("by hand", suspended)
	for want, list := range map[string][]Declared{
		`streams[0].name is missing: give a name`:                                                  {unnamed},
		`streams[1].name is "by hand", which is taken by a stream that was not declared here (id `: {declares("s", "A"), declares("by hand")},
		`streams[1].name is "s", and so is that of streams[0]`:                                     {declares("s", "A"), declares("s")},
		`streams[0].batchSize is 0: must be 1 to 10000`:                                            {with(func(d *Declared) { d.Stream.BatchSize = ptr(uint64(0)) })},
		`streams[0].errorHandling is "drop": must be "block" or "skip"`:                            {with(func(d *Declared) { d.Stream.ErrorHandling = ptr("drop") })},
		`streams[0].batchTimeout is -1ms: must be`:                                                 {with(func(d *Declared) { d.Stream.BatchTimeout = ptr(ms(-1)) })},
		`streams[0].type is "smoke"`:                                                               {with(func(d *Declared) { d.Stream.Type = ptr("smoke") })},
		`streams[0].listeners[1].name is missing`:                                                  {with(func(d *Declared) { d.Listeners[1].Name = nil })},
		`streams[0].listeners[1].name is "A", and so is that of streams[0].listeners[0]`:           {with(func(d *Declared) { d.Listeners[1].Name = ptr("A") })},
		`streams[0].listeners[1].filters is missing`:                                               {with(func(d *Declared) { d.Listeners[1].Filters = nil })},
		`streams[0].listeners[0].fromBlock: `:                                                      {with(func(d *Declared) { d.Listeners[0].FromBlock = ptr(apitypes.BlockNumber("soon")) })},
		`streams[0].listeners[0].fromBlock is "1", and was "earliest": no change of the configuration moves a position: put "earliest" back; to deliver again from there, ` +
			`POST {"fromBlock":"1"} to /eventstreams/s/listeners/A/reset`: {from("1")},
		`streams[0].listeners[0].filters match other events`: {func() Declared {
			d := declares("s", "A")
			d.Listeners[0].Filters = filters("B")
			return d
		}()},
		`streams[0].listeners[0].toBlock is 1, and the listener begins at block 2`: {with(func(d *Declared) {
			d.Listeners[0].FromBlock, d.Listeners[0].ToBlock = ptr(apitypes.BlockNumber("2")), ptr(apitypes.EndBlock("1"))
		})},
		`streams[0].listeners[0].where cannot be used`: {with(func(d *Declared) { d.Listeners[0].Where = ptr(".[") })},
		`streams[0].listeners[0].type is "smoke"`:      {with(func(d *Declared) { d.Listeners[0].Type = ptr("smoke") })},
	} {
		err := r.refusedStart(append(list, declares("never"))...)
		require.ErrorContains(t, err, want)
		_, err = r.m.Stream(t.Context(), "never")
		require.ErrorIs(t, err, store.ErrNotFound, "nothing is changed: %s", want)
	}
	cp, _ := r.store.checkpoint(r.listener("s", "A").ID.String())
	require.Equal(t, "000000000002/000000/000000", cp.Cursor.String())

	err := r.refusedStart(unnamed, with(func(d *Declared) { d.Stream.BatchSize, d.Stream.BatchTimeout = ptr(uint64(0)), ptr(ms(-1)) }))
	require.ErrorContains(t, err, "streams[0].name")
	require.ErrorContains(t, err, "streams[1].batchSize", "all problems at once")
}

func TestAChainThatIsAwayHoldsUpNoStart(t *testing.T) {
	t.Parallel()
	away := func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Listener" {
				return ffcapi.Errorf(ffcapi.Unavailable, "nobody answers")
			}
			return nil
		}
	}
	r := newRig(t, declaring(declares("s", "A")), func(r *rig) { r.chain.mine("A", "B") })
	r.live("s").finish(nil)
	r.stored(r.listener("s", "A").ID.String(), "000000000002/000000/000000")
	r.chain.set(away)
	changed := declares("s", "A", "B")
	changed.Listeners[0].Options = []byte(`{"x":1}`)
	r.redeclare(changed, declares("other", "A"))
	require.Equal(t, []string{"A: nobody answers", "B: nobody answers"}, r.state("s").PendingListeners)
	require.Equal(t, []string{"A: nobody answers"}, r.state("other").PendingListeners)
	_, err := r.m.ResetListener(t.Context(), "s", "A", nil, false)
	require.ErrorContains(t, err, "nobody answers")
	r.chain.set(func(c *fakeChain) { c.fault = nil })
	r.eventually(func() bool { return r.state("s").PendingListeners == nil && r.state("other").PendingListeners == nil })
	require.JSONEq(t, `{"x":1}`, string(r.listener("s", "A").Options))
	d := r.live("s")
	require.Equal(t, []string{"1/1"}, ids(t, d.Batch), "B from its start, A from its checkpoint")
	d.finish(nil)
	require.Equal(t, []string{"1/0"}, ids(t, r.live("other").Batch))
}

// While a change of a listener waits for the chain, somebody may reset the listener.
func TestAChangeThatWaitedUndoesNoReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(declares("s", "A")), func(r *rig) {
		for range 3 {
			r.chain.mine("A")
		}
	})
	r.live("s").finish(nil)
	s, err := r.m.find("s")
	require.NoError(t, err)
	old, err := r.m.findListener(t.Context(), "s", "A")
	require.NoError(t, err)
	changed := *old
	changed.Options = []byte(`{"x":1}`)
	_, err = r.m.ResetListener(t.Context(), "s", "A", &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("3"))}, false)
	require.NoError(t, err)
	require.NoError(t, r.m.takeIn(t.Context(), s, &declaredListener{old: old, want: &changed}))
	now := r.listener("s", "A")
	require.JSONEq(t, `{"x":1}`, string(now.Options))
	require.Equal(t, apitypes.BlockNumber("3"), *now.FromBlock)
	require.Equal(t, uint64(3), now.Checkpoint.Block)
	require.Equal(t, []string{"3/0"}, ids(t, r.live("s").Batch))
}

func TestAStartThatTheStoreRefusesIsEndedByTheNext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stop()
	r.opts.Declared = []Declared{declares("s", "A")}
	r.store.setFault(func(call string) error {
		if call == "InsertListener" {
			return errTest
		}
		return nil
	})
	m, err := New(r.opts)
	require.NoError(t, err)
	require.ErrorIs(t, m.Start(t.Context()), errTest)
	r.store.setFault(nil)
	r.start()
	require.Equal(t, "A", *r.listener("s", "A").Name, "the next start ends what that one began")
}

func TestCheckDeclaredNeedsNothing(t *testing.T) {
	t.Parallel()
	sinks := newRig(t).opts.Sinks
	require.NoError(t, CheckDeclared(sinks, []Declared{declares("s", "A")}))
	bad := declares("s")
	bad.Listeners = append(bad.Listeners, &apitypes.Listener{Name: ptr("l"), Type: ptr("transactions"), Filters: filters("A")})
	err := CheckDeclared(sinks, []Declared{bad})
	require.ErrorContains(t, err, "streams[0].listeners[0].filters[0]")
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
}
