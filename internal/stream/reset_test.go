package stream

import (
	"context"
	"fmt"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func from(at string) *apitypes.Listener {
	return &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber(at))}
}

// A dry run says what a reset would do, and does nothing.
func TestADryRunCountsAndChangesNothing(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	log.addN(1, 9)
	r := newRig(t, withLog(log))
	for range 10 {
		r.chain.mine("A", "B", "A")
	}
	r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(100)) })
	events, blocks, changes := r.listenFrom("s", "1", "A"), r.blockListener("s", "earliest"), r.changes("s", "earliest")
	ended := r.ending("s", "1", "4")

	dry := func(listener, to string) apitypes.ResetResult {
		t.Helper()
		answer, err := r.m.ResetListener(t.Context(), "s", listener, from(to), true)
		require.NoError(t, err)
		require.True(t, answer.Reset.DryRun)
		require.EqualValues(t, to, *answer.FromBlock)
		return *answer.Reset
	}
	result := dry(events, "earliest")
	require.Zero(t, *result.Events, "nothing is delivered yet")
	require.Equal(t, apitypes.ListenerCheckpoint{Block: 1}, *result.From)
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	for n := 0; n < 20+11+9+8; {
		d := r.live("s")
		n += len(d.Events)
		d.finish(nil)
	}
	r.caughtUp("s")
	r.eventually(func() bool { return r.show(ended).Complete })

	for _, c := range []struct {
		listener, to string
		events       uint64
		skips, more  bool
	}{
		{events, "earliest", 20, false, false},
		{events, "8", 6, false, false},
		{events, "8/1/0", 5, false, false},
		{events, "latest", 0, false, false},
		{events, "11", 0, false, false},
		{events, "15", 0, true, true},
		{blocks, "earliest", 11, false, false},
		{blocks, "10", 1, false, false},
		{blocks, "13", 0, true, true},
		{changes, "earliest", 9, false, false},
		{changes, "7", 2, false, false},
		{ended, "3", 4, false, false},
	} {
		result := dry(c.listener, c.to)
		require.Equal(t, c.events, *result.Events, c)
		require.Equal(t, c.skips, result.Skips, c)
		require.Equal(t, c.more, result.AtLeast, c)
	}
	result = dry(events, "8/1/0")
	require.Equal(t, apitypes.ListenerCheckpoint{Block: 11}, *result.From)
	require.Equal(t, apitypes.ListenerCheckpoint{Block: 8, TransactionIndex: 1}, *result.To)
	require.Equal(t, apitypes.ListenerCheckpoint{Sequence: "9"}, *dry(changes, "7").From)

	all, err := r.m.ResetStream(t.Context(), "s", &apitypes.StreamResetRequest{FromBlock: ptr(apitypes.BlockNumber("earliest"))}, true)
	require.NoError(t, err)
	require.Len(t, all.Listeners, 4)
	require.Equal(t, []uint64{20 + 11 + 9 + 8, 0}, []uint64{all.Again, all.PassedOver})
	require.True(t, all.DryRun)
	require.False(t, all.AtLeast)

	r.quiet("s")
	st := r.state("s")
	require.Zero(t, st.Resets)
	require.EqualValues(t, "1", *r.show(events).FromBlock)
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	require.EqualValues(t, 20, *dry(events, "earliest").Events, "also of a stream that does not run")
}

// What a dry run counts is what comes again.
func TestADryRunTellsTheTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 30 {
		r.chain.mine(make([]string, i%4)...)
		r.chain.mine("A", "B", "A")
	}
	r.stream("s")
	l := r.listenFrom("s", "earliest", "A")
	r.takeAt("s", 60)
	for _, to := range []string{"earliest", "7", "20/2/0", "59"} {
		r.caughtUp("s")
		r.eventually(func() bool { return r.show(l).Checkpoint.Block >= 60 })
		dry, err := r.m.ResetListener(t.Context(), "s", l, from(to), true)
		require.NoError(t, err)
		answer, err := r.m.ResetListener(t.Context(), "s", l, from(to), false)
		require.NoError(t, err)
		require.Nil(t, answer.Reset.Events)
		require.Equal(t, dry.Reset.To, answer.Reset.To)
		require.False(t, answer.Reset.Skips)
		require.Len(t, r.takeAt("s", int(*dry.Reset.Events)), int(*dry.Reset.Events), to)
		r.caughtUp("s")
		r.quiet("s")
	}
	require.EqualValues(t, 4, r.state("s").Resets)
}

