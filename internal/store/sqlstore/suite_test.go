package sqlstore_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dialect := os.Getenv(crashDialect); dialect != "" {
		acceptUntilKilled(&sqlstoretest.Place{Dialect: dialect, Dir: os.Getenv(crashPlace), URL: os.Getenv(crashPlace)})
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		// Most of what these tests do is wait for a disk or a server.
		if err := f.Value.Set("8"); err != nil {
			panic(err)
		}
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

func TestSearchSuite(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		storetest.RunSearch(t, func(tb testing.TB) store.Store {
			tb.Helper()
			s := sqlstoretest.Open(tb, dialect)
			s.LimitSearch(storetest.Searched)
			if dialect == sqlstoretest.SQLite {
				require.NoError(tb, s.EnterSigners(tb.Context(), 2*storetest.Searched))
			}
			return s
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
