package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

var nonceTests = map[string]func(t *testing.T, s store.Store){
	"fills a gap":                     fillGap,
	"fills no nonce in use":           fillHeld,
	"open nonces":                     openNonces,
	"a stranger uses a nonce":         strangerFinal,
	"a stranger's block goes away":    strangerUndone,
	"a stranger among own attempts":   strangerOrOwn,
	"a stranger and what is not ours": strangerElsewhere,
}

func fill(id, from string, nonce uint64) *store.NewTx {
	n := sequenced(id, from)
	n.Tx.Kind, n.Tx.Nonce, n.Fill = "FillNonce", &nonce, true
	return n
}

// fillGap: what fills a gap takes a nonce that was assigned before, also if the one that had it has ended.
func fillGap(t *testing.T, s store.Store) {
	f := with(t, s)
	_, err := s.Accept(t.Context(), s.Fence(), fill("early", "alice", 0))
	require.ErrorIs(t, err, store.ErrConflict, "nothing was assigned")
	for i := range 3 {
		f.accept(sequenced(fmt.Sprint(i), "alice"))
	}
	f.end("1", store.Succeeded)
	require.EqualValues(t, 1, *f.accept(fill("f1", "alice", 1)).Nonce)
	_, err = s.Accept(t.Context(), s.Fence(), fill("f3", "alice", 3))
	require.ErrorIs(t, err, store.ErrConflict, "it was not assigned yet")
	require.EqualValues(t, 3, *f.accept(sequenced("next", "alice")).Nonce, "a gap that is filled does not count as assigned")
	f.end("f1", store.Failed)
	f.accept(fill("f1-again", "alice", 1))
}

// fillHeld: what looked like a gap may have been assigned meanwhile. Then it must not be used up.
func fillHeld(t *testing.T, s store.Store) {
	f := with(t, s)
	f.accept(sequenced("given back", "alice"))
	f.update(ended(f.tx("given back")))
	answers := s.AcceptAll(t.Context(), s.Fence(), []*store.NewTx{sequenced("a", "alice"), fill("early", "alice", 0)})
	require.NoError(t, answers[0].Err)
	require.EqualValues(t, 0, *answers[0].Accepted.Tx.Nonce)
	require.ErrorIs(t, answers[1].Err, store.ErrConflict, "assigned at the same time")
	_, err := s.Accept(t.Context(), s.Fence(), fill("late", "alice", 0))
	require.ErrorIs(t, err, store.ErrConflict, "assigned before")
	f.end("a", store.Suspended)
	_, err = s.Accept(t.Context(), s.Fence(), fill("later", "alice", 0))
	require.ErrorIs(t, err, store.ErrConflict, "it is still held")
	f.end("a", store.Failed)
	f.accept(fill("f", "alice", 0))
}

func openNonces(t *testing.T, s store.Store) {
	f := with(t, s)
	for i := range 6 {
		f.accept(sequenced(fmt.Sprint(i), "alice"))
	}
	f.accept(sequenced("bob", "bob"))
	f.end("1", store.Succeeded)
	f.end("2", store.Failed)
	f.end("4", store.Suspended)
	f.accept(fill("f", "alice", 2))
	for _, c := range []struct {
		from  uint64
		limit int
		want  []uint64
	}{{0, 0, []uint64{0, 2, 3, 4, 5}}, {1, 2, []uint64{2, 3}}, {4, 9, []uint64{4, 5}}, {6, 9, nil}} {
		got, err := s.OpenNonces(t.Context(), "main", "alice", c.from, c.limit)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	got, err := s.OpenNonces(t.Context(), "other", "alice", 0, 9)
	require.NoError(t, err)
	require.Empty(t, got)
}

func strangers(from string, nonce uint64) ffcapi.TxOutcome {
	return ffcapi.TxOutcome{Hash: fmt.Sprintf("stranger-%d", nonce), From: from, Nonce: &nonce, Success: true}
}

// noted keeps what a rule was called with.
type noted struct{ outcomes []*store.Outcome }

func (n *noted) rule(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
	n.outcomes = append(n.outcomes, as[hit].Outcome)
	return &store.TxUpdate{Tx: tx}
}

func (c *chain) with(a *store.Advance, rule store.OutcomeRule) {
	c.t.Helper()
	stored, err := c.Advance(c.t.Context(), c.Fence(), a, rule)
	require.NoError(c.t, err)
	if stored {
		c.at = a.To
	}
}

func strangerFinal(t *testing.T, s store.Store) {
	f, n := with(t, s), &noted{}
	c := f.chain()
	for _, id := range []string{"a", "b", "c"} {
		f.accept(sequenced(id, "alice"))
	}
	f.claim("a")
	f.claim("c")
	c.with(c.next(1, strangers("alice", 0), strangers("alice", 1)), n.rule)
	require.Len(t, n.outcomes, 1, "b was not claimed: nothing of it can be out")
	require.Equal(t, "stranger-0", n.outcomes[0].By)
	require.False(t, n.outcomes[0].Success || n.outcomes[0].Final)
	a := f.attempts("a")[0]
	require.Equal(t, "hash-a", a.Hash, "it keeps its own")
	require.Equal(t, "stranger-0", a.Outcome.By)

	c.with(final(c.next(2), 2), n.rule)
	require.Len(t, n.outcomes, 2)
	require.True(t, n.outcomes[1].Final)
	require.Equal(t, "stranger-0", f.attempts("a")[0].Outcome.By)
	c.with(final(c.next(3, strangers("alice", 2)), 3), n.rule)
	require.True(t, n.outcomes[2].Final, "in a final block at once")
}

func strangerUndone(t *testing.T, s store.Store) {
	f, n := with(t, s), &noted{}
	c := f.chain()
	f.accept(sequenced("a", "alice"))
	f.claim("a")
	c.with(c.next(1), n.rule)
	c.with(c.next(2, strangers("alice", 0)), n.rule)
	c.with(rewind(c.next(3, ffcapi.TxOutcome{Hash: "hash-a", Success: true}), 1), n.rule)
	a := f.attempts("a")[0]
	require.Empty(t, a.Outcome.By)
	require.True(t, a.Outcome.Success, "its own is what counts")
}

// strangerOrOwn: another attempt of the transaction is no stranger, and what has no hash yet may be what the block holds.
func strangerOrOwn(t *testing.T, s store.Store) {
	f, n := with(t, s), &noted{}
	c := f.chain()
	for id, second := range map[string]string{"a": "second", "b": ""} {
		f.accept(sequenced(id, id))
		f.claim(id)
		tx := f.tx(id)
		tx.Attempt = 2
		f.update(&store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{{
			Tx: id, Number: 2, Ledger: "main", State: store.AttemptSubmitting, Claim: 1, From: id, Nonce: tx.Nonce, Hash: second, Sends: 1, Open: 1,
		}}})
	}
	own, unknown := strangers("a", 0), strangers("b", 0)
	own.Hash, unknown.Hash = "hash-a", "learnt-now"
	c.with(c.next(1, own, unknown), n.rule)
	require.Len(t, n.outcomes, 2)
	for _, o := range n.outcomes {
		require.Empty(t, o.By)
		require.True(t, o.Success)
	}
}

func strangerElsewhere(t *testing.T, s store.Store) {
	f, n := with(t, s), &noted{}
	c := f.chain()
	f.accept(sequenced("a", "alice"))
	f.claim("a")
	f.end("a", store.Failed)
	c.with(c.next(1, strangers("alice", 0), strangers("alice", 9), strangers("nobody", 0)), n.rule)
	require.Empty(t, n.outcomes)
}
