package sqlstore_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dialect := os.Getenv(crashDialect); dialect != "" {
		acceptUntilKilled(&sqlstoretest.Place{Dialect: dialect, Dir: os.Getenv(crashPlace), URL: os.Getenv(crashPlace)})
	}
	goleak.VerifyTestMain(m)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		storetest.Run(t, func(tb testing.TB) func() store.Store {
			tb.Helper()
			p := sqlstoretest.NewPlace(tb, dialect)
			return func() store.Store { return p.Open(tb) }
		})
	})
}

// onBoth runs a test on both dialects.
func onBoth(t *testing.T, test func(t *testing.T, dialect string)) {
	t.Helper()
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			test(t, dialect)
		})
	}
}