// A reset forward is allowed, and says so.
func TestAResetForwardPassesOverEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 9 {
		r.chain.mine("A")
	}
	r.stream("s", suspended)
	l := r.listen("s", "l", "A")
	dry, err := r.m.ResetListener(t.Context(), "s", l, from("7"), true)
	require.NoError(t, err)
	require.True(t, dry.Reset.Skips)
	require.EqualValues(t, 6, *dry.Reset.Events)
	all, err := r.m.ResetStream(t.Context(), "s", &apitypes.StreamResetRequest{FromBlock: ptr(apitypes.BlockNumber("latest"))}, true)
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 9}, []uint64{all.Again, all.PassedOver})
	answer, err := r.m.ResetListener(t.Context(), "s", l, from("7"), false)
	require.NoError(t, err)
	require.True(t, answer.Reset.Skips)
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.Equal(t, at(7, 8, 9), r.takeAt("s", 3))
}

// All listeners of a stream are reset at once or, if one cannot be, none; each reset is logged.
func TestAResetOfAStream(t *testing.T) {
	t.Parallel()
	logger, hook := logtest.NewNullLogger()
	log := newFakeLog()
	log.addN(1, 3)
	r := newRig(t, withLog(log), func(r *rig) { r.opts.Log = logrus.NewEntry(logger) })
	for range 5 {
		r.chain.mine("A")
	}
	r.stream("s")
	one := r.listenFrom("s", "2", "A")
	two := r.ending("s", "1", "4")
	r.takeAt("s", 8)
	r.caughtUp("s")
	reset := func(to string) error {
		_, err := r.m.ResetStream(t.Context(), "s", &apitypes.StreamResetRequest{FromBlock: ptr(apitypes.BlockNumber(to))}, false)
		return err
	}
	require.ErrorContains(t, reset("5"), `toBlock is 4, and the listener begins at block 5`)
	require.Error(t, reset("nowhere"))
	r.store.setFault(func(call string) error {
		if call == "ResetCheckpoints" {
			return store.ErrUnavailable
		}
		return nil
	})
	require.ErrorIs(t, reset("3"), store.ErrUnavailable)
	r.store.setFault(nil)
	require.Equal(t, "2 1", fmt.Sprint(*r.show(one).FromBlock, " ", *r.show(two).FromBlock))
	require.Zero(t, r.state("s").Resets)
	r.quiet("s")

	require.NoError(t, reset("3"))
	require.Len(t, r.takeAt("s", 5), 5)
	answer, err := r.m.ResetStream(t.Context(), "s", nil, false)
	require.NoError(t, err)
	require.Len(t, answer.Listeners, 2)
	require.Len(t, r.takeAt("s", 5), 5, "each to its own fromBlock, which was changed before")
	require.EqualValues(t, 4, r.state("s").Resets)
	logged := 0
	for _, e := range hook.AllEntries() {
		if e.Message == "Listener reset" {
			logged++
		}
	}
	require.Equal(t, 4, logged)

	r.changes("s", "latest")
	err = reset("3")
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "fromBlock", inv.Field)
	require.ErrorContains(t, reset("latest"), "toBlock is 4")
	r.patchEnd(two, "none")
	require.NoError(t, reset("latest"))
}

