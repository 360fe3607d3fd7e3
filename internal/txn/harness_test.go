package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	wait = time.Minute
	tick = 5 * time.Millisecond
)

// view is a chain view that a test moves by hand, and the engine that applies outcomes.
type view struct {
	t     testing.TB
	store store.Ledgers
	fence store.Fence

	mu     sync.Mutex
	pos    ffcapi.BlockRef
	safe   ffcapi.BlockRef
	moved  chan struct{}
	hashes map[uint64]string
	failed error
	ready  int
	blocks map[uint64]*ffcapi.Block
	finds  int // Find calls
	branch string
}

func newView(t testing.TB, s *sqlstore.Store) *view {
	return &view{t: t, store: s, fence: s.Fence(), moved: make(chan struct{}), hashes: map[uint64]string{}, blocks: map[uint64]*ffcapi.Block{}}
}

func (v *view) Follow(string) {}

func (v *view) Ready(ctx context.Context, ledger string) error {
	l, err := v.store.UseLedger(ctx, v.fence, store.LedgerState{Name: ledger, ID: "genesis", Position: ffcapi.BlockRef{Hash: "b0"}})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ready++
	if v.pos.IsZero() {
		v.pos, v.safe = l.Position, l.Position
		v.hashes[l.Position.Number] = l.Position.Hash
	}
	return nil
}

func (v *view) Safe(string) (ffcapi.BlockRef, bool, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.safe, !v.safe.IsZero(), v.moved
}

func (v *view) Head(string) (ffcapi.BlockRef, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pos, !v.pos.IsZero()
}

func (v *view) Canonical(_ string, number uint64) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h, ok := v.hashes[number]
	return h, ok
}

func (v *view) Final(_ string, number uint64, required int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if required >= 0 {
		return number+uint64(required) <= v.pos.Number
	}
	return !v.safe.IsZero() && number <= v.safe.Number
}

func (v *view) Find(_ context.Context, _, hash string, above uint64) (*ffcapi.Block, int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finds++
	for n := above + 1; n <= v.pos.Number; n++ {
		b := v.blocks[n]
		for i := range b.Transactions {
			if b.Transactions[i].Hash == hash {
				return b, i, nil
			}
		}
	}
	return nil, 0, nil
}

func (v *view) Confirming(_ string, of ffcapi.BlockRef, n int) (blocks []ffcapi.Block) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := of.Number + 1; i <= v.pos.Number && len(blocks) < n; i++ {
		blocks = append(blocks, ffcapi.Block{BlockRef: v.blocks[i].BlockRef, ParentHash: v.hashes[i-1]})
	}
	return blocks
}

func (v *view) Confirmations(_ context.Context, ledger string, of ffcapi.BlockRef, n int) ([]ffcapi.Block, error) {
	return v.Confirming(ledger, of, n), nil
}

func (v *view) Failed(string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed
}

func (v *view) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed = err
}

// block adds a block with outcomes; it is final at once unless depth blocks have to follow.
func (v *view) block(depth uint64, outcomes ...ffcapi.TxOutcome) ffcapi.BlockRef {
	v.t.Helper()
	v.mu.Lock()
	from := v.pos
	to := ffcapi.BlockRef{Number: from.Number + 1, Hash: fmt.Sprintf("b%d%s", from.Number+1, v.branch)}
	v.mu.Unlock()
	a := &store.Advance{From: from, To: to, Blocks: []store.BlockOutcomes{{Block: to, Outcomes: outcomes}}}
	if depth > 0 {
		a.Head = &to.Number
	}
	if to.Number >= depth {
		a.Final, a.HasFinal = to.Number-depth, true
	}
	_, err := v.store.Advance(v.t.Context(), v.fence, a, txstate.Rule)
	require.NoError(v.t, err)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pos, v.hashes[to.Number] = to, to.Hash
	v.blocks[to.Number] = &ffcapi.Block{BlockRef: to, Outcomes: true, Transactions: outcomes}
	if a.HasFinal {
		v.safe = ffcapi.BlockRef{Number: a.Final, Hash: v.hashes[a.Final]}
		close(v.moved)
		v.moved = make(chan struct{})
	}
	return to
}

