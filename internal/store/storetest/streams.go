package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

var streamTests = map[string]func(t *testing.T, s store.Store){
	"streams":             streamsStored,
	"names are unique":    streamNames,
	"one of many inserts": streamRace,
	"listeners":           listenersStored,
	"deleted with all":    streamDeleted,
	"epochs":              streamEpochs,
	"checkpoints":         checkpointsStored,
	"positions":           positionsTold,
	"reset":               checkpointReset,
}

func newStream(id string) *store.Stream {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &store.Stream{
		ID: id, Name: "name-" + id, Created: at, Updated: at, Suspended: true, Type: "websocket", ErrorHandling: "block",
		BatchSize: 50, BatchTimeout: time.Second, RetryTimeout: time.Minute, BlockedRetryDelay: time.Hour, Confirmations: new(7),
		Sink: json.RawMessage(`{"topic":"<t&>"}`), DeadLetter: &store.SinkConfig{Type: "kafka", Config: json.RawMessage(`{"topic":"dead"}`)},
	}
}

func newListener(id, stream string) *store.Listener {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &store.Listener{
		Where: ".a", Transform: ".b",
		ID: id, StreamID: stream, Name: "name-" + id, Type: "events", Created: at, Updated: at, FromBlock: "latest", ToBlock: new(uint64(math.MaxUint64)),
		Filters: []json.RawMessage{[]byte(`{"event":"A"}`), []byte(`{"event":"<B>"}`)}, Options: json.RawMessage(`{"o":"\u0000"}`), DeclaredFrom: "earliest", Undeclared: true,
		Resolved: ffcapi.Listener{
			Ledger: "main", Key: "k", Signature: "assets:A", Start: ffcapi.Cursor{Block: math.MaxUint64, Tx: 2, Log: 3},
			Resolved: json.RawMessage(`[1,2]`),
		},
	}
}

func (f *fixture) insertStream(id string, listeners ...string) {
	f.t.Helper()
	require.NoError(f.t, f.InsertStream(f.t.Context(), newStream(id)))
	for _, l := range listeners {
		require.NoError(f.t, f.InsertListener(f.t.Context(), newListener(l, id)))
	}
}

func streamsStored(t *testing.T, s store.Store) {
	ctx := t.Context()
	a := newStream("a")
	require.NoError(t, s.InsertStream(ctx, a))
	require.Positive(t, a.Seq)
	for _, by := range []string{"a", "name-a"} {
		got, err := s.Stream(ctx, by)
		require.NoError(t, err)
		require.Equal(t, a, got)
	}
	a.Name, a.Suspended, a.Sink, a.BatchSize, a.Updated = "renamed", false, nil, 0, a.Updated.Add(time.Hour)
	a.SuspendedReason, a.Declared, a.Undeclared, a.DeadLetter = "gone", true, true, nil
	a.Type, a.ErrorHandling, a.BatchTimeout, a.RetryTimeout, a.BlockedRetryDelay = "webhooks", "skip", 0, 1, 2
	a.Confirmations = new(0)
	require.NoError(t, s.UpdateStream(ctx, a))
	got, err := s.Stream(ctx, "renamed")
	require.NoError(t, err)
	require.Equal(t, a, got)
	require.ErrorIs(t, s.UpdateStream(ctx, newStream("none")), store.ErrNotFound)
	require.ErrorIs(t, s.DeleteStream(ctx, "none"), store.ErrNotFound)

	// A stream that is called like another's id is found under its own id only.
	b := newStream("b")
	b.Name = "a"
	require.NoError(t, s.InsertStream(ctx, b))
	got, err = s.Stream(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "a", got.ID)
	for i := range 5 {
		require.NoError(t, s.InsertStream(ctx, newStream(fmt.Sprint(i))))
	}
	var ids string
	for after := int64(0); ; {
		page, err := s.Streams(ctx, after, 3)
		require.NoError(t, err)
		for _, st := range page {
			ids, after = ids+st.ID, st.Seq
		}
		if len(page) < 3 {
			break
		}
	}
	require.Equal(t, "ab01234", ids)
}

func streamNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "la")
	f.insertStream("b", "lb")
	sameID, sameName := newStream("a"), newStream("c")
	sameID.Name, sameName.Name = "fresh", "name-b"
	require.ErrorIs(t, s.InsertStream(ctx, sameID), store.ErrConflict)
	require.ErrorIs(t, s.InsertStream(ctx, sameName), store.ErrConflict)
	b, err := s.Stream(ctx, "b")
	require.NoError(t, err)
	b.Name = "name-a"
	require.ErrorIs(t, s.UpdateStream(ctx, b), store.ErrConflict)
	b.Name = "name-b"
	require.NoError(t, s.UpdateStream(ctx, b), "its own name")

	dup := newListener("lc", "a")
	dup.Name = "name-la"
	require.ErrorIs(t, s.InsertListener(ctx, dup), store.ErrConflict)
	dup.StreamID = "b"
	require.NoError(t, s.InsertListener(ctx, dup), "unique in its stream only")
	require.ErrorIs(t, s.InsertListener(ctx, newListener("la", "b")), store.ErrConflict, "the id")
	require.ErrorIs(t, s.InsertListener(ctx, newListener("ld", "none")), store.ErrNotFound)
	dup.Name = "name-lb"
	require.ErrorIs(t, s.UpdateListener(ctx, dup), store.ErrConflict)
	require.ErrorIs(t, s.UpdateListener(ctx, newListener("none", "a")), store.ErrNotFound)
	require.ErrorIs(t, s.DeleteListener(ctx, "none"), store.ErrNotFound)
}

func streamRace(t *testing.T, s store.Store) {
	var won, lost atomic.Int64
	parallel(20, func(i int) {
		st := newStream(fmt.Sprint(i))
		st.Name = "same"
		switch err := s.InsertStream(t.Context(), st); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, store.ErrConflict):
			lost.Add(1)
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int64(1), won.Load())
	require.Equal(t, int64(19), lost.Load())
}

func listenersStored(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a")
	f.insertStream("b", "other")
	l := newListener("l", "a")
	require.NoError(t, s.InsertListener(ctx, l))
	require.Positive(t, l.Seq)
	got, err := s.Listener(ctx, "l")
	require.NoError(t, err)
	require.Equal(t, l, got)
	l.Name, l.FromBlock, l.ToBlock, l.Filters, l.Options, l.Updated = "renamed", "0", nil, nil, nil, l.Updated.Add(time.Hour)
	l.Where, l.Transform = "", ".c"
	l.Resolved = ffcapi.Listener{Key: "k2", Start: ffcapi.BlockStart(4)}
	require.NoError(t, s.UpdateListener(ctx, l))
	got, err = s.Listener(ctx, "l")
	require.NoError(t, err)
	require.Equal(t, l, got)
	for i := range 4 {
		require.NoError(t, s.InsertListener(ctx, newListener(fmt.Sprint(i), "a")))
	}
	ids := func(stream string, after int64, limit int) (ids string) {
		page, err := s.Listeners(ctx, stream, after, limit)
		require.NoError(t, err)
		for _, l := range page {
			ids += l.ID
		}
		return ids
	}
	require.Equal(t, "l0123", ids("a", 0, 0))
	require.Equal(t, "l01", ids("a", 0, 3))
	require.Equal(t, "0123", ids("a", l.Seq, 10))
	require.Equal(t, "otherl0123", ids("", 0, 0))
	require.NoError(t, s.DeleteListener(ctx, "1"))
	require.Equal(t, "l023", ids("a", 0, 0))
	_, err = s.Listener(ctx, "1")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func checkpoint(listener string, block uint64) store.Checkpoint {
	return store.Checkpoint{
		Listener: listener, Cursor: ffcapi.Cursor{Block: block, Tx: math.MaxUint64, Log: 1},
		Block: ffcapi.BlockRef{Number: block + 1, Hash: "h"}, Updated: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC),
	}
}

