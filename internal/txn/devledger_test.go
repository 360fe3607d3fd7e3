package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// follower applies the outcomes of a ledger with instant finality, as the confirm engine does.
type follower struct {
	t     testing.TB
	chain ffcapi.Connector
	store *sqlstore.Store

	mu     sync.Mutex
	pos    ffcapi.BlockRef
	hashes map[uint64]string
	moved  chan struct{}
	done   chan struct{}
}

func follow(t testing.TB, c ffcapi.Connector, s *sqlstore.Store) *follower {
	t.Helper()
	l, err := c.Ledger(t.Context(), "")
	require.NoError(t, err)
	state, err := s.UseLedger(t.Context(), s.Fence(), store.LedgerState{ID: l.ID, Position: l.Head})
	require.NoError(t, err)
	f := &follower{t: t, chain: c, store: s, pos: state.Position, hashes: map[uint64]string{}, moved: make(chan struct{}), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go f.run(ctx)
	t.Cleanup(func() { cancel(); <-f.done })
	return f
}

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	for b, err := range f.chain.Blocks(ctx, "", f.pos) {
		if err != nil {
			return // the test ends
		}
		if b.Number <= f.pos.Number {
			continue // the head again
		}
		_, err = f.store.Advance(ctx, f.store.Fence(), &store.Advance{
			From: f.pos, To: b.BlockRef, Final: b.Number, HasFinal: true,
			Blocks: []store.BlockOutcomes{{Block: b.BlockRef, Outcomes: b.Transactions}},
		}, txstate.Rule)
		if err != nil {
			if ctx.Err() == nil {
				f.t.Errorf("advance: %v", err)
			}
			return
		}
		f.mu.Lock()
		f.pos, f.hashes[b.Number] = b.BlockRef, b.Hash
		close(f.moved)
		f.moved = make(chan struct{})
		f.mu.Unlock()
	}
}

func (f *follower) Follow(string)                       {}
func (f *follower) Ready(context.Context, string) error { return nil }
func (f *follower) Failed(string) error                 { return nil }

func (f *follower) Safe(string) (ffcapi.BlockRef, bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos, true, f.moved
}

func (f *follower) Final(_ string, number uint64, _ int) bool {
	safe, _, _ := f.Safe("")
	return number <= safe.Number
}

func (f *follower) Find(context.Context, string, string, uint64) (*ffcapi.Block, int, error) {
	return nil, 0, nil
}

func (f *follower) Confirming(string, ffcapi.BlockRef, int) []ffcapi.Block { return nil }

func (f *follower) Confirmations(context.Context, string, ffcapi.BlockRef, int) ([]ffcapi.Block, error) {
	return nil, nil
}

func (f *follower) Head(string) (ffcapi.BlockRef, bool) {
	head, _, _ := f.Safe("")
	return head, true
}

func (f *follower) Canonical(_ string, number uint64) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := f.hashes[number]
	return h, ok
}

func ledger(t testing.TB, change func(*devledger.Config)) devledger.Connector {
	t.Helper()
	cfg := devledger.DefaultConfig()
	cfg.Durable = false
	if change != nil {
		change(&cfg)
	}
	c, err := devledger.New(cfg, devledger.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func manage(t testing.TB, c ffcapi.Connector, s *sqlstore.Store, chain txn.Chain) (*txn.Manager, func()) {
	t.Helper()
	m, err := txn.New(txn.Options{
		Connector: c, Store: s, Fence: s.Fence, Chain: chain, Log: quiet(), NonceStateTimeout: time.Hour,
		Policy: simple.New(simple.Config{
			ResubmitInterval: 100 * time.Millisecond, Backoff: pace.Backoff{Initial: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		}),
	})
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, m.Stop(ctx))
	}
	t.Cleanup(stop)
	return m, stop
}

func create(signer, id string) *apitypes.Submission {
	return &apitypes.Submission{
		ID: "create-" + id, Type: apitypes.SendTransaction, From: signer, To: "assets",
		Method: json.RawMessage(`"create"`), Params: []json.RawMessage{json.RawMessage(fmt.Sprintf("%q", id)), json.RawMessage(`"v"`)},
	}
}

// TestOnTheDevLedger drives a bad node: it fails, loses answers, forgets its pool and duplicates, while the manager is stopped and
// started again. Every transaction ends once, and the ledger holds each asset.
func TestOnTheDevLedger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect   string
		sequenced bool
	}{{sqlstoretest.SQLite, true}, {sqlstoretest.SQLite, false}, {sqlstoretest.Postgres, true}} {
		t.Run(fmt.Sprintf("%s sequenced=%t", c.dialect, c.sequenced), func(t *testing.T) {
			t.Parallel()
			onTheDevLedger(t, c.dialect, c.sequenced)
		})
	}
}

func onTheDevLedger(t *testing.T, dialect string, sequenced bool) {
	t.Helper()
	c := ledger(t, func(cfg *devledger.Config) { cfg.Sequenced = sequenced; cfg.BlockPeriod = 5 * time.Millisecond })
	s := sqlstoretest.Open(t, dialect)
	chain := follow(t, c, s)
	const n, rounds, signers = 60, 3, 3
	for round := range rounds {
		m, stop := manage(t, c, s, chain)
		c.Knobs().LoseAnswers(3)
		c.Knobs().DuplicateNext(2)
		c.Knobs().FailNext(devledger.MethodSubmit, &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe}, 4)
		var wg sync.WaitGroup
		for i := range n / rounds {
			wg.Go(func() {
				id := fmt.Sprintf("%d-%d", round, i)
				if _, _, err := m.Submit(t.Context(), create(fmt.Sprintf("signer%d", i%signers), id)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		_, err := c.Knobs().DropPool(t.Context())
		require.NoError(t, err)
		if round < rounds-1 {
			stop()
		}
	}
	require.Eventually(t, func() bool {
		open, err := s.CountOpen(t.Context())
		return err == nil && open == 0
	}, wait, tick)
	failed, err := s.List(t.Context(), store.TxFilter{Statuses: []store.TxStatus{store.Failed}})
	require.NoError(t, err)
	require.Empty(t, failed)
	raw, err := c.Query(t.Context(), &ffcapi.Request{To: "assets", Method: json.RawMessage(`"list"`)})
	require.NoError(t, err)
	var assets []json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &assets))
	require.Len(t, assets, n)
}

// TestLosesARace: a create that was fine when it was prepared fails in its block.
func TestLosesARace(t *testing.T) {
	t.Parallel()
	c := ledger(t, nil)
	s := sqlstoretest.Open(t, sqlstoretest.SQLite)
	m, _ := manage(t, c, s, follow(t, c, s))
	c.Knobs().Pause()
	first, second := create("alice", "x"), create("bob", "x")
	second.ID = "again"
	for _, sub := range []*apitypes.Submission{first, second} {
		_, _, err := m.Submit(t.Context(), sub)
		require.NoError(t, err)
	}
	c.Knobs().Resume()
	states := map[string]int{}
	require.Eventually(t, func() bool {
		clear(states)
		for _, id := range []string{first.ID, second.ID} {
			tx, err := m.Transaction(t.Context(), id, false)
			require.NoError(t, err)
			states[tx.Status]++
		}
		return states["Succeeded"] == 1 && states["Failed"] == 1
	}, wait, tick)

	third := create("carol", "x")
	third.ID = "late"
	_, _, err := m.Submit(t.Context(), third)
	require.ErrorContains(t, err, "exists", "and now the simulation says so")
}
