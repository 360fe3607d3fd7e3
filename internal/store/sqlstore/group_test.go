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
