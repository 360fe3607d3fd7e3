package sqlstore_test

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/migrations"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// firstRows are what the first version wrote: "new" was accepted, "sent" is in flight, "done" has ended. $h stands for a hash of 32 bytes.
var firstRows = []string{
	`INSERT INTO lease VALUES ('store', 3, 'somebody', 1)`,
	`INSERT INTO signers VALUES ('main', 'alice', 3, 1000000)`,
	`INSERT INTO keys VALUES ('new', $h, 1, 9000000000000000), ('sent', $h, 2, 9000000000000000), ('done', $h, 3, 9000000000000000)`,
	`INSERT INTO tx VALUES
		(1, 'new', 1, 'SendTransaction', 1000000, 1000000, 'Pending', 'Received', 1000000, 5, 'main', 'alice', 'to', 0, '1', '2', NULL, 1,
			'h1', 0, 0, '', NULL, 0, NULL, 0, 0),
		(2, 'sent', 2, 'SendTransaction', 1000000, 2000000, 'Pending', 'Submitting', 2000000, 5, 'main', 'alice', 'to', 1, '', '', NULL, 1,
			'h2', 2000000, 2000000, '', '{"n":1}', 0, NULL, 1, 77),
		(3, 'done', 3, 'SendTransaction', 1000000, 3000000, 'Succeeded', 'Confirmed', 3000000, 5, 'main', 'alice', 'to', 2, '', '', NULL, 1,
			'h3', 2000000, 2000000, '', NULL, 0, '{"block":{"number":4,"hash":"b4"},"index":0,"success":true,"final":true}', 0, 0)`,
	`INSERT INTO tx_body VALUES (1, '{"n":"new"}', '[{"s":"Received","a":"Accept","t":0,"l":0,"c":1}]'), (2, '{"n":"sent"}', NULL),
		(3, '{"n":"done"}', NULL)`,
	`INSERT INTO attempts VALUES
		(1, 1, 'main', 'Prepared', 0, 'h1', 'alice', 0, 7, 'x', '["k"]', 0, 0, 0, '', '', NULL, 0, NULL),
		(2, 1, 'main', 'Submitting', 3, 'h2', 'alice', 1, 0, '', NULL, 1, 1, 2000000, '', '', NULL, 0, NULL),
		(3, 1, 'main', 'Done', 3, 'h3', 'alice', 2, 0, '', NULL, 1, 1, 2000000, '', '', 4, 1,
			'{"block":{"number":4,"hash":"b4"},"index":0,"success":true,"final":true}')`,
	`INSERT INTO attempt_payloads VALUES (1, 1, $p, '{"r":1}', $p), (2, 1, $p, NULL, $p), (3, 1, $p, NULL, NULL)`,
	`INSERT INTO history VALUES (2, 1, 'Submitting', 'SubmitTransaction', 2000000, 2000000, 1, '', NULL)`,
	`INSERT INTO status_log VALUES (1, 1, 'new', 'Pending', 'Received', 1000000), (2, 3, 'done', 'Succeeded', 'Confirmed', 3000000)`,
	`INSERT INTO ledger_position VALUES ('main', 'g', 4, 'b4', 1)`,
}

// firstVersion makes a database as the first version left it.
func firstVersion(t *testing.T, p *sqlstoretest.Place) {
	t.Helper()
	driver, dsn, kind := "sqlite", "file:"+filepath.Join(p.Dir, sqlstore.SQLiteFile), goose.DialectSQLite3
	literal := func(hex string) string { return "x'" + hex + "'" }
	if p.Dialect == sqlstoretest.Postgres {
		driver, dsn, kind = "pgx", p.URL, goose.DialectPostgres
		literal = func(hex string) string { return `'\x` + hex + `'` }
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	files, err := fs.Sub(migrations.FS, p.Dialect)
	require.NoError(t, err)
	m, err := goose.NewProvider(kind, db, files)
	require.NoError(t, err)
	_, err = m.UpTo(t.Context(), 1)
	require.NoError(t, err)
	hash, payload := literal("01"+zeroes(31)), literal("70")
	for _, q := range firstRows {
		_, err := db.ExecContext(t.Context(), strings.NewReplacer("$h", hash, "$p", payload).Replace(q))
		require.NoError(t, err, q)
	}
	if p.Dialect == sqlstoretest.Postgres {
		_, err := db.ExecContext(t.Context(), `SELECT setval('tx_seq_seq', 3), setval('status_log_seq_seq', 2)`)
		require.NoError(t, err)
	}
}

func TestDatabaseOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewBarePlace(t, dialect)
		firstVersion(t, p)
		s := p.Open(t)
		require.Equal(t, int64(4), s.Fence().Generation)
		requireFirstRows(t, s)
		endFirstRows(t, s)
	})
}

