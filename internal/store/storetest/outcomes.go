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
	calls, undone := map[string]int{}, map[string]*ffcapi.BlockRef{}
	stored, err := s.Advance(t.Context(), s.Fence(), rewind(a, 1), func(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
		calls[tx.ID]++
		undone[tx.ID] = as[hit].Undone
		return endRule(tx, as, hit)
	})
	require.NoError(t, err)
	require.True(t, stored)
	c.at = a.To
	require.Equal(t, map[string]int{"gone": 1, "moved": 1}, calls)
	was := block(2)
	require.Equal(t, map[string]*ffcapi.BlockRef{"gone": &was, "moved": &was}, undone, "the rule is told what went away")
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

// advanceOwn has transactions that ask for fewer and for more confirmations than the ledger.
func advanceOwn(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for id, n := range map[string]int{"at once": 0, "one": 1, "five": 5, "usual": -1} {
		tx := newTx(id)
		if n >= 0 {
			tx.Tx.Required = &n
		}
		f.accept(tx)
		f.claim(id)
	}
	lazily := func(n, upTo uint64, outcomes ...ffcapi.TxOutcome) {
		a := c.next(n, outcomes...)
		if upTo > 0 {
			a = final(a, upTo)
		}
		a.Head, a.Lazy = &n, true
		c.advance(a)
	}
	lazily(1, 0, ok("at once"), ok("one"), ok("five"), ok("usual"))
	f.requireOpen("one", "five", "usual")
	lazily(2, 0)
	require.Equal(t, block(2), c.at, "written although the ledger has no final block")
	f.requireOpen("five", "usual")
	lazily(3, 1)
	f.requireOpen("five")
	lazily(4, 2)
	require.Equal(t, block(3), c.at, "nothing becomes final")
	a := f.attempts("five")[0]
	a.Sends++
	f.update(&store.TxUpdate{Tx: f.tx("five"), Attempts: []*store.Attempt{a}})
	lazily(5, 3)
	lazily(6, 4)
	f.requireOpen()

	f.accept(newTx("instant"))
	five, two := newTx("five again"), 5
	five.Tx.Required = &two
	f.accept(five)
	f.claim("instant")
	f.claim("five again")
	c.advance(final(c.next(7, ok("instant"), ok("five again")), 7))
	f.requireOpen()
}

// advanceOwnRewind undoes what is final for the ledger and not for the transaction.
func advanceOwnRewind(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for _, id := range []string{"many", "few"} {
		tx, n := newTx(id), map[string]int{"many": 20, "few": 1}[id]
		tx.Tx.Required = &n
		f.accept(tx)
		f.claim(id)
	}
	at := func(a *store.Advance) *store.Advance {
		a.Head = &a.To.Number
		return a
	}
	c.advance(at(final(c.next(1, ok("many")), 0)))
	c.advance(at(final(c.next(9, ok("few")), 4)))
	a := at(rewind(final(c.next(5), 4), 0))
	a.Lazy = true
	c.advance(a)
	require.Equal(t, block(5), c.at)
	require.Nil(t, f.attempts("many")[0].Outcome)
	require.Nil(t, f.attempts("few")[0].Outcome)
	c.advance(at(final(c.next(6, ok("few")), 4)))
	c.advance(at(final(c.next(10, ok("many")), 8)))
	f.requireOpen("many")
	c.advance(at(final(c.next(29), 27)))
	f.requireOpen("many")
	c.advance(at(final(c.next(30), 28)))
	f.requireOpen()
}

// requireOpen checks which transactions have not ended.
func (f *fixture) requireOpen(ids ...string) {
	f.t.Helper()
	open, err := f.Open(f.t.Context(), 0, 0)
	require.NoError(f.t, err)
	got := []string{}
	for _, tx := range open {
		got = append(got, tx.ID)
	}
	require.ElementsMatch(f.t, ids, got)
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

// advanceSilent: an outcome is not undone by who read the attempt before it was found, also if the rule wanted nothing.
func advanceSilent(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	tx, as := f.tx("a"), f.attempts("a")
	c.with(c.next(1, ok("a")), func(*store.Tx, []*store.Attempt, int) *store.TxUpdate { return nil })
	err := s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx, Attempts: as})
	require.ErrorIs(t, err, store.ErrConflict)
	require.NotNil(t, f.attempts("a")[0].Outcome)
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

func openBlocks(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for i, id := range []string{"a", "b", "own", "c", "d"} {
		tx, n := newTx(id), 100
		if id == "own" {
			tx.Tx.Required = &n
		}
		f.accept(tx)
		f.claim(id)
		at := uint64(i + 1)
		a := c.next(at, ok(id))
		a.Head = &at
		c.advance(a)
	}
	c.advance(final(c.next(6), 1))
	open := func(ledger string, upTo uint64) []ffcapi.BlockRef {
		blocks, err := s.OpenBlocks(t.Context(), ledger, upTo)
		require.NoError(t, err)
		return blocks
	}
	require.Equal(t, []ffcapi.BlockRef{block(5), block(4), block(3), block(2)}, open("main", 9))
	require.Equal(t, []ffcapi.BlockRef{block(3), block(2)}, open("main", 3))
	require.Empty(t, open("main", 1), "final")
	require.Empty(t, open("other", 9))
}

func inFlight(t *testing.T, s store.Store) {
	f := with(t, s)
	f.chain()
	for _, id := range []string{"sent", "not sent", "by nonce"} {
		n := newTx(id)
		if id == "by nonce" {
			zero := uint64(0)
			n.Attempt.Hash, n.Tx.From, n.Sequenced, n.NodeNext = "", "bob", true, &zero
		}
		f.accept(n)
	}
	f.claim("sent")
	f.claim("by nonce")
	zero, one := uint64(0), uint64(1)
	listed := []ffcapi.TxOutcome{
		{Hash: "stranger"}, ok("sent"), ok("not sent"), {Hash: "x", From: "bob", Nonce: &zero, Index: 3}, {Hash: "y", From: "bob", Nonce: &one},
	}
	mine, err := s.InFlight(t.Context(), "main", listed)
	require.NoError(t, err)
	require.Equal(t, []ffcapi.TxOutcome{listed[1], listed[3]}, mine)
	mine, err = s.InFlight(t.Context(), "other", listed)
	require.NoError(t, err)
	require.Empty(t, mine)
}
