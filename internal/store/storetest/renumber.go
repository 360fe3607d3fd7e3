package storetest

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

var renumberTests = map[string]func(t *testing.T, s store.Store){
	"gives a nonce back":        giveBack,
	"gives back or assigns":     giveBackRace,
	"assigns another nonce":     renumber,
	"replaces the request":      replaceRequest,
	"notes progress":            progressed,
	"progress by an outcome":    progressedByOutcome,
	"given back and taken anew": giveBackAgain,
	"of what fills a gap":       giveBackFill,
}

// ended is an update that ends a transaction and gives its nonce back.
func ended(tx *store.Tx) *store.TxUpdate {
	tx.Status, tx.Sub = store.Failed, store.SubCancelled
	return &store.TxUpdate{Tx: tx, GiveBack: true, Announce: true}
}

func giveBack(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(sequenced("a", "alice"))
	f.accept(sequenced("b", "alice"))
	err := s.Update(t.Context(), s.Fence(), ended(f.tx("a")))
	require.ErrorIs(t, err, store.ErrConflict, "a later one was assigned")
	require.Equal(t, store.Pending, f.tx("a").Status)
	f.update(ended(f.tx("b")))
	require.Nil(t, f.tx("b").Nonce)
	require.EqualValues(t, 1, *f.accept(sequenced("c", "alice")).Nonce)
	require.EqualValues(t, 0, *f.accept(sequenced("d", "bob")).Nonce)
}

// giveBackAgain empties a signer's nonces: the next one begins where it began.
func giveBackAgain(t *testing.T, s store.Store) {
	f := with(t, s)
	n := sequenced("a", "alice")
	next := uint64(40)
	n.NodeNext = &next
	require.EqualValues(t, 40, *f.accept(n).Nonce)
	f.update(ended(f.tx("a")))
	require.EqualValues(t, 40, *f.accept(sequenced("b", "alice")).Nonce)
	err := s.Update(t.Context(), s.Fence(), ended(f.tx("a")))
	require.ErrorIs(t, err, store.ErrConflict, "it has ended")

	require.Zero(t, *f.accept(sequenced("c", "bob")).Nonce)
	f.update(ended(f.tx("c")))
	_, _, err = s.NewestNonce(t.Context(), "main", "bob")
	require.ErrorIs(t, err, store.ErrNotFound, "there is none below 0")
	require.Zero(t, *f.accept(sequenced("d", "bob")).Nonce)
}

// giveBackFill: the nonce of what fills a gap was another one's before, so nothing else can get it.
func giveBackFill(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(sequenced("a", "alice"))
	f.end("a", store.Succeeded)
	f.accept(fill("f", "alice", 0))
	err := s.Update(t.Context(), s.Fence(), ended(f.tx("f")))
	require.ErrorIs(t, err, store.ErrConflict)
	require.Equal(t, store.Pending, f.tx("f").Status)
	require.EqualValues(t, 1, *f.accept(sequenced("b", "alice")).Nonce)
}

// giveBackRace: nonces stay without gaps and unique while some are given back and others assigned.
func giveBackRace(t *testing.T, s store.Store) {
	f := with(t, s)
	var back, kept atomic.Int64
	parallel(24, func(i int) {
		id := fmt.Sprint(i)
		if _, err := s.Accept(t.Context(), s.Fence(), sequenced(id, "alice")); err != nil {
			t.Error(err)
			return
		}
		if s.Update(t.Context(), s.Fence(), ended(f.tx(id))) == nil {
			back.Add(1)
		} else {
			kept.Add(1)
		}
	})
	seen := map[uint64]bool{}
	for i := range 24 {
		if n := f.tx(fmt.Sprint(i)).Nonce; n != nil {
			require.False(t, seen[*n])
			seen[*n] = true
		}
	}
	require.Len(t, seen, int(kept.Load()))
	for n := range uint64(len(seen)) {
		require.True(t, seen[n], "nonce %d is a gap", n)
	}
	require.EqualValues(t, len(seen), *f.accept(sequenced("last", "alice")).Nonce)
}

func renumber(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(sequenced("a", "alice"))
	f.accept(sequenced("b", "alice"))
	move := func(nodeNext *uint64) *store.Tx {
		tx, as := f.tx("a"), f.attempts("a")
		old := as[len(as)-1]
		old.State, old.Dead = store.AttemptDone, "nonce lost"
		tx.Attempt++
		fresh := &store.Attempt{Tx: "a", Number: tx.Attempt, Ledger: "main", State: store.AttemptPrepared, From: "alice", Nonce: tx.Nonce}
		u := &store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{old, fresh}, Payload: &store.Payload{Prepared: []byte("p")}, Renumber: true, NodeNext: nodeNext}
		f.update(u)
		require.Equal(t, f.tx("a").Nonce, u.Tx.Nonce, "the caller is told")
		require.Equal(t, u.Tx.Nonce, u.Attempts[1].Nonce)
		return f.tx("a")
	}
	require.EqualValues(t, 2, *move(nil).Nonce, "at the tail")
	next := uint64(7)
	require.EqualValues(t, 7, *move(&next).Nonce, "or where the node is")
	as := f.attempts("a")
	require.Len(t, as, 3)
	for i, want := range []uint64{0, 2, 7} {
		require.Equal(t, want, *as[i].Nonce)
	}
	require.EqualValues(t, 8, *move(new(uint64)).Nonce, "a node that is behind says nothing new")
	require.EqualValues(t, 9, *f.accept(sequenced("c", "alice")).Nonce)
}

func replaceRequest(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	f.update(&store.TxUpdate{Tx: f.tx("a")})
	raw, err := s.Request(t.Context(), "a")
	require.NoError(t, err)
	require.JSONEq(t, `{"to":"assets"}`, string(raw), "it stays unless it is replaced")
	f.update(&store.TxUpdate{Tx: f.tx("a"), Request: json.RawMessage(`{"to":"other"}`)})
	raw, err = s.Request(t.Context(), "a")
	require.NoError(t, err)
	require.JSONEq(t, `{"to":"other"}`, string(raw))
}

func progressed(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(newTx("a"))
	require.Zero(t, f.tx("a").Progressed)
	u := &store.TxUpdate{Tx: f.tx("a"), Progressed: true}
	f.update(u)
	require.Equal(t, u.Tx.Updated, f.tx("a").Progressed)
	require.Equal(t, u.Tx.Updated, u.Tx.Progressed, "the caller is told")
}

// progressedByOutcome: a rule knows no time.
func progressedByOutcome(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	rule := func(tx *store.Tx, _ []*store.Attempt, _ int) *store.TxUpdate {
		return &store.TxUpdate{Tx: tx, Progressed: true}
	}
	_, err := s.Advance(t.Context(), s.Fence(), c.next(1, ffcapi.TxOutcome{Hash: "hash-a", Success: true}), rule)
	require.NoError(t, err)
	tx := f.tx("a")
	require.Equal(t, tx.Updated, tx.Progressed)
}
