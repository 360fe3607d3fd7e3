package stream

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func skips(s *apitypes.EventStream) { s.ErrorHandling = ptr(apitypes.ErrorHandlingSkip) }

// letters are the dead letters of a stream.
func (r *rig) letters(stream string) []*store.DeadLetter {
	r.t.Helper()
	list, err := r.store.list("", 0, func(l *store.DeadLetter) bool { return l.Stream == stream })
	require.NoError(r.t, err)
	return list
}

// ask has all dead letters of a stream replayed.
func (r *rig) ask(stream string) {
	r.t.Helper()
	_, err := r.store.AskReplay(r.t.Context(), store.Fence{}, store.LetterFilter{Stream: stream})
	require.NoError(r.t, err)
	s, err := r.m.find(stream)
	require.NoError(r.t, err)
	signal(s.replay)
}

// setAside makes a stream with a listener and has its first events refused for ever.
func (r *rig) setAside(n int) (stream, listener string) {
	r.t.Helper()
	stream = r.stream("s", skips, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
	listener = r.listen("s", "l", "A")
	for range n {
		r.chain.mine("A")
		r.live("s").finish(errNo)
	}
	r.eventually(func() bool { return len(r.letters(stream)) == n })
	return stream, listener
}

func TestAnEventThatIsSetAsideIsDurableBeforeThePositionMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	away := func(call string) error {
		if call == "PutDeadLetters" {
			return store.ErrUnavailable
		}
		return nil
	}
	r.store.setFault(away)
	stream := r.stream("s", skips)
	l := r.listen("s", "l", "A")
	r.chain.mine("A", "A")
	r.chain.mine("A")
	r.live("s").finish(errNo)
	first := r.live("s")
	require.Equal(t, []string{"1/0"}, ids(t, first.Batch))
	want := string(first.Events[0].JSON)
	first.finish(errNo)
	r.eventually(func() bool { return r.state("s").LastError == store.ErrUnavailable.Error() })
	r.undone(l, "000000000001/000000/000000")
	r.quiet("s")

	r.store.setFault(nil)
	r.live("s").finish(nil)
	d := r.live("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch))
	r.stored(l, "000000000002/000000/000000")
	letters := r.letters(stream)
	require.Len(t, letters, 1)
	got := letters[0]
	require.Equal(t, want, string(got.Payload))
	require.Equal(t, first.Events[0].ID, got.Event)
	require.Equal(t, []any{l, "l", uint64(1), store.LetterPermanent, 2, errTest.Error()}, []any{got.Listener, got.ListenerName, got.Block, got.Kind, got.Attempts, got.Error})
	st := r.state("s")
	require.Equal(t, []any{uint64(1), uint64(1), uint64(0)}, []any{st.DeadLettered, *st.DeadLetters, *st.DeadLetterReplays})
	d.finish(nil)
}

// TestACrashRepeatsNoDeadLetter: the letter is stored, the position is not.
func TestACrashRepeatsNoDeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.setFault(func(call string) error {
		if call == "WriteCheckpoints" {
			return store.ErrUnavailable
		}
		return nil
	})
	stream, l := r.setAside(1)
	id := r.letters(stream)[0].ID
	r.restart()
	r.store.setFault(nil)
	r.live("s").finish(errNo)
	r.stored(l, "000000000002/000000/000000")
	letters := r.letters(stream)
	require.Len(t, letters, 1)
	require.Equal(t, id, letters[0].ID)
	_, err := r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{}, false)
	require.NoError(t, err)
	r.live("s").finish(errNo)
	r.eventually(func() bool { return len(r.letters(stream)) == 2 })
}

func TestAReceiverThatIsGoneSuspendsItsStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.chain.mine("A")
	r.live("s").finish(sink.Gone(errTest))
	r.eventually(func() bool { return r.state("s").State == stateSuspended })
	require.Contains(t, r.state("s").SuspendedReason, errTest.Error())
	r.restart()
	require.Contains(t, r.state("s").SuspendedReason, errTest.Error(), "it is durable")
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	require.Contains(t, r.state("s").SuspendedReason, errTest.Error(), "it was suspended before")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.Empty(t, r.state("s").SuspendedReason)
	r.live("s").finish(nil)
	r.stored(l, "000000000002/000000/000000")
}

// TestGoneWhileTheStoreIsAway goes on instead, until the suspension can be stored.
func TestGoneWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.setFault(func(call string) error {
		if call == "UpdateStream" {
			return store.ErrUnavailable
		}
		return nil
	})
	r.stream("s")
	r.listen("s", "l", "A")
	r.chain.mine("A")
	r.live("s").finish(sink.Gone(errTest))
	again := r.live("s")
	r.store.setFault(nil)
	again.finish(sink.Gone(errTest))
	r.eventually(func() bool { return r.state("s").State == stateSuspended })
}

