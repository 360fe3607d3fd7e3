package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

var advanceTests = map[string]func(t *testing.T, s store.Store){
	"ledger at first use":         ledgerUse,
	"matches by hash":             advanceByHash,
	"matches by signer and nonce": advanceByNonce,
	"tells a replacement apart":   advanceBesideReplacement,
	"hash learnt meanwhile":       advanceWhileHashing,
	"only what is in flight":      advanceUnclaimed,
	"position must match":         advancePosition,
	"nothing of ours":             advanceLazy,
	"reorganisation":              advanceRewind,
	"becomes final later":         advanceFinal,
	"confirmations of its own":    advanceOwn,
	"rewinds below its own":       advanceOwnRewind,
	"open blocks":                 openBlocks,
	"in flight":                   inFlight,
	"first occurrence counts":     advanceFirst,
	"two attempts of one":         advanceTwoAttempts,
	"ended stays ended":           advanceTerminal,
	"without a wish of the rule":  advanceSilent,
	"broken rule":                 advancePanic,
	"among updates":               advanceConcurrent,
	"refused fence":               advanceFenced,
	"large block":                 advanceLarge,
	"odd text":                    advanceText,
	"odd result":                  advanceResult,
	"odd hash of a stranger":      advanceStranger,
}

func ledgerUse(t *testing.T, s store.Store) {
	ctx := t.Context()
	first := store.LedgerState{Name: "main", ID: "genesis", Position: block(7)}
	got, err := s.UseLedger(ctx, s.Fence(), first)
	require.NoError(t, err)
	require.Equal(t, &first, got)
	got, err = s.UseLedger(ctx, s.Fence(), store.LedgerState{Name: "main", ID: "another chain", Position: block(1)})
	require.NoError(t, err)
	require.Equal(t, &first, got, "what is stored stays")
	got, err = s.Ledger(ctx, "main")
	require.NoError(t, err)
	require.Equal(t, &first, got)
	got, err = s.UseLedger(ctx, s.Fence(), store.LedgerState{Name: "", ID: "only one"})
	require.NoError(t, err)
	require.Equal(t, "only one", got.ID)
	stale := s.Fence()
	stale.Generation--
	_, err = s.UseLedger(ctx, stale, store.LedgerState{Name: "new"})
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = s.Ledger(ctx, "new")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func advanceByHash(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.accept(newTx("b"))
	f.claim("a")
	f.claim("b")
	bad := ffcapi.TxOutcome{Hash: "hash-b", Index: 5, Reason: "conflict", Retryable: true, Result: []byte(`{"x":1}`), ContractLocation: []byte(`"0xc"`)}
	c.advance(final(c.next(3, ffcapi.TxOutcome{Hash: "stranger"}, ok("a"), bad), 3))

	tx, a := f.tx("a"), f.attempts("a")[0]
	require.Equal(t, store.Succeeded, tx.Status)
	require.Equal(t, &store.Outcome{Block: block(3), Success: true, Final: true}, tx.Outcome)
	require.Equal(t, tx.Outcome, a.Outcome)
	require.Equal(t, store.AttemptDone, a.State)
	require.Equal(t, int64(3), tx.Version)
	p, err := s.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Nil(t, p.Sensitive)
	require.Equal(t, "Confirm", f.history("a")[1].Action)

	tx = f.tx("b")
	require.Equal(t, store.Failed, tx.Status)
	require.Equal(t, &store.Outcome{Block: block(3), Index: 5, Reason: "conflict", Retryable: true, Result: []byte(`{"x":1}`), ContractLocation: []byte(`"0xc"`), Final: true}, tx.Outcome)
	log, err := s.Status(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, store.Succeeded, log[0].Status)
	require.Equal(t, store.Failed, log[1].Status)
}

func advanceByNonce(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	for _, id := range []string{"a", "b"} {
		n := sequenced(id, "alice")
		n.Attempt.Hash = ""
		f.accept(n)
		f.claim(id)
	}
	zero, one := uint64(0), uint64(1)
	c.advance(c.next(1,
		ffcapi.TxOutcome{Hash: "h-other", From: "bob", Nonce: &zero, Success: true},
		ffcapi.TxOutcome{Hash: "h-b", From: "alice", Nonce: &one, Success: true}))
	require.Nil(t, f.attempts("a")[0].Outcome)
	b := f.attempts("b")[0]
	require.Equal(t, "h-b", b.Hash)
	require.Equal(t, block(1), b.Outcome.Block)
	require.Equal(t, "h-b", f.tx("b").Hash)
}

// advanceBesideReplacement has two attempts with one nonce, of which the newer has no hash yet: a block that holds the older one is
// not about the newer.
func advanceBesideReplacement(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	n := sequenced("a", "alice")
	n.Attempt.Exclusive = ""
	f.accept(n)
	tx := f.claim("a")
	tx.Attempt = 2
	f.update(&store.TxUpdate{Tx: tx, Payload: &n.Payload, Attempts: []*store.Attempt{{
		Tx: "a", Number: 2, Ledger: "main", From: "alice", Nonce: tx.Nonce, State: store.AttemptSubmitting, Claim: 1, Sends: 1, Open: 1,
		Fee: []byte(`"2"`),
	}}})
	outcome := func(hash string) ffcapi.TxOutcome {
		return ffcapi.TxOutcome{Hash: hash, From: "alice", Nonce: tx.Nonce, Success: true}
	}
	c.advance(c.next(1, outcome("hash-a")))
	as := f.attempts("a")
	require.Equal(t, block(1), as[0].Outcome.Block)
	require.Empty(t, as[1].Hash)
	require.Nil(t, as[1].Outcome)

	c.advance(rewind(c.next(1, outcome("h2")), 0))
	as = f.attempts("a")
	require.Nil(t, as[0].Outcome)
	require.Equal(t, "hash-a", as[0].Hash)
	require.Equal(t, "h2", as[1].Hash)
	require.Equal(t, block(1), as[1].Outcome.Block)
}

// advanceWhileHashing lets the block and the node's answer, which brings the hash, come at the same time.
func advanceWhileHashing(t *testing.T, s store.Store) {
	const n = 40
	f := with(t, s)
	c := f.chain()
	var answers sync.WaitGroup
	for i := range uint64(n) {
		id := fmt.Sprint(i)
		tx := sequenced(id, "alice")
		tx.Attempt.Hash = ""
		f.accept(tx)
		claimed := f.claim(id)
		attempt := f.attempts(id)[0]
		answers.Go(func() {
			claimed.Hash, attempt.Hash = "h-"+id, "h-"+id
			err := s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: claimed, Attempts: []*store.Attempt{attempt}})
			if err != nil && !errors.Is(err, store.ErrConflict) { // the block was first
				t.Error(err)
			}
		})
		c.advance(final(c.next(i+1, ffcapi.TxOutcome{Hash: "h-" + id, From: "alice", Nonce: &i, Success: true}), i+1))
		answers.Wait()
		require.Equal(t, store.Succeeded, f.tx(id).Status, "block %d", i+1)
	}
}

