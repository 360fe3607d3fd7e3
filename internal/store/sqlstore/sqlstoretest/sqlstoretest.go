package sqlstoretest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
)

// The dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Place is where one store is kept.
type Place struct {
	Dialect string
	Dir     string // data directory of SQLite
	URL     string // connection string of PostgreSQL
}

// NewPlace makes a place for an empty store, which is gone when the test has ended. The schema is there already, which saves most of the
// time of opening it; see NewBarePlace.
func NewPlace(t testing.TB, dialect string) *Place {
	t.Helper()
	if dialect == Postgres {
		return &Place{Dialect: dialect, URL: database(t, template(t))}
	}
	p := NewBarePlace(t, dialect)
	empty, err := emptySQLite()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, sqlstore.SQLiteFile), empty, 0o600))
	return p
}

// emptySQLite is the file of an empty store.
var emptySQLite = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "pyralis-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := (&Place{Dialect: SQLite, Dir: dir}).Try(context.Background())
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, sqlstore.SQLiteFile))
})

// NewBarePlace makes a place in which there is nothing yet, not even the schema.
func NewBarePlace(t testing.TB, dialect string) *Place {
	t.Helper()
	p := &Place{Dialect: dialect}
	switch dialect {
	case SQLite:
		p.Dir = t.TempDir()
	case Postgres:
		p.URL = database(t, noTemplate)
	default:
		require.FailNow(t, "unknown dialect", dialect)
	}
	return p
}

// Open opens a new, empty store and closes it when the test ends.
func Open(t testing.TB, dialect string) *sqlstore.Store {
	t.Helper()
	return NewPlace(t, dialect).Open(t)
}

// Open opens the store and closes it when the test ends; to open it again before, close it yourself.
func (p *Place) Open(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := p.Try(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Try opens the store. The caller closes it.
func (p *Place) Try(ctx context.Context) (*sqlstore.Store, error) {
	if p.Dialect == Postgres {
		return sqlstore.OpenPostgres(ctx, sqlstore.PostgresConfig{Options: options(), URL: p.URL, MaxConns: 4})
	}
	return sqlstore.OpenSQLite(ctx, sqlstore.SQLiteConfig{Options: options(), Dir: p.Dir})
}

// Exec runs SQL of the dialect beside the store.
func (p *Place) Exec(t testing.TB, query string) {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(p.Dir, sqlstore.SQLiteFile)+"?_pragma=busy_timeout(5000)"
	if p.Dialect == Postgres {
		driver, dsn = "pgx", p.URL
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.ExecContext(t.Context(), query)
	require.NoError(t, err)
}

// options are those of a store that says only what went wrong.
func options() sqlstore.Options {
	l := logrus.New()
	l.SetLevel(logrus.PanicLevel)
	return sqlstore.Options{Log: logrus.NewEntry(l)}
}
