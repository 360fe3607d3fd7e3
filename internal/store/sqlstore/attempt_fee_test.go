package sqlstore

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store/sqlstore/migrations"
)

// TestFeesMoveToTheirAttempts: what was sent with a fee before fees were kept with attempts is sent again with the same.
func TestFeesMoveToTheirAttempts(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "old.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	files, err := fs.Sub(migrations.FS, "sqlite")
	require.NoError(t, err)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	require.NoError(t, err)
	_, err = p.UpTo(t.Context(), 3)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO tx (seq, id, version, kind, created, updated, status, sub, sub_since, shard, ledger, signer,
		recipient, nonce, value, gas, fee, attempt, hash, first_submit, last_submit, error, due, history_n, history_fold)
		VALUES (1, 'a', 1, '', 0, 0, 'Pending', 'Tracking', 0, 0, '', 'alice', '', 0, '', '', '"5"', 2, '', 0, 0, '', 0, 0, 0),
		(2, 'b', 1, '', 0, 0, 'Pending', 'Tracking', 0, 0, '', 'bob', '', 0, '', '', NULL, 1, '', 0, 0, '', 0, 0, 0)`)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO attempts (tx, number, ledger, state, claim, hash, signer, expires, exclusive, sends, open, last_sent,
		error, dead, final) VALUES (1, 1, '', 'Done', 1, '', 'alice', 0, '', 1, 1, 0, '', '', 1),
		(1, 2, '', 'Submitting', 1, '', 'alice', 0, '', 1, 1, 0, '', '', 0), (2, 1, '', 'Submitting', 1, '', 'bob', 0, '', 1, 1, 0, '', '', 0)`)
	require.NoError(t, err)
	_, err = p.UpTo(t.Context(), 4)
	require.NoError(t, err)

	rows, err := db.QueryContext(t.Context(), `SELECT coalesce(fee, 'none') FROM attempts ORDER BY tx, number`)
	require.NoError(t, err)
	defer rows.Close()
	var fees []string
	for rows.Next() {
		var fee string
		require.NoError(t, rows.Scan(&fee))
		fees = append(fees, fee)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"none", `"5"`, "none"}, fees)
}