func advanceUnclaimed(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	n := newTx("elsewhere")
	n.Tx.Ledger = "other"
	f.accept(n)
	f.claim("elsewhere")
	c.advance(final(c.next(1, ok("a"), ok("elsewhere")), 1))
	require.Nil(t, f.attempts("a")[0].Outcome)
	require.Equal(t, int64(1), f.tx("a").Version)
	require.Nil(t, f.attempts("elsewhere")[0].Outcome)

	// Claimed and committed just before: found.
	f.claim("a")
	c.advance(final(c.next(2, ok("a")), 2))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
}

func advancePosition(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	never := func(*store.Tx, []*store.Attempt, int) *store.TxUpdate {
		t.Error("must not be asked")
		return nil
	}
	a := c.next(1, ok("a"))
	a.From = block(9)
	for _, lazy := range []bool{false, true} {
		a.Lazy = lazy
		_, err := s.Advance(t.Context(), s.Fence(), a, never)
		require.ErrorIs(t, err, store.ErrConflict)
		_, err = s.Advance(t.Context(), s.Fence(), &store.Advance{Ledger: "unknown", To: block(1), Lazy: lazy}, never)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.Advance(t.Context(), s.Fence(), &store.Advance{Ledger: "main", From: block(9), To: block(1), Lazy: lazy}, never)
		require.ErrorIs(t, err, store.ErrConflict)
	}
	require.Nil(t, f.attempts("a")[0].Outcome)
}

func advanceLazy(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	lazy := func(a *store.Advance) *store.Advance {
		a.Lazy = true
		return a
	}
	c.advance(lazy(final(rewind(c.next(1, ok("stranger")), 0), 1)))
	require.True(t, c.at.IsZero(), "not written")
	c.advance(lazy(c.next(2, ok("a"))))
	require.Equal(t, block(2), c.at, "ours")
	c.advance(lazy(final(c.next(3), 1)))
	require.Equal(t, block(2), c.at, "nothing becomes final")
	c.advance(lazy(rewind(c.next(3), 2)))
	require.Equal(t, block(2), c.at, "nothing is undone")
	c.advance(lazy(final(c.next(4), 2)))
	require.Equal(t, block(4), c.at, "ours became final")
	require.Equal(t, store.Succeeded, f.tx("a").Status)
	c.advance(lazy(final(rewind(c.next(5), 0), 5)))
	require.Equal(t, block(4), c.at, "what is final is neither undone nor final once more")
	c.advance(final(c.next(6), 6))
	require.Equal(t, block(6), c.at, "written when asked")
}

