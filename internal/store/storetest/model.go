package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// checkModel runs random histories against a store and against a model that could not be simpler, and compares what they say.
// All histories share the store, some at once; each has its own ledger, and so its own nonces.
func checkModel(t *testing.T, s store.Store) {
	const atOnce = 5
	for lane := range atOnce {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			checkHistories(t, s, lane)
		})
	}
}

func checkHistories(t *testing.T, s store.Store, lane int) {
	const histories = 5 // every step of one is an fsync
	run, failed := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > histories && !failed {
			return
		}
		done := false
		defer func() { failed = failed || !done }() // then it is run again, to find a shorter one
		name := fmt.Sprintf("run%d.%d-", lane, run)
		m := &model{s: s, ledger: name, next: map[string]uint64{}, txs: map[string]*modelTx{}, log: 0, heads: run%4 > 0}
		_, err := s.UseLedger(t.Context(), s.Fence(), store.LedgerState{Name: name, ID: "g"})
		require.NoError(rt, err)
		m.log, err = s.StatusHead(t.Context())
		require.NoError(rt, err)
		rt.Repeat(map[string]func(*rapid.T){
			"accept":  func(rt *rapid.T) { m.accept(t, rt) },
			"update":  func(rt *rapid.T) { m.update(t, rt) },
			"advance": func(rt *rapid.T) { m.advance(t, rt) },
			"":        func(rt *rapid.T) { m.glance(t, rt) },
		})
		m.compare(t, rt)
		done = true
	})
}

// modelTx is a transaction with one attempt.
type modelTx struct {
	body    int
	signer  string
	nonce   uint64
	version int64
	status  store.TxStatus
	claimed bool
	own     int    // confirmations asked for; -1: none
	block   uint64 // 0: not found
	good    bool
	final   bool
	events  []store.TxStatus // announced
}

type model struct {
	s      store.Store
	ledger string
	next   map[string]uint64
	txs    map[string]*modelTx
	order  []string
	height uint64
	final  uint64
	fork   int // tells blocks of different branches apart
	at     ffcapi.BlockRef
	log    int64
	heads  bool     // Advances name the newest block
	said   []string // id and status, in order
}

func (m *model) id(rt *rapid.T) string {
	return m.ledger + rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "id")
}

func (m *model) accept(t *testing.T, rt *rapid.T) {
	id, body := m.id(rt), rapid.IntRange(0, 1).Draw(rt, "body")
	signer := rapid.SampledFrom([]string{"alice", "bob"}).Draw(rt, "signer")
	n := newTx(id)
	n.Tx.Ledger, n.Tx.From, n.BodyHash, n.Sequenced = m.ledger, signer, hashOf(fmt.Sprint(body)), true
	want, assigned := m.next[signer]
	if node := rapid.Uint64Range(0, 6).Draw(rt, "node"); node > 0 {
		n.NodeNext = &node
		want, assigned = max(want, node), true
	}
	own := rapid.IntRange(-2, 4).Draw(rt, "confirmations")
	if own = max(own, -1); own >= 0 {
		n.Tx.Required = &own
	}
	refused := false
	if rapid.IntRange(0, 4).Draw(rt, "given") == 0 {
		given := rapid.Uint64Range(0, 8).Draw(rt, "nonce")
		n.Tx.Nonce = &given
		if !assigned {
			want = given
		}
		refused = given != want
	}
	a, err := m.s.Accept(t.Context(), m.s.Fence(), n)
	known := m.txs[id]
	switch {
	case known != nil && known.body != body:
		require.ErrorIs(rt, err, store.ErrKeyReused)
	case known != nil:
		require.NoError(rt, err)
		require.True(rt, a.Replay)
		require.Equal(rt, known.version, a.Tx.Version)
	case refused:
		require.ErrorIs(rt, err, store.ErrConflict)
	default:
		require.NoError(rt, err)
		require.False(rt, a.Replay)
		require.Equal(rt, want, *a.Tx.Nonce)
		m.next[signer] = want + 1
		m.txs[id] = &modelTx{body: body, signer: signer, nonce: want, version: 1, status: store.Pending, own: own}
		m.order = append(m.order, id)
	}
}

func (m *model) update(t *testing.T, rt *rapid.T) {
	id := m.id(rt)
	known := m.txs[id]
	if known == nil {
		err := m.s.Update(t.Context(), m.s.Fence(), &store.TxUpdate{Tx: &store.Tx{ID: id, Version: 1}})
		require.ErrorIs(rt, err, store.ErrNotFound)
		return
	}
	tx, err := m.s.Transaction(t.Context(), id)
	require.NoError(rt, err)
	as, err := m.s.Attempts(t.Context(), id)
	require.NoError(rt, err)
	late := rapid.IntRange(0, 3).Draw(rt, "late") == 0
	if late {
		tx.Version--
	}
	u := &store.TxUpdate{Tx: tx}
	end, claim := rapid.IntRange(0, 9).Draw(rt, "end") == 0, rapid.Bool().Draw(rt, "claim") && as[0].State == store.AttemptPrepared
	if end {
		tx.Status, u.Announce = store.Failed, true
	}
	if claim {
		as[0].State, u.Attempts = store.AttemptSubmitting, as
	}
	err = m.s.Update(t.Context(), m.s.Fence(), u)
	if late || known.status.Terminal() {
		require.ErrorIs(rt, err, store.ErrConflict)
		return
	}
	require.NoError(rt, err)
	known.version++
	known.claimed = known.claimed || claim
	if end {
		known.status = store.Failed
		m.said = append(m.said, id+string(store.Failed))
	}
}