func streamDeleted(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "l1", "l2")
	f.insertStream("b", "l3")
	for stream, l := range map[string]string{"a": "l1", "b": "l3"} {
		epoch, err := s.NewEpoch(ctx, s.Fence(), stream)
		require.NoError(t, err)
		require.NoError(t, s.WriteCheckpoints(ctx, s.Fence(), stream, epoch, []store.Checkpoint{checkpoint(l, 1)}))
	}
	require.NoError(t, s.DeleteStream(ctx, "a"))
	_, err := s.Stream(ctx, "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	all, err := s.Listeners(ctx, "", 0, 0)
	require.NoError(t, err)
	require.Len(t, all, 1)
	f.insertStream("a", "l1")
	cps, err := s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Empty(t, cps)
	cps, err = s.Checkpoints(ctx, "b")
	require.NoError(t, err)
	require.Len(t, cps, 1)
	require.ErrorIs(t, s.WriteCheckpoints(ctx, s.Fence(), "gone", 1, nil), store.ErrFenced)
}

func streamEpochs(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "l")
	e1, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	require.NoError(t, s.WriteCheckpoints(ctx, s.Fence(), "a", e1, []store.Checkpoint{checkpoint("l", 1)}))
	e2, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	require.Equal(t, e1+1, e2)
	require.ErrorIs(t, s.WriteCheckpoints(ctx, s.Fence(), "a", e1, []store.Checkpoint{checkpoint("l", 2)}), store.ErrFenced, "late")
	cps, err := s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []store.Checkpoint{checkpoint("l", 1)}, cps)
	st, err := s.Stream(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, e2, st.Epoch)
	require.NoError(t, s.UpdateStream(ctx, &store.Stream{ID: "a", Name: "n", Epoch: 77}))
	st, err = s.Stream(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, e2, st.Epoch, "only NewEpoch raises it")

	stale := s.Fence()
	stale.Generation--
	_, err = s.NewEpoch(ctx, stale, "a")
	require.ErrorIs(t, err, store.ErrFenced)
	require.ErrorIs(t, s.WriteCheckpoints(ctx, stale, "a", e2, []store.Checkpoint{checkpoint("l", 3)}), store.ErrFenced)
	_, err = s.NewEpoch(ctx, s.Fence(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)

	// Epochs taken at once are all different.
	var taken [20]int64
	parallel(len(taken), func(i int) {
		e, err := s.NewEpoch(ctx, s.Fence(), "a")
		if err != nil {
			t.Error(err)
		}
		taken[i] = e
	})
	seen := map[int64]bool{}
	for _, e := range taken {
		seen[e] = true
	}
	require.Len(t, seen, len(taken))
}

func checkpointsStored(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "l1", "l2", "l3")
	f.insertStream("b", "other")
	epoch, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	write := func(cps ...store.Checkpoint) {
		t.Helper()
		require.NoError(t, s.WriteCheckpoints(ctx, s.Fence(), "a", epoch, cps))
	}
	write(checkpoint("l1", 1), checkpoint("l2", math.MaxUint64-1), checkpoint("gone", 3), checkpoint("other", 4))
	write(checkpoint("l1", 5))
	got, err := s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []store.Checkpoint{checkpoint("l1", 5), checkpoint("l2", math.MaxUint64-1)}, got)
	got, err = s.Checkpoints(ctx, "b")
	require.NoError(t, err)
	require.Empty(t, got)
	older := checkpoint("l1", 6)
	older.Older = []ffcapi.BlockRef{{Number: 6, Hash: "six"}, {Number: 2, Hash: "two"}}
	write(older)
	got, err = s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, older, got[0])
	write(checkpoint("l1", 7))
	got, err = s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, older.Older, got[0].Older, "they stay")
	none := checkpoint("l1", 8)
	none.Older = []ffcapi.BlockRef{}
	write(none)
	got, err = s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Empty(t, got[0].Older)
	require.NoError(t, s.DeleteListener(ctx, "l1"))
	got, err = s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Len(t, got, 1)

	// Many streams at once.
	for i := range 10 {
		f.insertStream(fmt.Sprint("s", i), fmt.Sprint("sl", i))
	}
	parallel(10, func(i int) {
		stream := fmt.Sprint("s", i)
		epoch, err := s.NewEpoch(ctx, s.Fence(), stream)
		for b := range uint64(10) {
			err = errors.Join(err, s.WriteCheckpoints(ctx, s.Fence(), stream, epoch, []store.Checkpoint{checkpoint(fmt.Sprint("sl", i), b)}))
		}
		if err != nil {
			t.Error(err)
		}
	})
	for i := range 10 {
		got, err := s.Checkpoints(ctx, fmt.Sprint("s", i))
		require.NoError(t, err)
		require.Equal(t, []store.Checkpoint{checkpoint(fmt.Sprint("sl", i), 9)}, got)
	}
}

