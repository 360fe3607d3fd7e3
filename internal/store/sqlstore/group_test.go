package sqlstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// poison makes the database refuse what no check of ours would.
func poison(t *testing.T, p *sqlstoretest.Place) {
	t.Helper()
	if p.Dialect == sqlstoretest.SQLite {
		p.Exec(t, `CREATE TRIGGER poison BEFORE INSERT ON tx WHEN NEW.kind = 'poison' BEGIN SELECT RAISE(ABORT, 'poison'); END`)
		return
	}
	p.Exec(t, `CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$`)
	p.Exec(t, `CREATE TRIGGER poison BEFORE INSERT ON tx FOR EACH ROW WHEN (NEW.kind = 'poison') EXECUTE FUNCTION poison()`)
}

func TestRefusedItemFailsAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		const n = 100
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		poison(t, p)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				r := request(fmt.Sprint(i), "alice")
				bad := i%7 == 0
				if bad {
					r.Tx.Kind = "poison"
				}
				_, err := s.Accept(t.Context(), s.Fence(), r)
				if (err != nil) != bad {
					t.Errorf("item %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		txs, err := s.List(t.Context(), store.TxFilter{Ascending: true})
		require.NoError(t, err)
		require.Len(t, txs, n-15)
		for i, tx := range txs {
			require.Equal(t, uint64(i), *tx.Nonce)
		}
		_, _, err = s.Key(t.Context(), "0")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestTerminalIsGuardedByTheDatabase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
		require.NoError(t, err)
		got.Tx.Status = store.Succeeded
		require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx}))
		require.Panics(t, func() { p.Exec(panicking{t}, `UPDATE tx SET status = 'Failed'`) })

		// An update that leaves the status alone asks for it, too: what the writer remembers is not enough.
		got, err = s.Accept(t.Context(), s.Fence(), request("b", "alice"))
		require.NoError(t, err)
		p.Exec(t, `UPDATE tx SET status = 'Failed' WHERE status = 'Pending'`)
		got.Tx.Error = "rewritten"
		require.ErrorIs(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx}), store.ErrConflict)
		b, err := s.Transaction(t.Context(), "b")
		require.NoError(t, err)
		require.Empty(t, b.Error)
	})
}

// panicking turns a failed requirement into a panic that a test can expect.
type panicking struct{ *testing.T }

func (panicking) Errorf(string, ...any) {}
func (panicking) FailNow()              { panic("failed") }

func TestForeignWritesToTheLogWake(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	ch := s.Changed()
	p.Exec(t, `INSERT INTO status_log (tx, id, status, sub, time) VALUES (-1, 'gone', 'Failed', 'Failed', 1)`)
	select {
	case <-ch:
	case <-time.After(patience):
		require.Fail(t, "not woken")
	}
	log, err := s.Status(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, log, 1)
	require.Nil(t, log[0].Tx, "its transaction is gone")
	require.Equal(t, "gone", log[0].TxID)
}

// TestWrongMemory: what the writer remembers of a transaction, or of a signer, is not believed over what is stored.
func TestWrongMemory(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
		require.NoError(t, err)
		p.Exec(t, `UPDATE tx SET version = 7`)
		u := &store.TxUpdate{Tx: got.Tx, History: []store.History{{Action: "x"}}}
		require.ErrorIs(t, s.Update(t.Context(), s.Fence(), u), store.ErrConflict)
		got.Tx.Version = 7
		require.NoError(t, s.Update(t.Context(), s.Fence(), u))
		require.Equal(t, int64(8), got.Tx.Version)

		p.Exec(t, `UPDATE tx SET version = 20`)
		got.Tx.Version = 20
		_ = s.Update(t.Context(), s.Fence(), u) // decided by what is remembered: a conflict
		require.NoError(t, s.Update(t.Context(), s.Fence(), u), "not for ever")

		p.Exec(t, `INSERT INTO history (tx, n, sub, action, first, last, count, error) VALUES (1, 2, '', 'other', 1, 1, 1, '')`)
		p.Exec(t, `UPDATE tx SET history_n = 2, history_fold = 5`)
		u.History[0].Action = "y"
		require.NoError(t, s.Update(t.Context(), s.Fence(), u))
		hs, err := s.History(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"x", "other", "y"}, []string{hs[0].Action, hs[1].Action, hs[2].Action})

		p.Exec(t, `UPDATE tx SET nonce = 1`)
		p.Exec(t, `UPDATE signers SET next_nonce = 2`)
		next, err := s.Accept(t.Context(), s.Fence(), request("b", "alice"))
		require.NoError(t, err)
		require.Equal(t, uint64(2), *next.Tx.Nonce)
	})
}

// TestWhatIsRedoneStartsAfresh: a request that was the second with its key is the first one when that was refused.
func TestWhatIsRedoneStartsAfresh(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		poison(t, p)
		bad := request("a", "alice")
		bad.Tx.Kind = "poison"
		release := s.Occupy(t)
		answers := make(chan []store.Acceptance, 1)
		go func() { answers <- s.AcceptAll(t.Context(), s.Fence(), []*store.NewTx{bad, request("a", "alice")}) }()
		require.Eventually(t, func() bool { return s.Queued() == 2 }, patience, tick)
		release()
		got := <-answers
		require.Error(t, got[0].Err)
		require.NoError(t, got[1].Err)
		require.False(t, got[1].Accepted.Replay)
	})
}
