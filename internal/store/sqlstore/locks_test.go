package sqlstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// other is another writer of the database, in the middle of a transaction, and somebody who watches.
type other struct {
	t     *testing.T
	tx    pgx.Tx
	watch *pgx.Conn
}

func newOther(t *testing.T, p *sqlstoretest.Place) *other {
	t.Helper()
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(t.Context(), p.URL)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
		return c
	}
	tx, err := connect().Begin(t.Context())
	require.NoError(t, err)
	return &other{t: t, tx: tx, watch: connect()}
}

func (o *other) exec(query string, args ...any) {
	o.t.Helper()
	_, err := o.tx.Exec(o.t.Context(), query, args...)
	require.NoError(o.t, err)
}

func (o *other) commit() {
	o.t.Helper()
	require.NoError(o.t, o.tx.Commit(o.t.Context()))
}

// waitedFor waits until somebody waits for a lock.
func (o *other) waitedFor() {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		var n int
		err := o.watch.QueryRow(o.t.Context(),
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		require.NoError(o.t, err)
		return n > 0
	}, patience, tick, "nobody waits")
}

const lockSigner = `SELECT next_nonce FROM signers WHERE ledger = 'main' AND signer = $1 FOR UPDATE NOWAIT`

// numbered is a store whose signers have nonces that somebody else has assigned.
func numbered(t *testing.T) (*sqlstore.Store, *other) {
	t.Helper()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	p.Exec(t, `INSERT INTO signers (ledger, signer, next_nonce, assigned_at) VALUES ('main', 'alice', 4, 1), ('main', 'bob', 7, 1)`)
	return s, newOther(t, p)
}

// TestSignersAreLockedInOrder: two writers that want the same signers can never wait for each other, and what was assigned while one waited
// is not assigned again.
func TestSignersAreLockedInOrder(t *testing.T) {
	t.Parallel()
	s, o := numbered(t)
	o.exec(lockSigner, "alice")
	release := s.Occupy(t)
	answers := make(chan []store.Acceptance, 1)
	go func() {
		answers <- s.AcceptAll(t.Context(), s.Fence(), []*store.NewTx{request("b", "bob"), request("a", "alice")})
	}()
	require.Eventually(t, func() bool { return s.Queued() == 2 }, patience, tick)
	release()
	o.waitedFor()
	o.exec(lockSigner, "bob") // whoever waits for alice does not hold bob
	o.exec(`UPDATE signers SET next_nonce = 10 WHERE signer = 'alice'`)
	o.commit()
	for i, want := range []uint64{7, 10} {
		a := (<-answers)
		require.NoError(t, a[i].Err)
		require.Equal(t, want, *a[i].Accepted.Tx.Nonce)
		answers <- a
	}
}

// TestSignersAreWrittenInOrder: what is remembered of a signer is not read again, so that signer is locked by the write. That keeps to the same order.
func TestSignersAreWrittenInOrder(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	const signers = 12
	named := func(round string) (requests []*store.NewTx) {
		for i := range signers {
			signer := fmt.Sprintf("signer-%02d", i)
			requests = append(requests, request(round+signer, signer))
		}
		return requests
	}
	for _, a := range s.AcceptAll(t.Context(), s.Fence(), named("first ")) {
		require.NoError(t, a.Err)
	}
	o := newOther(t, p)
	o.exec(lockSigner, "signer-00")
	release := s.Occupy(t)
	answers := make(chan []store.Acceptance, 1)
	go func() { answers <- s.AcceptAll(t.Context(), s.Fence(), named("second ")) }()
	require.Eventually(t, func() bool { return s.Queued() == signers }, patience, tick)
	release()
	o.waitedFor()
	for i := range signers {
		o.exec(lockSigner, fmt.Sprintf("signer-%02d", i)) // whoever waits for the first holds none of the others
	}
	o.commit()
	for _, a := range <-answers {
		require.NoError(t, a.Err)
		require.EqualValues(t, 1, *a.Accepted.Tx.Nonce)
	}
}

// TestKeysAreResolvedBeforeSigners: whoever waits to know whether a key is taken does not hold up those who want other keys for the signer.
func TestKeysAreResolvedBeforeSigners(t *testing.T) {
	t.Parallel()
	s, o := numbered(t)
	o.exec(`INSERT INTO keys (key, body_hash, tx, expires) VALUES ('a', '\x00', 99, 1)`)
	answer := make(chan error, 1)
	go func() {
		got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
		if err == nil && *got.Tx.Nonce != 4 {
			t.Errorf("nonce %d", *got.Tx.Nonce)
		}
		answer <- err
	}()
	o.waitedFor()
	o.exec(lockSigner, "alice")
	require.NoError(t, o.tx.Rollback(t.Context()))
	require.NoError(t, <-answer)
}

// announcing is a store with a transaction, and something else that is connected to the same database. announce begins to write to the log.
func announcing(t *testing.T) (_ *sqlstore.Store, _ *other, announce func() <-chan error) {
	t.Helper()
	p := sqlstoretest.NewPlace(t, sqlstoretest.Postgres)
	s := p.Open(t)
	got, err := s.Accept(t.Context(), s.Fence(), request("a", "alice"))
	require.NoError(t, err)
	return s, newOther(t, p), func() <-chan error {
		answer := make(chan error, 1)
		go func() { answer <- s.Update(t.Context(), s.Fence(), &store.TxUpdate{Tx: got.Tx, Announce: true}) }()
		return answer
	}
}

// TestTheLogIsWrittenByOneAtATime: a row that is there has all those before it.
func TestTheLogIsWrittenByOneAtATime(t *testing.T) {
	t.Parallel()
	s, o, announce := announcing(t)
	o.exec(`SELECT pg_advisory_xact_lock($1)`, int64(sqlstore.LogLock))
	o.exec(`INSERT INTO status_log (tx, id, status, sub, time) VALUES (-1, 'other', 'Failed', 'Failed', 1)`)
	answer := announce()
	o.waitedFor()
	log, err := s.Status(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Empty(t, log)
	o.commit()
	require.NoError(t, <-answer)
	log, err = s.Status(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, []string{"other", "a"}, []string{log[0].TxID, log[1].TxID})
}

// TestWhoWaitsForTheLogHasNoNumberYet: the lock is taken before the row is inserted, not after it.
func TestWhoWaitsForTheLogHasNoNumberYet(t *testing.T) {
	t.Parallel()
	s, o, announce := announcing(t)
	o.exec(`SELECT pg_advisory_xact_lock($1)`, int64(sqlstore.LogLock))
	answer := announce()
	o.waitedFor()
	o.exec(`INSERT INTO status_log (tx, id, status, sub, time) VALUES (-1, 'other', 'Failed', 'Failed', 1)`)
	o.commit()
	require.NoError(t, <-answer)
	log, err := s.Status(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, []string{"other", "a"}, []string{log[0].TxID, log[1].TxID})
}

// TestTheLogIsLockedLast: whoever waits for something else does not keep others from writing to the log.
func TestTheLogIsLockedLast(t *testing.T) {
	t.Parallel()
	_, o, announce := announcing(t)
	o.exec(`SELECT seq FROM tx WHERE id = 'a' FOR UPDATE`)
	answer := announce()
	o.waitedFor()
	var free bool
	require.NoError(t, o.tx.QueryRow(t.Context(), `SELECT pg_try_advisory_xact_lock($1)`, int64(sqlstore.LogLock)).Scan(&free))
	require.True(t, free)
	o.commit()
	require.NoError(t, <-answer)
}
