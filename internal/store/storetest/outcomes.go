package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

func advanceRewind(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for _, id := range []string{"stays", "gone", "moved"} {
		f.accept(newTx(id))
		f.claim(id)
	}
	c.advance(c.next(1, ok("stays")))
	c.advance(c.next(2, ok("gone"), ok("moved")))
	a := c.next(3)
	moved := ffcapi.BlockRef{Number: 2, Hash: "block-2b"}
	a.Blocks = []store.BlockOutcomes{{Block: moved, Outcomes: []ffcapi.TxOutcome{ok("moved")}}}
	calls := map[string]int{}
	stored, err := s.Advance(t.Context(), s.Fence(), rewind(a, 1), func(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
		calls[tx.ID]++
		return endRule(tx, as, hit)
	})
	require.NoError(t, err)
	require.True(t, stored)
	c.at = a.To
	require.Equal(t, map[string]int{"gone": 1, "moved": 1}, calls)
	require.Equal(t, block(1), f.attempts("stays")[0].Outcome.Block)
	require.Nil(t, f.attempts("gone")[0].Outcome)
	require.Equal(t, store.SubTracking, f.tx("gone").Sub)
	require.Equal(t, store.AttemptSubmitting, f.attempts("gone")[0].State)
	require.Equal(t, moved, f.attempts("moved")[0].Outcome.Block)

	c.advance(final(c.next(5, ok("gone")), 5))
	for _, id := range []string{"stays", "gone", "moved"} {
		require.Equal(t, store.Succeeded, f.tx(id).Status, id)
	}
	c.advance(rewind(c.next(6), 0))
	require.Equal(t, block(5), f.attempts("gone")[0].Outcome.Block, "final stays")
}

func advanceFinal(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for _, id := range []string{"a", "b"} {
		f.accept(newTx(id))
		f.claim(id)
	}
	c.advance(c.next(1, ok("a")))
	c.advance(final(c.next(2, ok("b")), 0))
	require.Equal(t, store.Pending, f.tx("a").Status)
	require.False(t, f.attempts("a")[0].Outcome.Final)
	c.advance(final(c.next(3), 1))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
	require.True(t, f.attempts("a")[0].Outcome.Final)
	require.Equal(t, store.Pending, f.tx("b").Status)
	c.advance(final(c.next(4), 2))
	require.Equal(t, store.Succeeded, f.tx("b").Status)
	require.Equal(t, store.AttemptDone, f.attempts("b")[0].State)
}

func advanceFirst(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	again := ffcapi.TxOutcome{Hash: "hash-a", Index: 9, Reason: "duplicate"}
	c.advance(c.next(1, ok("a"), again))
	c.advance(c.next(2, again))
	o := f.attempts("a")[0].Outcome
	require.True(t, o.Success)
	require.Equal(t, block(1), o.Block)
	version := f.tx("a").Version
	c.advance(final(c.next(3, again), 3))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
	require.Equal(t, version+1, f.tx("a").Version)
	c.advance(final(c.next(4, again), 4))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
}

func advanceTwoAttempts(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	tx := f.claim("a")
	tx.Attempt = 2
	second := &store.Attempt{Tx: "a", Number: 2, Ledger: "main", State: store.AttemptSubmitting, Hash: "second", From: "alice"}
	f.update(&store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{second}, Payload: &store.Payload{Prepared: []byte("2")}})
	var hits []int
	a := final(c.next(1, ffcapi.TxOutcome{Hash: "second", Index: 1, Reason: "used"}, ffcapi.TxOutcome{Hash: "hash-a", Index: 4, Success: true}), 1)
	_, err := s.Advance(t.Context(), s.Fence(), a, func(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
		hits = append(hits, as[hit].Number)
		if !as[hit].Outcome.Success {
			tx.Error = "attempt failed"
			third := &store.Attempt{Number: 3, Ledger: "main", State: store.AttemptPrepared, Hash: "third"}
			return &store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{third}, History: []store.History{{Action: "Again"}}}
		}
		as[2].State, as[2].Dead = store.AttemptDone, "another attempt succeeded"
		return &store.TxUpdate{Tx: endRule(tx, as, hit).Tx, Attempts: as[2:], History: []store.History{{Action: "End"}}, Announce: true}
	})
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, hits, "in the order of the block")
	got := f.tx("a")
	require.Equal(t, store.Succeeded, got.Status)
	require.Equal(t, "attempt failed", got.Error)
	require.Equal(t, int64(4), got.Version, "one write")
	as := f.attempts("a")
	require.Len(t, as, 3)
	require.Equal(t, store.AttemptDone, as[1].State)
	require.Equal(t, "another attempt succeeded", as[2].Dead)
	hs := f.history("a")
	require.Equal(t, "Again", hs[1].Action)
	require.Equal(t, "End", hs[2].Action)
}

func advanceTerminal(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	f.end("a", store.Failed)
	before := f.tx("a")
	_, err := s.Advance(t.Context(), s.Fence(), final(c.next(1, ok("a")), 1), func(tx *store.Tx, as []*store.Attempt, _ int) *store.TxUpdate {
		tx.Status = store.Succeeded
		return &store.TxUpdate{Tx: tx, Attempts: as, Announce: true}
	})
	require.NoError(t, err)
	require.Equal(t, before, f.tx("a"))
	require.True(t, f.attempts("a")[0].Outcome.Final, "what the chain said is kept")
}

func advancePanic(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	var accepted atomic.Int64
	parallel(20, func(i int) {
		if i == 10 {
			_, err := s.Advance(t.Context(), s.Fence(), c.next(1, ok("a")), func(tx *store.Tx, _ []*store.Attempt, _ int) *store.TxUpdate {
				panic("rule " + tx.ID)
			})
			if err == nil {
				t.Error("a panic is an error")
			}
			return
		}
		if _, err := s.Accept(t.Context(), s.Fence(), newTx(fmt.Sprint(i))); err == nil {
			accepted.Add(1)
		}
	})
	require.Equal(t, int64(19), accepted.Load())
	require.Nil(t, f.attempts("a")[0].Outcome)
	c.advance(c.next(1, ok("a")))
	require.NotNil(t, f.attempts("a")[0].Outcome)
}
