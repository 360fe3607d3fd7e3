package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// TestKeysFindRows: a plan that is made when the tables are empty is kept while they grow, so it must not walk over all that is open, or
// over all there is.
func TestKeysFindRows(t *testing.T) {
	t.Parallel()
	plans := sqlstore.KeyPlans(t, sqlstoretest.Open(t, sqlstoretest.Postgres))
	require.NotEmpty(t, plans)
	for sql, plan := range plans {
		require.Contains(t, plan, "_pkey", sql)
		for _, bad := range []string{"Seq Scan", "Bitmap", "tx_open", "tx_status", "Materialize"} {
			require.NotContains(t, plan, bad, sql)
		}
	}
}