// undo takes the newest block away again.
func (v *view) undo() {
	v.t.Helper()
	v.mu.Lock()
	from := v.pos
	to := ffcapi.BlockRef{Number: from.Number - 1, Hash: v.hashes[from.Number-1]}
	v.mu.Unlock()
	_, err := v.store.Advance(v.t.Context(), v.fence, &store.Advance{From: from, To: to, Rewind: &to.Number}, txstate.Rule)
	require.NoError(v.t, err)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pos = to
	delete(v.hashes, from.Number)
}

// fork has the blocks from here on differ from those that were undone.
func (v *view) fork() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.branch += "'"
}

// found is how often Find was called.
func (v *view) found() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.finds
}

// rig is a manager with its surroundings.
type rig struct {
	*txn.Manager
	t     testing.TB
	fake  *fake
	store *sqlstore.Store
	view  *view
	opts  txn.Options

	mu       sync.Mutex
	statuses []store.StatusEntry
}

type setup struct {
	sequenced bool
	resubmit  time.Duration
	place     *sqlstoretest.Place // nil: a new one
	fake      *fake
	opts      func(*txn.Options)
	stopped   bool // do not start it
}

func newRig(t testing.TB, s setup) *rig {
	t.Helper()
	if s.place == nil {
		s.place = sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	}
	if s.fake == nil {
		s.fake = newFake()
	}
	if s.resubmit == 0 {
		s.resubmit = time.Hour
	}
	st := s.place.Open(t)
	r := &rig{t: t, fake: s.fake, store: st, view: newView(t, st)}
	r.opts = txn.Options{
		Connector: s.fake, Store: st, Fence: st.Fence, Chain: r.view, Lost: st.Lost(),
		Policy: simple.New(simple.Config{
			ResubmitInterval: s.resubmit,
			Backoff:          pace.Backoff{Initial: 10 * time.Millisecond, Max: 40 * time.Millisecond},
		}),
		OnStatus: func(entries []store.StatusEntry) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.statuses = append(r.statuses, entries...)
		},
		NonceStateTimeout: time.Hour,
		Log:               quiet(),
	}
	if s.sequenced {
		r.opts.Connector = sequenced{s.fake}
	}
	if s.opts != nil {
		s.opts(&r.opts)
	}
	m, err := txn.New(r.opts)
	require.NoError(t, err)
	r.Manager = m
	if !s.stopped {
		r.start()
	}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	require.NoError(r.t, r.Start(r.t.Context()))
	r.t.Cleanup(r.stop)
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(r.t, r.Stop(ctx))
}

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

// submission is a request of alice, with an id of its own.
func submission(id string) *apitypes.Submission { return from("alice", id) }

func from(signer, id string) *apitypes.Submission {
	raw := json.RawMessage(fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":%q,"to":"assets","method":"%s","params":[1]}`, id, signer, id))
	return &apitypes.Submission{
		ID: id, Type: apitypes.SendTransaction, From: signer, To: "assets", Method: json.RawMessage(strconv.Quote(id)), Params: []json.RawMessage{json.RawMessage("1")}, Raw: raw,
	}
}

// submit accepts a transaction and returns it.
func (r *rig) submit(sub *apitypes.Submission) *apitypes.Transaction {
	r.t.Helper()
	tx, replay, err := r.Submit(r.t.Context(), sub)
	require.NoError(r.t, err)
	require.False(r.t, replay)
	return tx
}

// until waits for a transaction to be in a sub-status.
func (r *rig) until(id string, sub store.SubStatus) *store.Tx {
	r.t.Helper()
	var tx *store.Tx
	require.Eventually(r.t, func() bool {
		var err error
		tx, err = r.store.Transaction(r.t.Context(), id)
		return err == nil && tx.Sub == sub
	}, wait, tick, "transaction %s never became %s", id, sub)
	return tx
}

func (r *rig) attempts(id string) []*store.Attempt {
	r.t.Helper()
	attempts, err := r.store.Attempts(r.t.Context(), id)
	require.NoError(r.t, err)
	return attempts
}

// untilSent waits for a number of Submits.
func (r *rig) untilSent(n int) []send {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.fake.sends()) >= n }, wait, tick, "not sent %d times", n)
	return r.fake.sends()
}

func success(hash string) ffcapi.TxOutcome { return ffcapi.TxOutcome{Hash: hash, Success: true} }