func advanceConcurrent(t *testing.T, s store.Store) {
	const n = 40
	f := with(t, s)
	c := f.chain()
	// Claims by many, and a chain that confirms each as soon as its claim has been answered.
	claimed := make(chan string, n)
	for i := range n {
		f.accept(newTx(fmt.Sprint(i)))
	}
	go parallel(n, func(i int) {
		id := fmt.Sprint(i)
		tx := f.claim(id)
		claimed <- id
		for tx.PolicyState = []byte(`{"seen":true}`); ; { // meanwhile the policy engine writes, too
			err := s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: tx})
			if err == nil || !errors.Is(err, store.ErrConflict) {
				return
			}
			if tx, err = s.Transaction(t.Context(), id); err != nil || tx.Status.Terminal() {
				return
			}
		}
	})
	for i := range uint64(n) {
		c.advance(final(c.next(i+1, ok(<-claimed)), i+1))
	}
	for i := range n {
		require.Equal(t, store.Succeeded, f.tx(fmt.Sprint(i)).Status)
	}
}

func advanceFenced(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	stale := s.Fence()
	stale.Generation--
	for _, a := range []*store.Advance{c.next(1, ok("a")), {Ledger: "main", To: block(1), Lazy: true}} {
		_, err := s.Advance(t.Context(), stale, a, endRule)
		require.ErrorIs(t, err, store.ErrFenced)
	}
	require.Nil(t, f.attempts("a")[0].Outcome)
	l, err := s.Ledger(t.Context(), "main")
	require.NoError(t, err)
	require.True(t, l.Position.IsZero())
}

func advanceLarge(t *testing.T, s store.Store) {
	const ours, others = 120, 1000
	f := with(t, s)
	c := f.chain()
	parallel(ours, func(i int) {
		if _, err := s.Accept(t.Context(), s.Fence(), newTx(fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
	})
	var outcomes []ffcapi.TxOutcome
	for i := range ours {
		f.claim(fmt.Sprint(i))
		outcomes = append(outcomes, ok(fmt.Sprint(i)))
	}
	for i := range others {
		outcomes = append(outcomes, ok(fmt.Sprintf("other-%d", i)))
	}
	c.advance(final(c.next(1, outcomes...), 1))
	open, err := s.CountOpen(t.Context())
	require.NoError(t, err)
	require.Zero(t, open)
	a := c.next(2)
	a.Blocks = []store.BlockOutcomes{{Block: ffcapi.BlockRef{Number: math.MaxUint64, Hash: "h"}}}
	_, err = s.Advance(t.Context(), s.Fence(), a, endRule)
	require.ErrorIs(t, err, store.ErrInvalid)
}

func advanceText(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	c.advance(final(c.next(1, ffcapi.TxOutcome{Hash: "hash-a", Reason: "bad \xff\x00 words"}), 1))
	require.Equal(t, "bad \uFFFD\uFFFD words", f.tx("a").Error)
	require.Equal(t, "bad \uFFFD\uFFFD words", f.tx("a").Outcome.Reason)
}

// advanceResult: what the chain returned is no JSON, though the connector should have seen to that.
func advanceResult(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	c.advance(final(c.next(1, ffcapi.TxOutcome{Hash: "hash-a", Success: true, Result: []byte("not <JSON>"), ContractLocation: []byte("0x<c>")}), 1))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
	require.JSONEq(t, `"not <JSON>"`, string(f.tx("a").Outcome.Result))
	require.JSONEq(t, `"0x<c>"`, string(f.tx("a").Outcome.ContractLocation))
}

// advanceStranger: some chains let anybody choose the hash of a transaction. That must not stop the ledger.
func advanceStranger(t *testing.T, s store.Store) {
	f := with(t, s)
	c := f.chain()
	f.accept(newTx("a"))
	f.claim("a")
	nonce := uint64(3)
	c.advance(final(c.next(1,
		ffcapi.TxOutcome{Hash: strings.Repeat("x", 5000)},
		ffcapi.TxOutcome{Hash: "not \xff utf8", From: "mallory", Nonce: &nonce},
		ffcapi.TxOutcome{Hash: "nul\x00byte"},
		ffcapi.TxOutcome{Hash: "hash-a", Success: true, Index: 3},
	), 1))
	require.Equal(t, store.Succeeded, f.tx("a").Status)
}
