package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := sqlstoretest.Open(t, sqlstoretest.SQLite)
	_, err := s.Accept(t.Context(), s.Fence(), request("before", "alice"))
	require.NoError(t, err)
	require.NoError(t, s.LimitPages(t.Context(), 1))
	big := func(id string) error {
		r := request(id, "alice")
		r.Payload.Prepared = make([]byte, 1<<20)
		_, err := s.Accept(t.Context(), s.Fence(), r)
		return err
	}
	require.ErrorIs(t, big("a"), store.ErrFull)
	require.ErrorIs(t, big("b"), store.ErrFull)
	_, err = s.Transaction(t.Context(), "before")
	require.NoError(t, err, "reading goes on")
	require.NoError(t, s.LimitPages(t.Context(), 0))
	require.NoError(t, s.Ping(t.Context()), "it tries again")
	require.NoError(t, big("a"))
	_, at, err := s.NewestNonce(t.Context(), "main", "alice")
	require.NoError(t, err)
	require.False(t, at.IsZero())
	got, err := s.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, uint64(1), *got.Nonce, "a refused one used no nonce")
}

func TestDiskFillsUp(t *testing.T) {
	t.Parallel()
	s := sqlstoretest.Open(t, sqlstoretest.SQLite)
	require.NoError(t, s.LimitPages(t.Context(), 1))
	var err error
	for i := 0; err == nil; i++ { // fill what the pages in use have left
		r := request(fmt.Sprint(i), "alice")
		r.Payload.Prepared = make([]byte, 4096)
		_, err = s.Accept(t.Context(), s.Fence(), r)
	}
	require.ErrorIs(t, err, store.ErrFull)
}

// TestLockedByAnotherProgram: who looks into the file with a tool, and locks it, has callers come again, all together.
func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	const callers = 20
	p := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	s := p.Open(t)
	db, err := sql.Open("sqlite", filepath.Join(p.Dir, sqlstore.SQLiteFile))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if _, err := s.Accept(t.Context(), s.Fence(), request(fmt.Sprint(i), "alice")); !errors.Is(err, store.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	got, err := s.Accept(t.Context(), s.Fence(), request("0", "alice"))
	require.NoError(t, err)
	require.Zero(t, *got.Tx.Nonce)
}

// through opens a store whose every connection goes through a proxy.
func through(t *testing.T) (*sqlstore.Store, *proxy) {
	t.Helper()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	u, err := url.Parse(p.URL)
	require.NoError(t, err)
	x := newProxy(t, u.Host)
	u.Host = x.addr()
	p.URL = u.String()
	return p.Open(t), x
}

func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, when := range []struct {
		name  string
		fault fault
	}{
		{"first answer lost", fault{message: 1, answered: true}},
		{"first message lost", fault{message: 1}},
		{"answer to commit lost", fault{message: 2, answered: true}},
		{"commit lost", fault{message: 2}},
	} {
		t.Run(when.name, func(t *testing.T) {
			t.Parallel()
			s, x := through(t)
			for i := range 3 { // statements are prepared when they are first used
				_, err := s.Accept(t.Context(), s.Fence(), request(fmt.Sprint("warm", i), "alice"))
				require.NoError(t, err)
			}
			x.arm(when.fault)
			got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
			require.NoError(t, err)
			require.False(t, got.Replay)
			require.Equal(t, uint64(3), *got.Tx.Nonce)
			require.True(t, x.struck(), "the fault happened")

			x.arm(when.fault)
			got.Tx.Error = "changed"
			u := &store.TxUpdate{Tx: got.Tx, History: []store.History{{Action: "x"}}, Announce: true}
			require.NoError(t, s.Update(t.Context(), s.Fence(), u))
			require.True(t, x.struck(), "the fault happened")
			there, err := s.Transaction(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, int64(2), there.Version)
			require.Equal(t, got.Tx, there)
			hs, err := s.History(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, hs, 1)
			require.Equal(t, 1, hs[0].Count)
			head, err := s.StatusHead(t.Context())
			require.NoError(t, err)
			log, err := s.Status(t.Context(), 0, 0)
			require.NoError(t, err)
			require.Len(t, log, 1, "head %d", head)
		})
	}
}

func TestConnectionsBreakUnderLoad(t *testing.T) {
	t.Parallel()
	const callers, each, cuts = 10, 40, 15
	s, x := through(t)
	var progress, unknown atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				r := request(fmt.Sprintf("%d-%d", c, i), "alice")
				_, err := s.Accept(t.Context(), s.Fence(), r)
				for ; errors.Is(err, store.ErrUnavailable); _, err = s.Accept(t.Context(), s.Fence(), r) {
					unknown.Add(1)
				}
				if err != nil {
					t.Error(err)
				}
				progress.Add(1)
			}
		})
	}
	for cut := range int64(cuts) {
		require.Eventually(t, func() bool { return progress.Load() >= cut*callers*each/cuts }, patience, tick)
		x.cut()
	}
	wg.Wait()
	txs, err := s.List(t.Context(), store.TxFilter{Ascending: true})
	require.NoError(t, err)
	require.Len(t, txs, callers*each)
	for i, tx := range txs {
		require.Equal(t, uint64(i), *tx.Nonce)
	}
	t.Logf("%d answers were unknown", unknown.Load())
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	s, x := through(t)
	x.refuse(true)
	x.cut()
	_, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable)
	_, err = s.Transaction(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrUnavailable)
	x.refuse(false)
	_, err = s.Accept(t.Context(), s.Fence(), request("a", "alice"))
	require.NoError(t, err)
	<-s.Lost() // the lock went with its connection
}

// TestLogUnderForeignWriters reads the log while the store and other connections write to it at once.
func TestLogUnderForeignWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 100
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { writeLog(t, p.URL, w, each) })
		wg.Go(func() {
			for i := range each {
				got, err := s.Accept(t.Context(), s.Fence(), request(fmt.Sprintf("own-%d-%d", w, i), "alice"))
				if err == nil {
					err = s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx, Announce: true})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen, last := 0, int64(0)
	for seen < 2*writers*each {
		page, err := s.Status(t.Context(), last, 50)
		require.NoError(t, err)
		for _, e := range page {
			require.Greater(t, e.Seq, last)
			last = e.Seq
			seen++
		}
		if len(page) == 0 {
			<-time.After(tick)
		}
	}
	wg.Wait()
}

// writeLog writes rows as another process would: the lock first, in the same transaction.
func writeLog(t *testing.T, url string, w, n int) {
	t.Helper()
	ctx := t.Context()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	for i := range n {
		err = errors.Join(err, pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(sqlstore.LogLock))
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO status_log (tx, id, status, sub, time) VALUES (-1, $1, 'Failed', 'Failed', 1)`, fmt.Sprint(w, "-", i))
			return err
		}))
	}
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		t.Error(err)
	}
}
