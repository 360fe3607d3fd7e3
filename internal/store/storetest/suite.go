package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// limit is what anything in the suite may take before it counts as hung.
const limit = 30 * time.Second

// New makes an empty place for a store and returns what opens it. It is opened again only after it was closed. What was opened is
// closed when the test ends.
type New func(t testing.TB) (open func() store.Store)

// Run checks that the stores that fresh makes keep the promises of package store.
func Run(t *testing.T, fresh New) {
	t.Helper()
	for _, part := range []struct {
		name  string
		tests map[string]func(t *testing.T, s store.Store)
	}{
		{"accept", acceptTests}, {"update", updateTests}, {"renumber", renumberTests}, {"nonces", nonceTests}, {"read", readTests}, {"advance", advanceTests},
		{"streams", streamTests}, {"dead letters", letterTests}, {"log", logTests}, {"retention", retentionTests},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range part.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, fresh(t)())
				})
			}
		})
	}
	t.Run("reopen", func(t *testing.T) {
		t.Parallel()
		reopen(t, fresh(t))
	})
	t.Run("reopen without rows", func(t *testing.T) {
		t.Parallel()
		numbersOutliveRows(t, fresh(t))
	})
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		checkModel(t, fresh(t)())
	})
}

// fixture is a store with shorthands.
type fixture struct {
	store.Store
	t *testing.T
}

func with(t *testing.T, s store.Store) *fixture { return &fixture{Store: s, t: t} }

// newTx is a plain request of a signer.
func newTx(id string) *store.NewTx {
	return &store.NewTx{
		Tx: store.Tx{
			ID: id, Kind: "SendTransaction", Sub: store.SubPrepared, Ledger: "main", From: "alice", To: "assets", Value: "1", Gas: "2",
		},
		BodyHash:   hashOf(id),
		KeyExpires: time.Now().Add(time.Hour),
		Request:    []byte(`{"to":"assets"}`),
		Attempt:    store.Attempt{Hash: "hash-" + id, ConflictKeys: []string{"k1", "k2"}, Exclusive: "x-" + id, Expires: 7},
		Payload:    store.Payload{Prepared: []byte{0, 1, 2}, Result: []byte(`{"r":1}`), Sensitive: []byte("secret")},
		History:    []store.History{{Sub: store.SubReceived, Action: "Accept"}},
	}
}

func hashOf(s string) (h [32]byte) {
	copy(h[:], s)
	return h
}

func sequenced(id, from string) *store.NewTx {
	n := newTx(id)
	n.Tx.From, n.Sequenced = from, true
	return n
}

func (f *fixture) accept(n *store.NewTx) *store.Tx {
	f.t.Helper()
	a, err := f.Accept(f.t.Context(), f.Fence(), n)
	require.NoError(f.t, err)
	require.False(f.t, a.Replay)
	return a.Tx
}

func (f *fixture) tx(id string) *store.Tx {
	f.t.Helper()
	tx, err := f.Transaction(f.t.Context(), id)
	require.NoError(f.t, err)
	return tx
}

func (f *fixture) attempts(id string) []*store.Attempt {
	f.t.Helper()
	as, err := f.Attempts(f.t.Context(), id)
	require.NoError(f.t, err)
	return as
}

func (f *fixture) history(id string) []store.History {
	f.t.Helper()
	hs, err := f.History(f.t.Context(), id)
	require.NoError(f.t, err)
	return hs
}

func (f *fixture) update(u *store.TxUpdate) {
	f.t.Helper()
	require.NoError(f.t, f.Update(f.t.Context(), f.Fence(), u))
}

// claim takes a transaction's newest attempt to Submitting.
func (f *fixture) claim(id string) *store.Tx {
	f.t.Helper()
	tx, as := f.tx(id), f.attempts(id)
	a := as[len(as)-1]
	a.State, a.Claim, a.Sends, a.Open = store.AttemptSubmitting, f.Fence().Generation, 1, 1
	tx.Sub = store.SubSubmitting
	f.update(&store.TxUpdate{Tx: tx, Attempts: []*store.Attempt{a}})
	return tx
}

// ended takes a transaction to a terminal status.
func (f *fixture) end(id string, status store.TxStatus) {
	f.t.Helper()
	tx := f.tx(id)
	tx.Status = status
	f.update(&store.TxUpdate{Tx: tx, Announce: true})
}

func (f *fixture) useLedger(name string) {
	f.t.Helper()
	_, err := f.UseLedger(f.t.Context(), f.Fence(), store.LedgerState{Name: name, ID: "genesis-" + name})
	require.NoError(f.t, err)
}

func block(n uint64) ffcapi.BlockRef {
	return ffcapi.BlockRef{Number: n, Hash: fmt.Sprintf("block-%d", n)}
}

// parallel calls fn n times at once and waits for all.
func parallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}
