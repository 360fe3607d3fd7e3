package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

var letterTests = map[string]func(t *testing.T, s store.Store){
	"stored":         lettersStored,
	"once":           lettersOnce,
	"fenced":         lettersFenced,
	"selected":       lettersSelected,
	"replayed":       lettersReplayed,
	"deleted":        lettersDeleted,
	"many":           lettersMany,
	"odd text":       lettersOdd,
	"go with theirs": lettersOfDeleted,
}

func newLetter(id, stream string) *store.DeadLetter {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &store.DeadLetter{
		ID: id, Stream: stream, Listener: "l", ListenerName: "name-l", Replay: "r", Event: "event-" + id, Block: math.MaxUint64,
		Payload: json.RawMessage(`{"id":"\u0000<&>"}`), Kind: store.LetterPermanent, Error: "no", Attempts: 3,
		FirstFailed: at, LastFailed: at.Add(time.Minute),
	}
}

// letters puts in dead letters of a stream and returns its epoch.
func (f *fixture) letters(stream string, all ...*store.DeadLetter) int64 {
	f.t.Helper()
	epoch, err := f.NewEpoch(f.t.Context(), f.Fence(), stream)
	require.NoError(f.t, err)
	require.NoError(f.t, f.PutDeadLetters(f.t.Context(), f.Fence(), stream, epoch, all))
	return epoch
}

// selected are the ids of what a filter selects.
func (f *fixture) selected(flt store.LetterFilter, limit int) (ids string) {
	f.t.Helper()
	list, err := f.ListDeadLetters(f.t.Context(), flt, limit)
	require.NoError(f.t, err)
	for _, l := range list {
		want := f.letter(flt.Stream, l.ID)
		want.Payload = nil
		require.Equal(f.t, want, l)
		ids += l.ID
	}
	return ids
}

func (f *fixture) letter(stream, id string) *store.DeadLetter {
	f.t.Helper()
	l, err := f.DeadLetter(f.t.Context(), stream, id)
	require.NoError(f.t, err)
	return l
}

