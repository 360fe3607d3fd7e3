package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

const patience = 20 * time.Second

func TestSecondOwnerIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		first := p.Open(t)
		_, err := p.Try(t.Context())
		require.ErrorIs(t, err, store.ErrInUse)
		require.ErrorContains(t, err, fmt.Sprintf("process %d on ", os.Getpid()))
		require.NoError(t, first.Ping(t.Context()), "the first is not disturbed")
		require.NoError(t, first.Close())
		p.Open(t)
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewBarePlace(t, dialect)
		require.NoError(t, p.Open(t).Close())
		p.Exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)`)
		_, err := p.Try(t.Context())
		require.ErrorIs(t, err, store.ErrTooNew)
		require.ErrorContains(t, err, "version 999")
		p.Exec(t, `DELETE FROM goose_db_version WHERE version_id = 999`)
		p.Open(t)
	})
}

func TestBadPlaceIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/pyralis"} {
		_, err := sqlstore.OpenSQLite(t.Context(), sqlstore.SQLiteConfig{Dir: dir})
		require.ErrorContains(t, err, dir)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, sqlstore.SQLiteFile), []byte("this is no database at all, but a text"), 0o600))
	_, err := sqlstore.OpenSQLite(t.Context(), sqlstore.SQLiteConfig{Dir: dir})
	require.ErrorContains(t, err, dir)

	_, err = sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: "postgres://u:secret@127.0.0.1:1/d"})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	_, err = sqlstore.OpenPostgres(t.Context(), sqlstore.PostgresConfig{URL: "postgres://u:secret@127.0.0.1:nan/d"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestOddDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41", "new")
	s, err := sqlstore.OpenSQLite(t.Context(), sqlstore.SQLiteConfig{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.FileExists(t, filepath.Join(dir, sqlstore.SQLiteFile))
}

func TestLostLockIsTold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		require.NoError(t, s.Ping(t.Context()))
		if dialect == sqlstoretest.SQLite {
			require.NoError(t, os.Remove(filepath.Join(p.Dir, "pyralis.lock")))
		} else {
			p.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database =
				(SELECT oid FROM pg_database WHERE datname = current_database())`)
		}
		select {
		case <-s.Lost():
		case <-time.After(patience):
			require.Fail(t, "not told")
		}
		require.ErrorIs(t, s.Ping(t.Context()), store.ErrFenced)

		// Whoever takes it over shuts the old owner out.
		if dialect == sqlstoretest.Postgres {
			p.Open(t)
			_, err := s.Accept(t.Context(), s.Fence(), request("late", "alice"))
			require.ErrorIs(t, err, store.ErrFenced)
		}
	})
}

func TestSQLiteSyncsEachCommit(t *testing.T) {
	t.Parallel()
	mode, err := sqlstoretest.Open(t, sqlstoretest.SQLite).Synchronous(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), mode, "FULL")
}

func TestCommitsMustBeDurable(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	p.Exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	_, err := p.Try(t.Context())
	require.ErrorContains(t, err, "synchronous_commit is off")
}

// TestTakeoverWaitsForNobodyWhoIsLate: what an owner writes and a takeover go one after the other. A group that begins while another process takes
// over, and would end after it, is not written.
func TestTakeoverWaitsForNobodyWhoIsLate(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	other, err := pgx.Connect(t.Context(), p.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close(context.Background())) }()
	takeover, err := other.Begin(t.Context())
	require.NoError(t, err)
	_, err = takeover.Exec(t.Context(), `UPDATE lease SET generation = generation + 1`)
	require.NoError(t, err)

	answer := make(chan error, 1)
	go func() {
		_, err := s.Accept(t.Context(), s.Fence(), request("late", "alice"))
		answer <- err
	}()
	watch, err := pgx.Connect(t.Context(), p.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, watch.Close(context.Background())) }()
	require.Eventually(t, func() bool {
		var waiting int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return len(answer) > 0 || err == nil && waiting > 0
	}, patience, time.Millisecond)
	require.NoError(t, takeover.Commit(t.Context()))
	select {
	case err := <-answer:
		require.ErrorIs(t, err, store.ErrFenced)
	case <-time.After(patience):
		require.Fail(t, "no answer")
	}
}