// requireFirstRows finds everything that was there.
func requireFirstRows(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	at := time.UnixMicro(1000000).UTC()
	tx, err := s.Transaction(ctx, "new")
	require.NoError(t, err)
	require.Equal(t, &store.Tx{
		Seq: 1, ID: "new", Version: 1, Kind: "SendTransaction", Created: at, Updated: at, Status: store.Pending, Sub: store.SubReceived,
		SubSince: at, Shard: 5, Ledger: "main", From: "alice", To: "to", Nonce: new(uint64), Value: "1", Gas: "2", Attempt: 1, Hash: "h1",
	}, tx)
	as, err := s.Attempts(ctx, "new")
	require.NoError(t, err)
	require.Equal(t, []*store.Attempt{{
		Tx: "new", Number: 1, Ledger: "main", State: store.AttemptPrepared, Hash: "h1", From: "alice", Nonce: new(uint64), Expires: 7,
		Exclusive: "x", ConflictKeys: []string{"k"},
	}}, as)
	hs, err := s.History(ctx, "new")
	require.NoError(t, err)
	require.Equal(t, []store.History{{Sub: store.SubReceived, Action: "Accept", Time: at, Last: at, Count: 1}}, hs)
	for id, want := range map[string]*store.Payload{
		"new": {Prepared: []byte("p"), Result: []byte(`{"r":1}`), Sensitive: []byte("p")}, "sent": {Prepared: []byte("p"), Sensitive: []byte("p")},
		"done": {Prepared: []byte("p")},
	} {
		got, err := s.Payload(ctx, id, 1)
		require.NoError(t, err)
		require.Equal(t, want, got)
		r, err := s.Request(ctx, id)
		require.NoError(t, err)
		require.JSONEq(t, `{"n":"`+id+`"}`, string(r))
	}
	log, err := s.Status(ctx, 0, 0)
	require.NoError(t, err)
	require.Len(t, log, 2)
	open, err := s.Open(ctx, 0, 0)
	require.NoError(t, err)
	require.Len(t, open, 2)
}

// endFirstRows goes on with what was there, and with numbers that were never used.
func endFirstRows(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	got, err := s.Accept(ctx, s.Fence(), request("next", "alice"))
	require.NoError(t, err)
	require.Equal(t, int64(4), got.Tx.Seq)
	require.Equal(t, uint64(3), *got.Tx.Nonce)
	claim(ctx, t, s, "new")
	rule := func(tx *store.Tx, as []*store.Attempt, hit int) *store.TxUpdate {
		tx.Status, tx.Outcome = store.Succeeded, as[hit].Outcome
		return &store.TxUpdate{Tx: tx, Announce: true, Wipe: true}
	}
	to := ffcapi.BlockRef{Number: 5, Hash: "b5"}
	_, err = s.Advance(ctx, s.Fence(), &store.Advance{
		Ledger: "main", From: ffcapi.BlockRef{Number: 4, Hash: "b4"}, To: to, Final: 5, HasFinal: true,
		Blocks: []store.BlockOutcomes{{Block: to, Outcomes: []ffcapi.TxOutcome{{Hash: "h1", Success: true}, {Hash: "h2", Success: true}}}},
	}, rule)
	require.NoError(t, err)
	for _, id := range []string{"new", "sent"} {
		tx, err := s.Transaction(ctx, id)
		require.NoError(t, err)
		require.Equal(t, store.Succeeded, tx.Status)
		p, err := s.Payload(ctx, id, 1)
		require.NoError(t, err)
		require.Nil(t, p.Sensitive)
	}
	log, err := s.Status(ctx, 2, 0)
	require.NoError(t, err)
	require.Len(t, log, 2)
}

// claim takes the only attempt of a transaction to Submitting.
func claim(ctx context.Context, t *testing.T, s store.Store, id string) {
	t.Helper()
	tx, err := s.Transaction(ctx, id)
	require.NoError(t, err)
	as, err := s.Attempts(ctx, id)
	require.NoError(t, err)
	require.Len(t, as, 1)
	as[0].State, as[0].Claim, as[0].Sends = store.AttemptSubmitting, s.Fence().Generation, 1
	require.NoError(t, s.Update(ctx, s.Fence(), &store.TxUpdate{Tx: tx, Attempts: as}))
}

// TestFirstAttemptIsWrittenWithTheFirstUpdate, whatever the update is about, and says the same before and after.
func TestFirstAttemptIsWrittenWithTheFirstUpdate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		r := request("a", "alice")
		r.Attempt.Expires, r.Attempt.Exclusive, r.Attempt.ConflictKeys = 9, "x", []string{"k"}
		got, err := s.Accept(t.Context(), s.Fence(), r)
		require.NoError(t, err)
		before, err := s.Attempts(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "x", before[0].Exclusive)
		got.Tx.Hash = "another"
		require.NoError(t, s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx}))
		after, err := s.Attempts(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

func zeroes(n int) string { return strings.Repeat("00", n) }
