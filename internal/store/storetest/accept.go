package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

var acceptTests = map[string]func(t *testing.T, s store.Store){
	"stores everything":          acceptStores,
	"all at once, in order":      acceptAllInOrder,
	"keys looked up together":    acceptKeys,
	"one key, many callers":      acceptSameKey,
	"many keys, many callers":    acceptManyKeys,
	"key with another body":      acceptKeyReused,
	"expired key":                acceptExpiredKey,
	"nonces without gap":         acceptNonces,
	"nonce of the node":          acceptNodeNonce,
	"nonce of the caller":        acceptGivenNonce,
	"largest nonces":             acceptLargeNonces,
	"bad item spares neighbours": acceptBadItem,
	"refused fence":              acceptFenced,
	"caller that left":           acceptCallerLeft,
	"bytes are not kept":         acceptCopies,
	"a time to be sent before":   acceptSendBefore,
}

func acceptStores(t *testing.T, s store.Store) {
	f := with(t, s)
	n := newTx("a")
	n.Tx.Fee, n.Tx.Due = []byte(`{"gas":"5"}`), time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	before := time.Now().Add(-time.Second)
	got := f.accept(n)
	require.Positive(t, got.Seq)
	require.Equal(t, int64(1), got.Version)
	require.Equal(t, store.Pending, got.Status)
	require.Equal(t, store.SubPrepared, got.Sub)
	require.Equal(t, 1, got.Attempt)
	require.Equal(t, "hash-a", got.Hash)
	require.True(t, got.Created.After(before))
	require.Equal(t, time.UTC, got.Created.Location())
	require.Equal(t, got.Created, got.SubSince)
	require.Nil(t, got.Nonce)
	require.Equal(t, got, f.tx("a"))

	require.Equal(t, []*store.Attempt{{
		Tx: "a", Number: 1, Ledger: "main", State: store.AttemptPrepared, Hash: "hash-a", From: "alice", Expires: 7, Exclusive: "x-a",
		ConflictKeys: []string{"k1", "k2"},
	}}, f.attempts("a"))
	p, err := s.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, &n.Payload, p)
	r, err := s.Request(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, n.Request, r)
	require.Equal(t, []store.History{{Sub: store.SubReceived, Action: "Accept", Time: got.Created, Last: got.Created, Count: 1}}, f.history("a"))
	tx, hash, err := s.Key(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "a", tx)
	require.Equal(t, n.BodyHash, hash)

	log, err := s.Status(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, log, "the answer says it")
}

