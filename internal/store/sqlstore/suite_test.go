package sqlstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, suite(sqlstoretest.SQLite))
}

func suite(dialect string) storetest.New {
	return func(t testing.TB) func() store.Store {
		open := sqlstoretest.New(t, dialect)
		return func() store.Store { return open() }
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, suite(sqlstoretest.Postgres))
}