func TestDeadLettersAreReplayed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(3)
	r.ask(stream)
	for i, want := range []string{"1/0", "2/0", "3/0"} {
		d := r.live("s")
		require.Equal(t, []string{want}, ids(t, d.Batch))
		require.Contains(t, d.Events[0].Listener.Replay, "/", "a broker must not swallow it")
		if i == 1 {
			d.finish(errNack) // at once a dead letter again
			continue
		}
		d.finish(nil)
	}
	r.eventually(func() bool { return len(r.letters(stream)) == 1 })
	left := r.letters(stream)[0]
	require.Equal(t, []any{uint64(2), 2, store.LetterRefused}, []any{left.Block, left.Attempts, left.Kind})
	require.True(t, left.ReplayAsked.IsZero())
	r.chain.mine("A")
	r.live("s").finish(nil)
	r.caughtUp("s")
}

func TestAReplayThatIsRefusedIsCutDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(4)
	_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(10)), ErrorHandling: ptr(apitypes.ErrorHandlingBlock)})
	require.NoError(t, err)
	r.ask(stream)
	d := r.live("s")
	require.Len(t, d.Events, 4)
	d.finish(errNack)
	r.live("s").finish(nil) // the first half
	r.live("s").finish(errNack)
	d = r.live("s")
	require.Equal(t, []string{"3/0"}, ids(t, d.Batch))
	d.finish(errNack)
	r.live("s").finish(nil)
	r.eventually(func() bool { return len(r.letters(stream)) == 1 && r.letters(stream)[0].ReplayAsked.IsZero() })
	require.Equal(t, uint64(3), r.letters(stream)[0].Block)
}

func TestReplaysWaitForAStreamThatIsSuspended(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(2)
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	r.ask(stream)
	r.quiet("s")
	require.Equal(t, uint64(2), *r.state("s").DeadLetterReplays)
	r.restart()
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	r.live("s") // the process ends before it is acknowledged
	r.restart()
	r.live("s").finish(nil)
	r.live("s").finish(nil)
	r.eventually(func() bool { return len(r.letters(stream)) == 0 })
}

func TestReplaysWaitForAReceiver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(1)
	r.factory.of("s").leave()
	reads := make(chan string, 100)
	r.store.setFault(func(call string) error {
		if call == "DeadLettersToReplay" {
			reads <- call
		}
		return nil
	})
	r.ask(stream)
	r.eventually(func() bool { return *r.state("s").DeadLetterReplays == 1 })
	r.quiet("s")
	require.Empty(t, reads)
	r.factory.of("s").come()
	r.live("s").finish(nil)
	r.eventually(func() bool { return len(r.letters(stream)) == 0 })
}

// TestAReplayThatGotThroughDoesNotComeAgain: it is deleted when the run ends, if it could not be before.
func TestAReplayThatGotThroughDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(1)
	fail := true // guarded by the store
	r.store.setFault(func(call string) error {
		if call == "DropDeadLetters" && fail {
			return store.ErrUnavailable
		}
		return nil
	})
	r.ask(stream)
	r.live("s").finish(nil)
	r.eventually(func() bool { return r.state("s").LastError == store.ErrUnavailable.Error() })
	r.store.mu.Lock()
	fail = false
	r.store.mu.Unlock()
	r.restart()
	r.eventually(func() bool { return len(r.letters(stream)) == 0 })
	r.chain.mine("A")
	d := r.live("s")
	require.Equal(t, []string{"2/0"}, ids(t, d.Batch))
	d.finish(nil)
}

func TestAPageOfReplaysIsBounded(t *testing.T) {
	t.Parallel()
	letters := make([]*store.DeadLetter, 4)
	for i := range letters {
		letters[i] = &store.DeadLetter{Payload: []byte(`"12345678"`)}
	}
	for limit, want := range map[int]int{1: 1, 10: 1, 25: 2, 1000: 4} {
		b := replayed(slices.Clone(letters), limit)
		require.Len(t, b.letters, want)
		require.Len(t, b.events, want)
		require.NotContains(t, called(&sink.Batch{Events: b.events, Body: b.buf}), "malformed")
	}
}

// Of many dead letters no more are read than go together, and none but a few twice.
func TestReplaysAreReadOnce(t *testing.T) {
	t.Parallel()
	for name, evaluable := range map[string]bool{"delivered": true, "without an answer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(r *rig) { r.opts.MaxMemory = 8000 })
			const n = 40
			stream, l := r.setAside(n)
			if !evaluable {
				_, err := r.m.UpdateListener(t.Context(), "s", l, &apitypes.Listener{Where: ptr(`error("no")`)})
				require.NoError(t, err)
			}
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(1000))})
			require.NoError(t, err)
			var size int64
			r.store.mu.Lock()
			for _, l := range r.store.letters {
				size += int64(len(l.Payload))
				if !evaluable {
					l.Kind = store.LetterExpression
				}
			}
			r.store.mu.Unlock()
			r.ask(stream)
			for left := n; evaluable && left > 0; {
				d := r.live("s")
				require.LessOrEqual(t, len(d.Body), 8000/4)
				left -= len(d.Events)
				d.finish(nil)
			}
			r.eventually(func() bool { return *r.state("s").DeadLetterReplays == 0 })
			require.LessOrEqual(t, r.store.replayBytes.Load(), 3*size)
			r.caughtUp("s")
			require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
			require.Zero(t, r.memory())
		})
	}
}