// The effort of a dry run is bounded: what it does not see, it says.
func TestCountingIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 50 {
		r.chain.mine("A", "A")
	}
	r.stream("s", suspended)
	id := r.listen("s", "l", "A")
	l, err := r.store.Listener(t.Context(), id)
	require.NoError(t, err)
	s, err := r.m.find("s")
	require.NoError(t, err)
	def := s.current()
	count := func(ctx context.Context, left uint64) (uint64, bool, error) {
		e, cancel := newEffort(ctx)
		defer cancel()
		e.left = left
		return r.m.count(ctx, e, def, l, ffcapi.Cursor{}, ffcapi.BlockStart(51))
	}
	n, all, err := count(t.Context(), 100_000)
	require.NoError(t, err)
	require.EqualValues(t, 100, n)
	require.True(t, all)
	n, all, err = count(t.Context(), 7)
	require.NoError(t, err)
	require.EqualValues(t, 7, n)
	require.False(t, all)
	n, all, err = count(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, n)
	require.False(t, all)

	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Events" {
				return ffcapi.Errorf(ffcapi.Unavailable, "away")
			}
			return nil
		}
	})
	_, _, err = count(t.Context(), 7)
	require.ErrorContains(t, err, "away")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = count(ctx, 7)
	require.ErrorIs(t, err, context.Canceled)
	_, err = r.m.ResetListener(t.Context(), "s", id, from("40"), true)
	require.ErrorContains(t, err, `counting the events of listener "l"`)
}

// A listener that began at the latest block goes back there, unless it is asked to pass over what came since.
func TestAResetGoesBackToWhereAListenerBegan(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*apitypes.Listener){
		"events": func(l *apitypes.Listener) { l.Filters = filters("A") },
		"blocks": ofTypeBlocks,
		"transactions": func(l *apitypes.Listener) {
			l.Type, l.Filters = ptr(apitypes.ListenerTransactions), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newFakeLog()
			log.addN(1, 4)
			r := newRig(t, withLog(log))
			for range 4 {
				r.chain.mine("A")
			}
			r.stream("s")
			body := &apitypes.Listener{Name: ptr("l")} // latest is the default
			change(body)
			made, err := r.m.CreateListener(t.Context(), "s", body)
			require.NoError(t, err)
			for range 3 {
				r.chain.mine("A")
			}
			log.addN(5, 3)
			want := r.takeAt("s", 3)
			r.hasAll("s")
			reset := map[string]func(dryRun bool) *apitypes.ListenerReset{
				"of the listener": func(dryRun bool) *apitypes.ListenerReset {
					answer, err := r.m.ResetListener(t.Context(), "s", made.ID.String(), nil, dryRun)
					require.NoError(t, err)
					return answer
				},
				"of the stream": func(dryRun bool) *apitypes.ListenerReset {
					answer, err := r.m.ResetStream(t.Context(), "s", nil, dryRun)
					require.NoError(t, err)
					return answer.Listeners[0]
				},
			}
			for _, carryOut := range reset {
				dry := carryOut(true)
				require.EqualValues(t, 3, *dry.Reset.Events)
				require.False(t, dry.Reset.Skips)
				require.EqualValues(t, "latest", *carryOut(false).FromBlock)
				require.Equal(t, want, r.takeAt("s", 3))
				r.hasAll("s")
			}
			answer, err := r.m.ResetListener(t.Context(), "s", made.ID.String(), from("latest"), true)
			require.NoError(t, err)
			require.Zero(t, *answer.Reset.Events, "asked for, it goes to what is the latest now")
		})
	}
}

// hasAll waits until everything of the chain and of the log is acknowledged.
func (r *rig) hasAll(stream string) {
	r.t.Helper()
	r.eventually(func() bool {
		st := r.state(stream)
		return st.LagBlocks != nil && *st.LagBlocks == 0 || st.LagTransactions != nil && *st.LagTransactions == 0
	})
}

// On a shorter chain, which is another one, a listener that began at the latest block begins at the end of that.
func TestAResetOnAShorterChainBeginsAtItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 9 {
		r.chain.mine("A")
	}
	r.stream("s", suspended)
	l := r.listenFrom("s", "latest", "A")
	r.chain.set(func(c *fakeChain) { c.blocks, c.safe = c.blocks[:4], 3 })
	answer, err := r.m.ResetListener(t.Context(), "s", l, nil, false)
	require.NoError(t, err)
	require.EqualValues(t, 4, answer.Reset.To.Block)
}