func lettersStored(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a", "l")
	f.insertStream("b")
	want := newLetter("1", "a")
	f.letters("a", want)
	got := f.letter("a", "1")
	require.Positive(t, got.Seq)
	want.Seq = got.Seq
	require.Equal(t, want, got)
	for _, none := range [][2]string{{"a", "2"}, {"b", "1"}, {"none", "1"}} {
		_, err := s.DeadLetter(t.Context(), none[0], none[1])
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

func lettersOnce(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a")
	first := newLetter("1", "a")
	f.letters("a", first, newLetter("2", "a"))
	_, err := s.AskReplay(t.Context(), s.Fence(), store.LetterFilter{Stream: "a"})
	require.NoError(t, err)
	before := f.letter("a", "1")

	again := newLetter("1", "a")
	again.Kind, again.Error, again.Attempts, again.Payload = store.LetterRefused, "still", 1, json.RawMessage(`2`)
	again.FirstFailed, again.LastFailed = again.FirstFailed.Add(time.Hour), again.LastFailed.Add(time.Hour)
	f.letters("a", again)
	want := *before
	want.Kind, want.Error, want.Payload, want.LastFailed = again.Kind, again.Error, again.Payload, again.LastFailed
	require.Equal(t, &want, f.letter("a", "1"), "its attempts are not fewer, and it is still to be replayed")
	require.Equal(t, "12", f.selected(store.LetterFilter{Stream: "a"}, 0))
	again.Attempts = 9
	f.letters("a", again)
	require.Equal(t, 9, f.letter("a", "1").Attempts)
}

func lettersFenced(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a")
	old := f.letters("a", newLetter("1", "a"))
	now, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	stale := s.Fence()
	stale.Generation--
	late := []*store.DeadLetter{newLetter("2", "a")}
	require.ErrorIs(t, s.PutDeadLetters(ctx, s.Fence(), "a", old, late), store.ErrFenced)
	require.ErrorIs(t, s.PutDeadLetters(ctx, stale, "a", now, late), store.ErrFenced)
	require.ErrorIs(t, s.PutDeadLetters(ctx, s.Fence(), "none", 1, late), store.ErrFenced)
	one := f.letter("a", "1")
	one.Attempts = 100
	require.ErrorIs(t, s.ReturnDeadLetters(ctx, s.Fence(), "a", old, []*store.DeadLetter{one}), store.ErrFenced)
	require.ErrorIs(t, s.DropDeadLetters(ctx, stale, "a", []int64{one.Seq}), store.ErrFenced)
	_, err = s.AskReplay(ctx, stale, store.LetterFilter{Stream: "a"})
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = s.DeleteDeadLetters(ctx, stale, store.LetterFilter{Stream: "a"})
	require.ErrorIs(t, err, store.ErrFenced)
	require.Equal(t, "1", f.selected(store.LetterFilter{Stream: "a"}, 0))
	require.Equal(t, 3, f.letter("a", "1").Attempts)
	require.True(t, f.letter("a", "1").ReplayAsked.IsZero())
}

func lettersSelected(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a")
	f.insertStream("b")
	base := newLetter("", "").LastFailed
	var all []*store.DeadLetter
	for i := range 6 {
		l := newLetter(fmt.Sprint(i), "a")
		l.LastFailed = base.Add(time.Duration(i) * time.Second)
		l.Listener = fmt.Sprint("l", i%2)
		if i >= 3 {
			l.Kind = store.LetterExpression
		}
		all = append(all, l)
	}
	f.letters("a", all...)
	f.letters("b", newLetter("x", "b"))
	seq := func(id string) int64 { return f.letter("a", id).Seq }
	for want, flt := range map[string]store.LetterFilter{
		"012345": {},
		"2345":   {After: seq("1")},
		"01":     {Before: seq("2")},
		"23":     {After: seq("1"), Before: seq("4")},
		"135":    {Listener: "l1"},
		"345":    {Kind: store.LetterExpression},
		"5":      {Kind: store.LetterExpression, Listener: "l1", After: seq("3")},
		"12":     {Since: base.Add(time.Second), Until: base.Add(3 * time.Second)},
		"":       {Listener: "none"},
	} {
		flt.Stream = "a"
		require.Equal(t, want, f.selected(flt, 0), "%+v", flt)
	}
	require.Equal(t, "012", f.selected(store.LetterFilter{Stream: "a"}, 3))
	require.Equal(t, "34", f.selected(store.LetterFilter{Stream: "a", After: seq("2")}, 2))
	require.Equal(t, "x", f.selected(store.LetterFilter{Stream: "b"}, 0))
}

func (f *fixture) replays(stream string, limit int) (ids string) {
	f.t.Helper()
	list, err := f.DeadLettersToReplay(f.t.Context(), stream, limit, math.MaxInt64)
	require.NoError(f.t, err)
	for _, l := range list {
		require.False(f.t, l.ReplayAsked.IsZero())
		ids += l.ID
	}
	return ids
}

// replaysOf are the ids of what is to be replayed and has so many bytes.
func (f *fixture) replaysOf(stream string, size int64) (ids string) {
	f.t.Helper()
	list, err := f.DeadLettersToReplay(f.t.Context(), stream, 0, size)
	require.NoError(f.t, err)
	for _, l := range list {
		require.Equal(f.t, f.letter(stream, l.ID), l)
		ids += l.ID
	}
	return ids
}

func (f *fixture) requireCount(stream string, all, replays int64) {
	f.t.Helper()
	counts, err := f.CountDeadLetters(f.t.Context(), []string{stream, "unknown"})
	require.NoError(f.t, err)
	require.Equal(f.t, store.LetterCount{All: all, Replays: replays}, counts[stream])
	require.NotContains(f.t, counts, "unknown")
}

func lettersReplayed(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a")
	f.insertStream("b")
	epoch := f.letters("a", newLetter("1", "a"), newLetter("2", "a"), newLetter("3", "a"))
	f.letters("b", newLetter("x", "b"))
	require.Empty(t, f.replays("a", 0))
	n, err := s.AskReplay(ctx, s.Fence(), store.LetterFilter{Stream: "a", After: f.letter("a", "1").Seq})
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	require.Equal(t, "23", f.replays("a", 0))
	require.Equal(t, "2", f.replays("a", 1))
	require.Empty(t, f.replays("b", 0))
	f.requireCount("a", 3, 2)
	asked := f.letter("a", "2").ReplayAsked
	n, err = s.AskReplay(ctx, s.Fence(), store.LetterFilter{Stream: "a"})
	require.NoError(t, err)
	require.Equal(t, int64(3), n)
	require.Equal(t, asked, f.letter("a", "2").ReplayAsked, "the first wish counts")
	each := int64(len(newLetter("1", "a").Payload))
	for size, want := range map[int64]string{0: "1", each - 1: "1", each: "1", 2*each - 1: "1", 2 * each: "12", 3 * each: "123"} {
		require.Equal(t, want, f.replaysOf("a", size), size)
	}

	back := f.letter("a", "2")
	gone := *back
	gone.Seq, gone.ID = 1<<40, "gone"
	back.Kind, back.Error, back.Attempts, back.LastFailed = store.LetterRefused, "again", 9, back.LastFailed.Add(time.Hour)
	require.NoError(t, s.ReturnDeadLetters(ctx, s.Fence(), "a", epoch, []*store.DeadLetter{back, &gone}))
	back.ReplayAsked = time.Time{}
	require.Equal(t, back, f.letter("a", "2"))
	require.Equal(t, "13", f.replays("a", 0))

	x := f.letter("b", "x").Seq
	require.NoError(t, s.DropDeadLetters(ctx, s.Fence(), "a", []int64{f.letter("a", "1").Seq, x, 1 << 40}))
	require.Equal(t, "23", f.selected(store.LetterFilter{Stream: "a"}, 0))
	f.requireCount("a", 2, 1)
	f.requireCount("b", 1, 0)
	f.requireCount("none", 0, 0)
}

func lettersDeleted(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a")
	f.insertStream("b")
	f.letters("a", newLetter("1", "a"), newLetter("2", "a"), newLetter("3", "a"))
	f.letters("b", newLetter("x", "b"))
	last := f.letter("a", "3").Seq
	for _, step := range []struct {
		flt  store.LetterFilter
		n    int64
		left string
	}{
		{store.LetterFilter{Stream: "a", Kind: store.LetterRefused}, 0, "123"},
		{store.LetterFilter{Stream: "a", Before: f.letter("a", "2").Seq}, 1, "23"},
		{store.LetterFilter{Stream: "a"}, 2, ""},
		{store.LetterFilter{Stream: "a"}, 0, ""},
	} {
		n, err := s.DeleteDeadLetters(t.Context(), s.Fence(), step.flt)
		require.NoError(t, err)
		require.Equal(t, step.n, n)
		require.Equal(t, step.left, f.selected(store.LetterFilter{Stream: "a"}, 0))
	}
	require.Equal(t, "x", f.selected(store.LetterFilter{Stream: "b"}, 0))
	f.letters("a", newLetter("4", "a"))
	require.Greater(t, f.letter("a", "4").Seq, last, "a place is never taken twice")
}

// lettersMany goes over the bounds of one portion.
func lettersMany(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a")
	const n = 1001
	all := make([]*store.DeadLetter, n)
	for i := range all {
		all[i] = newLetter(fmt.Sprint(i), "a")
	}
	f.letters("a", all...)
	asked, err := s.AskReplay(t.Context(), s.Fence(), store.LetterFilter{Stream: "a"})
	require.NoError(t, err)
	require.Equal(t, int64(n), asked)
	f.requireCount("a", n, n)
	deleted, err := s.DeleteDeadLetters(t.Context(), s.Fence(), store.LetterFilter{Stream: "a", After: f.letter("a", "0").Seq - 1})
	require.NoError(t, err)
	require.Equal(t, int64(n), deleted)
	f.requireCount("a", 0, 0)
}

func lettersOdd(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a")
	odd := newLetter("1", "a")
	odd.Error, odd.Event, odd.ListenerName, odd.Payload = "\xff\x00", "\xff\x00", "\x00", json.RawMessage("\"\xff\"")
	f.letters("a", odd, &store.DeadLetter{ID: "2", Stream: "a", Payload: nil})
	got := f.letter("a", "1")
	require.Equal(t, odd.Payload, got.Payload)
	require.Equal(t, "\uFFFD\uFFFD", got.Error)
	bad := newLetter("\x00", "a")
	epoch, err := s.NewEpoch(t.Context(), s.Fence(), "a")
	require.NoError(t, err)
	require.ErrorIs(t, s.PutDeadLetters(t.Context(), s.Fence(), "a", epoch, []*store.DeadLetter{bad}), store.ErrInvalid)
}

func lettersOfDeleted(t *testing.T, s store.Store) {
	f := with(t, s)
	f.insertStream("a", "l")
	f.insertStream("b")
	f.letters("a", newLetter("1", "a"))
	f.letters("b", newLetter("x", "b"))
	require.NoError(t, s.DeleteListener(t.Context(), "l"))
	require.Equal(t, "1", f.selected(store.LetterFilter{Stream: "a"}, 0), "the only trace of its event")
	require.NoError(t, s.DeleteStream(t.Context(), "a"))
	f.insertStream("a")
	require.Empty(t, f.selected(store.LetterFilter{Stream: "a"}, 0))
	require.Equal(t, "x", f.selected(store.LetterFilter{Stream: "b"}, 0))
}
