package sqlstoretest

import (
	"context"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
)

// The dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Open opens a new, empty store and closes it when the test ends.
func Open(t testing.TB, dialect string) *sqlstore.Store {
	t.Helper()
	return New(t, dialect)()
}

// New makes a place for one store and returns what opens it. Every store opened is closed when the test ends; to open the place
// again before, close the store yourself.
func New(t testing.TB, dialect string) func() *sqlstore.Store {
	t.Helper()
	var open func(ctx context.Context) (*sqlstore.Store, error)
	switch dialect {
	case SQLite:
		dir := t.TempDir()
		open = func(ctx context.Context) (*sqlstore.Store, error) {
			return sqlstore.OpenSQLite(ctx, sqlstore.SQLiteConfig{Options: Options(), Dir: dir})
		}
	case Postgres:
		url := database(t)
		open = func(ctx context.Context) (*sqlstore.Store, error) {
			return sqlstore.OpenPostgres(ctx, sqlstore.PostgresConfig{Options: Options(), URL: url, MaxConns: 4})
		}
	default:
		require.FailNow(t, "unknown dialect", dialect)
	}
	return func() *sqlstore.Store {
		t.Helper()
		s, err := open(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
}

// Options are those of a store that says only what went wrong.
func Options() sqlstore.Options {
	l := logrus.New()
	l.SetLevel(logrus.WarnLevel)
	return sqlstore.Options{Log: logrus.NewEntry(l)}
}