func acceptSameKey(t *testing.T, s store.Store) {
	f := with(t, s)
	var fresh atomic.Int64
	var mu sync.Mutex
	seqs := map[int64]bool{}
	parallel(100, func(int) {
		a, err := s.Accept(t.Context(), s.Fence(), sequenced("same", "alice"))
		if err != nil {
			t.Error(err)
			return
		}
		if !a.Replay {
			fresh.Add(1)
		}
		mu.Lock()
		defer mu.Unlock()
		seqs[a.Tx.Seq] = true
	})
	require.Equal(t, int64(1), fresh.Load())
	require.Len(t, seqs, 1)
	n, _, err := s.NewestNonce(t.Context(), "main", "alice")
	require.NoError(t, err)
	require.Zero(t, n, "a replay is not numbered")
	count, err := s.CountOpen(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Len(t, f.attempts("same"), 1)
}

func acceptManyKeys(t *testing.T, s store.Store) {
	const keys, posts = 50, 50
	var fresh atomic.Int64
	parallel(posts, func(p int) {
		parallel(keys, func(k int) {
			a, err := s.Accept(t.Context(), s.Fence(), sequenced(fmt.Sprintf("k%d", (p+k)%keys), "alice"))
			if err != nil {
				t.Error(err)
				return
			}
			if !a.Replay {
				fresh.Add(1)
			}
		})
	})
	require.Equal(t, int64(keys), fresh.Load())
	requireNonces(t, s, "alice", keys)
}

// requireNonces checks that a signer has exactly the nonces 0 to n-1, in order of acceptance.
func requireNonces(t *testing.T, s store.Store, signer string, n int) {
	t.Helper()
	txs, err := s.List(t.Context(), store.TxFilter{Signer: signer, Ascending: true})
	require.NoError(t, err)
	require.Len(t, txs, n)
	for i, tx := range txs {
		require.NotNil(t, tx.Nonce)
		require.Equal(t, uint64(i), *tx.Nonce)
	}
}

func acceptKeyReused(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(sequenced("a", "alice"))
	other := sequenced("a", "alice")
	other.BodyHash = hashOf("other")
	_, err := s.Accept(t.Context(), s.Fence(), other)
	require.ErrorIs(t, err, store.ErrKeyReused)
	requireNonces(t, s, "alice", 1)

	// Both bodies at once, on a key that is new: one of them wins, everybody with its body sees its transaction.
	var won, reused atomic.Int64
	parallel(20, func(i int) {
		n := sequenced("b", "alice")
		n.BodyHash = hashOf(fmt.Sprint(i % 2))
		switch _, err := s.Accept(t.Context(), s.Fence(), n); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, store.ErrKeyReused):
			reused.Add(1)
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int64(10), won.Load())
	require.Equal(t, int64(10), reused.Load())
	requireNonces(t, s, "alice", 2)
}

func acceptExpiredKey(t *testing.T, s store.Store) {
	n := newTx("a")
	n.KeyExpires = time.Now().Add(-time.Hour)
	with(t, s).accept(n)
	_, _, err := s.Key(t.Context(), "a")
	require.NoError(t, err, "its transaction is there")
	a, err := s.Accept(t.Context(), s.Fence(), n)
	require.NoError(t, err)
	require.True(t, a.Replay)
	_, _, err = s.Key(t.Context(), "never")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func acceptNonces(t *testing.T, s store.Store) {
	signers := []string{"alice", "bob", "carol"}
	parallel(90, func(i int) {
		if _, err := s.Accept(t.Context(), s.Fence(), sequenced(fmt.Sprintf("t%d", i), signers[i%3])); err != nil {
			t.Error(err)
		}
	})
	for _, signer := range signers {
		requireNonces(t, s, signer, 30)
		n, at, err := s.NewestNonce(t.Context(), "main", signer)
		require.NoError(t, err)
		require.Equal(t, uint64(29), n)
		require.WithinDuration(t, time.Now(), at, limit)
	}
	_, _, err := s.NewestNonce(t.Context(), "main", "dave")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, _, err = s.NewestNonce(t.Context(), "other", "alice")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func acceptNodeNonce(t *testing.T, s store.Store) {
	f := with(t, s)
	next := func(id string, node uint64) uint64 {
		n := sequenced(id, "alice")
		n.NodeNext = &node
		return *f.accept(n).Nonce
	}
	require.Equal(t, uint64(5), next("a", 5))
	require.Equal(t, uint64(6), next("b", 3), "behind ours")
	require.Equal(t, uint64(9), next("c", 9), "ahead of ours")
	require.Equal(t, uint64(10), *f.accept(sequenced("d", "alice")).Nonce)
	require.Equal(t, uint64(10), *f.attempts("d")[0].Nonce)
}

func acceptGivenNonce(t *testing.T, s store.Store) {
	f := with(t, s)
	given := func(id string, nonce uint64) error {
		n := sequenced(id, "alice")
		n.Tx.Nonce = &nonce
		_, err := s.Accept(t.Context(), s.Fence(), n)
		return err
	}
	require.NoError(t, given("a", 4), "the first one may be any")
	require.ErrorIs(t, given("b", 4), store.ErrConflict)
	require.ErrorIs(t, given("b", 3), store.ErrConflict)
	require.ErrorIs(t, given("b", 6), store.ErrConflict)
	_, _, err := s.Key(t.Context(), "b")
	require.ErrorIs(t, err, store.ErrNotFound, "a refused one leaves no key")
	require.NoError(t, given("b", 5))
	require.NoError(t, given("b", 5), "a replay")
	require.Equal(t, uint64(6), *f.accept(sequenced("c", "alice")).Nonce)
}

func acceptLargeNonces(t *testing.T, s store.Store) {
	f := with(t, s)
	n := sequenced("a", "alice")
	top := uint64(math.MaxInt64)
	n.NodeNext = &top
	require.Equal(t, top, *f.accept(n).Nonce)
	require.Equal(t, top+1, *f.accept(sequenced("b", "alice")).Nonce)
	require.Equal(t, top+1, *f.tx("b").Nonce)
	last := uint64(math.MaxUint64)
	n = sequenced("c", "alice")
	n.NodeNext = &last
	_, err := s.Accept(t.Context(), s.Fence(), n)
	require.ErrorIs(t, err, store.ErrConflict)
	got, _, err := s.NewestNonce(t.Context(), "main", "alice")
	require.NoError(t, err)
	require.Equal(t, top+1, got)
}

func acceptBadItem(t *testing.T, s store.Store) {
	bad := []func(n *store.NewTx) error{
		func(n *store.NewTx) error { n.Tx.ID = "nul\x00byte"; return store.ErrInvalid },
		func(n *store.NewTx) error { n.Tx.ID = ""; return store.ErrInvalid },
		func(n *store.NewTx) error { n.Tx.ID = strings.Repeat("x", 100_000); return store.ErrInvalid },
		func(n *store.NewTx) error { n.Tx.From = "not \xff utf8"; return store.ErrInvalid },
		func(n *store.NewTx) error { n.Tx.From = strings.Repeat("y", 5000); return store.ErrInvalid },
		func(n *store.NewTx) error { u := uint64(1000); n.Tx.Nonce = &u; return store.ErrConflict },
		func(n *store.NewTx) error { n.Request = []byte(`{"a":"` + "\xff\x00" + `"}`); return nil },
		func(n *store.NewTx) error { n.Request = []byte(`{"a":"\u0000"}`); return nil },
		func(n *store.NewTx) error { n.Payload.Prepared = slices.Repeat([]byte{0xff, 0}, 500_000); return nil },
	}
	f := with(t, s)
	f.accept(sequenced("first", "alice"))
	var mu sync.Mutex
	good := 1
	parallel(90, func(i int) {
		n := sequenced(fmt.Sprintf("t%d", i), "alice")
		want := error(nil)
		if i%5 == 0 {
			want = bad[(i/5)%len(bad)](n)
		}
		_, err := s.Accept(t.Context(), s.Fence(), n)
		if !errors.Is(err, want) {
			t.Errorf("item %d: %v, want %v", i, err, want)
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			good++
		}
	})
	requireNonces(t, s, "alice", good)
	r, err := s.Request(t.Context(), "t35")
	require.NoError(t, err)
	require.JSONEq(t, `{"a":"\u0000"}`, string(r))
}

func acceptFenced(t *testing.T, s store.Store) {
	f := with(t, s)
	stale := s.Fence()
	stale.Generation--
	_, err := s.Accept(t.Context(), stale, newTx("a"))
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = s.Accept(t.Context(), store.Fence{Lease: "unknown", Generation: 1}, newTx("a"))
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = s.Transaction(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, _, err = s.Key(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	f.accept(newTx("a"))

	// In one group with good ones, and of the same key: only the good ones count.
	var ok, fenced atomic.Int64
	parallel(40, func(i int) {
		fence := s.Fence()
		if i%2 == 0 {
			fence = stale
		}
		switch _, err := s.Accept(t.Context(), fence, sequenced("b", "bob")); {
		case err == nil:
			ok.Add(1)
		case errors.Is(err, store.ErrFenced):
			fenced.Add(1)
		default:
			t.Error(err)
		}
	})
	require.Equal(t, int64(20), ok.Load())
	require.Equal(t, int64(20), fenced.Load())
	requireNonces(t, s, "bob", 1)
}

func acceptCallerLeft(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Accept(ctx, s.Fence(), newTx("a"))
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	// Whatever became of it, the same key can be accepted.
	_, err = s.Accept(t.Context(), s.Fence(), newTx("a"))
	require.NoError(t, err)
}

func acceptSendBefore(t *testing.T, s store.Store) {
	n := newTx("a")
	n.Attempt.SendBefore = time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)
	f := with(t, s)
	tx := f.accept(n)
	require.Equal(t, n.Attempt.SendBefore, f.attempts("a")[0].SendBefore)
	f.update(&store.TxUpdate{Tx: tx, Attempts: f.attempts("a")})
	require.Equal(t, n.Attempt.SendBefore, f.attempts("a")[0].SendBefore)
}

func acceptCopies(t *testing.T, s store.Store) {
	n := newTx("a")
	n.Tx.Fee = []byte(`{"gas":"5"}`)
	got := with(t, s).accept(n)
	for _, b := range [][]byte{n.Request, n.Tx.Fee, n.Payload.Prepared, n.Payload.Sensitive, n.Payload.Result} {
		for i := range b {
			b[i] = 'X'
		}
	}
	require.JSONEq(t, `{"gas":"5"}`, string(got.Fee))
	r, err := s.Request(t.Context(), "a")
	require.NoError(t, err)
	require.JSONEq(t, `{"to":"assets"}`, string(r))
	p, err := s.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, []byte("secret"), p.Sensitive)
}
