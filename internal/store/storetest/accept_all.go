package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

// Nonces follow the order of the call, across signers, refusals and groups.
func acceptAllInOrder(t *testing.T, s store.Store) {
	f := with(t, s)
	const n = 700 // more than a group takes
	old := f.accept(sequenced("old", "alice"))
	var ns []*store.NewTx
	for i := range n {
		ns = append(ns, sequenced(fmt.Sprintf("n%d", i), []string{"alice", "bob"}[i%2]))
	}
	gap := uint64(5000)
	ns[10].Tx.Nonce = &gap
	ns[20].Tx.From = string(make([]byte, 1<<20)) // cannot be stored
	ns[30] = sequenced("old", "alice")
	ns[40] = sequenced("old", "alice")
	ns[40].BodyHash = hashOf("another")
	answers := s.AcceptAll(t.Context(), f.Fence(), ns)
	require.Len(t, answers, n)
	next := map[string]uint64{"alice": *old.Nonce + 1}
	for i, a := range answers {
		switch i {
		case 10:
			require.ErrorIs(t, a.Err, store.ErrConflict)
		case 20:
			require.ErrorIs(t, a.Err, store.ErrInvalid)
		case 30:
			require.NoError(t, a.Err)
			require.True(t, a.Accepted.Replay)
			require.Equal(t, old.Seq, a.Accepted.Tx.Seq)
		case 40:
			require.ErrorIs(t, a.Err, store.ErrKeyReused)
		default:
			require.NoError(t, a.Err, i)
			tx := a.Accepted.Tx
			require.Equal(t, ns[i].Tx.ID, tx.ID)
			require.Equal(t, next[tx.From], *tx.Nonce, i)
			next[tx.From]++
		}
	}
	require.Empty(t, s.AcceptAll(t.Context(), f.Fence(), nil))
	fenced := s.AcceptAll(t.Context(), store.Fence{Generation: -1}, []*store.NewTx{newTx("z")})
	require.ErrorIs(t, fenced[0].Err, store.ErrFenced)
}

func acceptKeys(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	expiring := newTx("b")
	expiring.KeyExpires = time.Now().Add(-time.Hour)
	f.accept(expiring)
	used, err := s.Keys(t.Context(), []string{"a", "b", "c", "a"})
	require.NoError(t, err)
	require.Equal(t, map[string]store.UsedKey{
		"a": {Tx: "a", BodyHash: hashOf("a")}, "b": {Tx: "b", BodyHash: hashOf("b")},
	}, used, "a key is kept as long as its transaction")
	used, err = s.Keys(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, used)
}