// advance adds blocks, some on another branch, and moves the final height.
func (m *model) advance(t *testing.T, rt *rapid.T) {
	a := &store.Advance{Ledger: m.ledger, From: m.at, Lazy: rapid.Bool().Draw(rt, "lazy")}
	base := m.height
	if m.height > m.final && rapid.IntRange(0, 2).Draw(rt, "fork") == 0 {
		base = rapid.Uint64Range(m.final, m.height-1).Draw(rt, "base")
		a.Rewind = &base
		m.fork++
		m.rewind(base)
	}
	top := base
	for range rapid.IntRange(1, 3).Draw(rt, "blocks") {
		top++
		b := store.BlockOutcomes{Block: m.ref(top)}
		for _, id := range slices.Compact(rapid.SliceOfN(rapid.SampledFrom(append(m.order, "stranger")), 0, 3).Draw(rt, "outcomes")) {
			good := rapid.Bool().Draw(rt, "good")
			b.Outcomes = append(b.Outcomes, ffcapi.TxOutcome{Hash: "hash-" + id, Success: good, Index: uint64(len(b.Outcomes))})
			m.found(id, top, good)
		}
		a.Blocks = append(a.Blocks, b)
	}
	a.HasFinal, a.Final = true, rapid.Uint64Range(m.final, top).Draw(rt, "final")
	a.To = m.ref(top)
	m.height, m.final = top, a.Final
	if m.heads {
		a.Head = &top
	}
	m.finalise()
	stored, err := m.s.Advance(t.Context(), m.s.Fence(), a, endRule)
	require.NoError(rt, err)
	require.True(rt, stored || a.Lazy)
	if stored {
		m.at = a.To
	}
}

func (m *model) ref(n uint64) ffcapi.BlockRef {
	return ffcapi.BlockRef{Number: n, Hash: fmt.Sprintf("%d-%d", m.fork, n)}
}

func (m *model) rewind(base uint64) {
	for _, tx := range m.txs {
		if tx.block > base && !tx.final {
			tx.block, tx.good = 0, false
			tx.events = append(tx.events, "undone")
		}
	}
}

func (m *model) found(id string, block uint64, good bool) {
	if tx := m.txs[id]; tx != nil && tx.claimed && tx.block == 0 {
		tx.block, tx.good = block, good
		tx.events = append(tx.events, "found")
	}
}

// finalise ends what is final and counts one write for each transaction that an Advance touched.
func (m *model) finalise() {
	var ended []string
	for _, id := range m.order {
		tx := m.txs[id]
		touched := len(tx.events) > 0
		tx.events = nil
		final := tx.block <= m.final
		if m.heads && tx.own >= 0 {
			final = tx.block+uint64(tx.own) <= m.height
		}
		if tx.block != 0 && final && !tx.final {
			tx.final = true
			if !tx.status.Terminal() {
				tx.status = store.Failed
				if tx.good {
					tx.status = store.Succeeded
				}
				ended = append(ended, id+string(tx.status))
				tx.version++
			}
			continue
		}
		if touched && !tx.status.Terminal() {
			tx.version++
		}
	}
	m.said = append(m.said, ended...)
}

// glance compares now and then: an error is found soon, and most of the time is spent on new histories.
func (m *model) glance(t *testing.T, rt *rapid.T) {
	if rapid.IntRange(0, 4).Draw(rt, "glance") == 0 {
		m.compare(t, rt)
	}
}

func (m *model) compare(t *testing.T, rt *rapid.T) {
	for _, id := range m.order {
		want := m.txs[id]
		tx, err := m.s.Transaction(t.Context(), id)
		require.NoError(rt, err)
		as, err := m.s.Attempts(t.Context(), id)
		require.NoError(rt, err)
		o := as[0].Outcome
		got := &modelTx{
			body: want.body, signer: tx.From, nonce: *tx.Nonce, version: tx.Version, status: tx.Status, claimed: as[0].State != store.AttemptPrepared,
			own: -1,
		}
		if tx.Required != nil {
			got.own = *tx.Required
		}
		if o != nil {
			got.block, got.good, got.final = o.Block.Number, o.Success, o.Final
		}
		require.Equal(rt, want, got, id)
	}
	for signer, next := range m.next {
		newest, _, err := m.s.NewestNonce(t.Context(), m.ledger, signer)
		require.NoError(rt, err)
		require.Equal(rt, next-1, newest)
	}
	entries, err := m.s.Status(t.Context(), m.log, 0)
	require.NoError(rt, err)
	var said []string
	for _, e := range entries {
		if strings.HasPrefix(e.TxID, m.ledger) {
			said = append(said, e.TxID+string(e.Status))
		}
	}
	slices.Sort(said)
	want := slices.Sorted(slices.Values(m.said))
	require.Equal(rt, want, said)
}
