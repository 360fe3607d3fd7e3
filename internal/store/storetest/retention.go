package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

var retentionTests = map[string]func(t *testing.T, s store.Store){
	"removes":       retentionRemoves,
	"forgets keys":  retentionForgets,
	"trims the log": retentionTrims,
	"fenced":        retentionFenced,
}

// tomorrow is a time before which everything in these tests happened.
func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

func retentionRemoves(t *testing.T, s store.Store) {
	f, ctx := with(t, s), t.Context()
	labels := map[string]string{"object": "1", "kind": "x"}
	for i := range 6 {
		n := sequenced(fmt.Sprint(i), "alice")
		n.Tx.Labels = labels
		f.accept(n)
	}
	for _, id := range []string{"0", "1", "3"} {
		f.claim(id)
		f.end(id, store.Succeeded)
	}
	f.end("4", store.Failed)
	kept := f.tx("0")

	n, next, err := s.Remove(ctx, s.Fence(), f.tx("0").Created, 0, 100)
	require.NoError(t, err)
	require.Zero(t, n, "ended, but not before that")
	require.Zero(t, next)
	n, _, err = s.Remove(ctx, s.Fence(), f.tx("0").Created.Add(time.Microsecond), 0, 100)
	require.NoError(t, err)
	require.Zero(t, n, "it was accepted before that, and ended later")

	n, next, err = s.Remove(ctx, s.Fence(), tomorrow(), 0, 3)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, f.tx("2").Seq, next)
	n, next, err = s.Remove(ctx, s.Fence(), tomorrow(), next, 4)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Zero(t, next)
	require.Equal(t, "52", f.ids(store.TxFilter{}), "what is open stays")
	require.Equal(t, "52", f.ids(store.TxFilter{Labels: labels}))

	for _, err := range []error{
		second(s.Transaction(ctx, "0")), second(s.Attempts(ctx, "0")), second(s.History(ctx, "0")), second(s.Request(ctx, "0")),
		second(s.Payload(ctx, "0", 1)),
	} {
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	ended, err := s.Ended(ctx, "0")
	require.NoError(t, err)
	require.Equal(t, &store.Tx{
		Seq: kept.Seq, ID: "0", Kind: kept.Kind, Created: kept.Created, Updated: kept.Updated, SubSince: kept.Updated, Status: kept.Status,
		Sub: kept.Sub, Ledger: kept.Ledger, From: kept.From, To: kept.To, Nonce: kept.Nonce, Hash: kept.Hash,
	}, ended)
	_, err = s.Ended(ctx, "2")
	require.ErrorIs(t, err, store.ErrNotFound, "it is not removed")
	_, err = s.Ended(ctx, "none")
	require.ErrorIs(t, err, store.ErrNotFound)

	_, hash, err := s.Key(ctx, "0")
	require.NoError(t, err)
	require.Equal(t, hashOf("0"), hash)
	used, err := s.Keys(ctx, []string{"0"})
	require.NoError(t, err)
	require.Equal(t, map[string]store.UsedKey{"0": {Tx: "0", BodyHash: hashOf("0")}}, used)
	a, err := s.Accept(ctx, s.Fence(), sequenced("0", "alice"))
	require.NoError(t, err)
	require.True(t, a.Replay)
	require.Equal(t, ended, a.Tx)
	other := sequenced("0", "alice")
	other.BodyHash = hashOf("other")
	_, err = s.Accept(ctx, s.Fence(), other)
	require.ErrorIs(t, err, store.ErrKeyReused)
	newest, _, err := s.NewestNonce(ctx, "main", "alice")
	require.NoError(t, err)
	require.EqualValues(t, 5, newest)
	require.EqualValues(t, 6, *f.accept(sequenced("new", "alice")).Nonce, "no nonce is given out twice")
}

func second[T any](_ T, err error) error { return err }

func retentionForgets(t *testing.T, s store.Store) {
	f, ctx := with(t, s), t.Context()
	for _, id := range []string{"kept", "removed", "promised", "revived"} {
		n := newTx(id)
		n.KeyExpires = time.Now().Add(-time.Second)
		if id == "promised" {
			n.KeyExpires = time.Now().Add(time.Hour)
		}
		f.accept(n)
	}
	f.end("removed", store.Failed)
	f.end("promised", store.Succeeded)
	f.end("revived", store.Succeeded)
	n, err := s.ForgetKeys(ctx, s.Fence(), 10)
	require.NoError(t, err)
	require.Zero(t, n, "as long as its transaction is there, a key is known")
	_, _, err = s.Remove(ctx, s.Fence(), tomorrow(), 0, 10)
	require.NoError(t, err)
	first := f.accept(newTx("revived")) // its key has expired, so it is a new one
	n, err = s.ForgetKeys(ctx, s.Fence(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.Ended(ctx, "removed")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Ended(ctx, "revived")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Equal(t, first, f.tx("revived"))
	for _, id := range []string{"kept", "promised", "revived"} {
		_, _, err = s.Key(ctx, id)
		require.NoError(t, err, id)
	}
	f.accept(newTx("removed"))
}

func retentionTrims(t *testing.T, s store.Store) {
	f, ctx := with(t, s), t.Context()
	for i := range 5 {
		f.accept(newTx(fmt.Sprint(i)))
		f.end(fmt.Sprint(i), store.Succeeded)
	}
	log, err := s.Status(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, log, 5)
	for _, c := range []struct {
		upTo    int64
		before  time.Time
		limit   int
		trimmed int
		left    string
	}{
		{math.MaxInt64, log[0].Time, 10, 0, "01234"},
		{0, tomorrow(), 10, 0, "01234"},
		{log[0].Seq, tomorrow(), 10, 1, "1234"},
		{math.MaxInt64, tomorrow(), 2, 2, "34"},
		{math.MaxInt64, tomorrow(), 10, 1, "4"},
		{math.MaxInt64, tomorrow(), 10, 0, "4"},
	} {
		n, err := s.TrimStatus(ctx, s.Fence(), c.upTo, c.before, c.limit)
		require.NoError(t, err)
		require.Equal(t, c.trimmed, n)
		left := ""
		rows, err := s.Status(ctx, 0, 10)
		require.NoError(t, err)
		for _, e := range rows {
			left += e.TxID
		}
		require.Equal(t, c.left, left)
	}
	head, err := s.StatusHead(ctx)
	require.NoError(t, err)
	require.Equal(t, log[4].Seq, head)
}

func retentionFenced(t *testing.T, s store.Store) {
	f, ctx := with(t, s), t.Context()
	n := newTx("a")
	n.KeyExpires = time.Now().Add(-time.Second)
	f.accept(n)
	f.accept(newTx("b"))
	f.end("a", store.Failed)
	f.end("b", store.Failed)
	old := s.Fence()
	old.Generation--
	_, _, err := s.Remove(ctx, old, tomorrow(), 0, 10)
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = s.TrimStatus(ctx, old, math.MaxInt64, tomorrow(), 10)
	require.ErrorIs(t, err, store.ErrFenced)
	_, _, err = s.Remove(ctx, s.Fence(), tomorrow(), 0, 10)
	require.NoError(t, err)
	_, err = s.ForgetKeys(ctx, old, 10)
	require.ErrorIs(t, err, store.ErrFenced)
}
