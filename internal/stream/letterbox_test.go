package stream

import (
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestDeadLettersAreShownReplayedAndDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	stream, listener := r.setAside(4)
	list := func(sel apitypes.DeadLetterSelection, limit int) (blocks string) {
		t.Helper()
		letters, err := r.m.DeadLetters(ctx, "s", &sel, limit)
		require.NoError(t, err)
		for _, l := range letters {
			require.Empty(t, l.Event)
			require.Equal(t, []string{stream, listener, "l"}, []string{l.StreamID, l.ListenerID, l.ListenerName})
			blocks += l.BlockNumber
		}
		return blocks
	}
	all, err := r.m.DeadLetters(ctx, stream, &apitypes.DeadLetterSelection{}, 0)
	require.NoError(t, err)
	require.Equal(t, "1234", list(apitypes.DeadLetterSelection{}, 0))
	require.Equal(t, "12", list(apitypes.DeadLetterSelection{}, 2))
	require.Equal(t, "34", list(apitypes.DeadLetterSelection{After: all[1].Sequence, Listener: "l"}, 0))
	require.Equal(t, "1", list(apitypes.DeadLetterSelection{Before: all[1].Sequence, Listener: listener, Kind: "Permanent"}, 0))
	one, err := r.m.DeadLetter(ctx, "s", all[2].ID)
	require.NoError(t, err)
	require.Contains(t, string(one.Event), `"blockNumber":"3"`)

	asked, err := r.m.ReplayDeadLetter(ctx, "s", all[2].ID)
	require.NoError(t, err)
	require.NotNil(t, asked.ReplayRequested)
	r.live("s").finish(nil)
	r.eventually(func() bool { return list(apitypes.DeadLetterSelection{}, 0) == "124" })
	n, err := r.m.ReplayDeadLetters(ctx, "s", &apitypes.DeadLetterSelection{After: all[2].Sequence})
	require.NoError(t, err)
	require.Equal(t, int64(1), n.Count)
	r.live("s").finish(nil)
	r.eventually(func() bool { return list(apitypes.DeadLetterSelection{}, 0) == "12" })

	require.NoError(t, r.m.DeleteListener(ctx, "s", listener))
	require.Equal(t, "12", list(apitypes.DeadLetterSelection{Listener: listener}, 0), "dead letters outlive their listener")
	require.NoError(t, r.m.DeleteDeadLetter(ctx, "s", all[0].ID))
	require.ErrorIs(t, r.m.DeleteDeadLetter(ctx, "s", all[0].ID), store.ErrNotFound)
	n, err = r.m.DeleteDeadLetters(ctx, "s", &apitypes.DeadLetterSelection{All: true})
	require.NoError(t, err)
	require.Equal(t, int64(1), n.Count)
	require.Empty(t, list(apitypes.DeadLetterSelection{}, 0))
}

func TestWhichDeadLettersMustBeClear(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(1)
	now := fftypes.FFTime(time.Now())
	for want, sel := range map[string]*apitypes.DeadLetterSelection{
		"all is not set: name some":                          {},
		"all is set, and yet not all are selected: leave it": {All: true, Since: &now},
		`after is "x": give the sequence`:                    {After: "x"},
		`before is "0": give the sequence`:                   {Before: "0"},
		`kind is "odd": must be one of permanent, refused`:   {Kind: "odd"},
		`listener is "none": give the name of a listener`:    {Listener: "none"},
	} {
		_, err := r.m.DeleteDeadLetters(t.Context(), "s", sel)
		var invalid *apitypes.Invalid
		require.ErrorAs(t, err, &invalid)
		require.ErrorContains(t, err, want)
		_, err = r.m.ReplayDeadLetters(t.Context(), "s", sel)
		require.ErrorContains(t, err, want)
	}
	letters := r.letters(stream)
	require.Len(t, letters, 1)
	require.True(t, letters[0].ReplayAsked.IsZero())
	for _, id := range []string{"none", letters[0].ID} {
		_, err := r.m.DeadLetter(t.Context(), "other", id)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	_, err := r.m.ReplayDeadLetter(t.Context(), "s", "none")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A dead letter that is replayed may be delivered, and gone, before the answer is given.
func TestAReplayIsAnsweredFromWhatWasRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream, _ := r.setAside(3)
	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	letters := r.letters(stream)
	gone := func(when string) { // the letters are deleted at such a call
		reads := 0
		r.store.setFault(func(call string) error {
			if call == "DeadLetter" {
				reads++
			}
			if call == when || when == "second read" && reads == 2 {
				r.store.letters = nil
			}
			return nil
		})
	}
	gone("second read")
	got, err := r.m.ReplayDeadLetter(t.Context(), "s", letters[0].ID)
	require.NoError(t, err)
	require.Equal(t, letters[0].ID, got.ID)
	require.NotNil(t, got.ReplayRequested)

	for name, asked := range map[string]bool{"asked before": true, "never asked": false} {
		r.store.setFault(nil)
		r.store.mu.Lock()
		l := *letters[1]
		if asked {
			l.ReplayAsked = l.LastFailed
		}
		r.store.letters = []*store.DeadLetter{&l}
		r.store.mu.Unlock()
		gone("AskReplay")
		got, err = r.m.ReplayDeadLetter(t.Context(), "s", l.ID)
		if !asked {
			require.ErrorIs(t, err, store.ErrNotFound, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, fftime(l.LastFailed), got.ReplayRequested)
	}
	r.store.setFault(nil)
}