func checkpointReset(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "l", "m")
	epoch, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	require.NoError(t, s.WriteCheckpoints(ctx, s.Fence(), "a", epoch, []store.Checkpoint{checkpoint("l", 1), checkpoint("m", 1)}))
	l, err := s.Listener(ctx, "l")
	require.NoError(t, err)
	l.FromBlock, l.Resolved.Start = "3", ffcapi.BlockStart(3)
	stale := s.Fence()
	stale.Generation--
	require.ErrorIs(t, s.ResetCheckpoints(ctx, stale, []*store.Listener{l}), store.ErrFenced)
	require.NoError(t, s.ResetCheckpoints(ctx, s.Fence(), []*store.Listener{l}))
	require.ErrorIs(t, s.WriteCheckpoints(ctx, s.Fence(), "a", epoch, []store.Checkpoint{checkpoint("l", 9)}), store.ErrFenced, "late")
	cps, err := s.Checkpoints(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []store.Checkpoint{checkpoint("m", 1)}, cps)
	got, err := s.Listener(ctx, "l")
	require.NoError(t, err)
	require.Equal(t, l, got)
	require.ErrorIs(t, s.ResetCheckpoints(ctx, s.Fence(), []*store.Listener{l, newListener("none", "a")}), store.ErrNotFound)
}

func positionsTold(t *testing.T, s store.Store) {
	ctx := t.Context()
	f := with(t, s)
	f.insertStream("a", "l1", "l2")
	f.insertStream("b", "l3")
	f.insertStream("c", "l4")
	f.insertStream("d")
	changes := newListener("l5", "b")
	changes.Type, changes.Resolved.Ledger, changes.Resolved.Start = "transactions", "", ffcapi.Cursor{Block: 9}
	require.NoError(t, s.InsertListener(ctx, changes))
	epoch, err := s.NewEpoch(ctx, s.Fence(), "a")
	require.NoError(t, err)
	cp := checkpoint("l2", 5)
	require.NoError(t, s.WriteCheckpoints(ctx, s.Fence(), "a", epoch, []store.Checkpoint{cp}))
	got, err := s.Positions(ctx, []string{"a", "b", "d", "none"})
	require.NoError(t, err)
	start, to := newListener("l1", "a").Resolved.Start, newListener("l1", "a").ToBlock
	require.ElementsMatch(t, []store.Position{
		{Stream: "a", Type: "events", Ledger: "main", Cursor: start, ToBlock: to}, {Stream: "a", Type: "events", Ledger: "main", Cursor: cp.Cursor, ToBlock: to},
		{Stream: "b", Type: "events", Ledger: "main", Cursor: start, ToBlock: to}, {Stream: "b", Type: "transactions", Cursor: ffcapi.Cursor{Block: 9}, ToBlock: to},
	}, got)
	got, err = s.Positions(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, got)
}
