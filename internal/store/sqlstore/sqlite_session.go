package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pyralis-io/pyralis/internal/store"
)

// maxParams is more than any statement has parameters, or columns.
const maxParams = 64

// sqliteSession is the writer's connection to SQLite. It talks to the driver's connection itself: database/sql would add a lock, a
// check and several allocations to each statement. All statements are prepared at open; preparing one while a transaction is
// open would wait for that transaction.
type sqliteSession struct {
	conn    sqliteConn
	stmts   [writerStatements]sqliteStmt
	begins  sqliteStmt
	commits sqliteStmt
	rolls   sqliteStmt
	restart sqliteStmt
	counts  sqliteStmt
	enters  sqliteStmt
	notes   sqliteStmt
	fresh   *freshRows
	wal     *walKeeper

	named   [maxParams]driver.NamedValue // reused for each call
	dest    [maxParams]driver.Value      // reused for each row
	row     [maxParams]any               // the same values as a row
	lastSeq int64                        // of tx
	counted int64                        // lastSeq as it is stored apart from the rows
	entered int64                        // transactions up to here are in tx_by_signer
	lag     int64                        // signerLag; smaller in tests
	removes bool                         // the open transaction deletes rows of tx
	err     error
	open    bool
}

// sqliteConn and sqliteStmt are what the driver's connections and statements can do.
type (
	sqliteConn interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.QueryerContext
	}
	sqliteStmt interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
)

func newSQLiteSession(ctx context.Context, c sqliteConn, wal *walKeeper) (*sqliteSession, error) {
	s := &sqliteSession{conn: c, wal: wal, lag: signerLag}
	for i := range s.named {
		s.named[i].Ordinal = i + 1
	}
	for id, st := range statements {
		p, err := s.prepare(ctx, dialectSQLite.render(st.sql))
		if err != nil {
			return nil, err
		}
		s.stmts[id] = p
	}
	var err error
	var insertFresh string
	s.fresh, insertFresh = newFreshRows()
	for _, f := range []struct {
		to  *sqliteStmt
		sql string
	}{
		{&s.begins, "BEGIN IMMEDIATE"}, {&s.commits, "COMMIT"}, {&s.rolls, "ROLLBACK"},
		{&s.restart, "PRAGMA wal_checkpoint(RESTART)"},
		{&s.counts, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'tx'"},
		{&s.enters, enterSigners}, {&s.notes, noteSigners}, {&s.fresh.stmt, dialectSQLite.render(insertFresh)},
	} {
		if *f.to, err = s.prepare(ctx, f.sql); err != nil {
			return nil, err
		}
	}
	last, err := queryInt(ctx, c, "SELECT max((SELECT coalesce(max(seq), 0) FROM tx), (SELECT seq FROM sqlite_sequence WHERE name = 'tx'))")
	if err != nil {
		return s, err
	}
	s.lastSeq, s.counted = last, last
	s.entered, err = queryInt(ctx, c, signersUpTo)
	return s, err
}

func (s *sqliteSession) prepare(ctx context.Context, query string) (sqliteStmt, error) {
	return prepareSQLite(ctx, s.conn, query)
}

func prepareSQLite(ctx context.Context, c sqliteConn, query string) (sqliteStmt, error) {
	p, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	st, ok := p.(sqliteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("statements of the driver are %T", p), p.Close())
	}
	return st, nil
}

// queryInt reads one number.
func queryInt(ctx context.Context, c sqliteConn, query string) (int64, error) {
	v, err := queryInts(ctx, c, query)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// queryInts reads a row of numbers.
func queryInts(ctx context.Context, c sqliteConn, query string) ([]int64, error) {
	rows, err := c.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	dest := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(dest)
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	numbers := make([]int64, len(dest))
	for i, d := range dest {
		var ok bool
		if numbers[i], ok = d.(int64); !ok {
			return nil, fmt.Errorf("%s: answered %v", query, d)
		}
	}
	return numbers, nil
}

func (s *sqliteSession) attach(context.Context) {} // a file is never away

func (s *sqliteSession) begin() {
	s.removes = false
	_, s.err = s.begins.ExecContext(context.Background(), nil)
	s.open = s.err == nil
}

func (s *sqliteSession) args(args []any) []driver.NamedValue {
	for i, a := range args {
		s.named[i].Value = a
	}
	return s.named[:len(args)]
}

func (s *sqliteSession) exec(id stmtID, want int64, args ...any) {
	n := s.run(id, args)
	if s.err == nil && want != anyRows && n != want {
		s.err = errRows
	}
}

// run executes a statement and returns the number of rows it touched.
func (s *sqliteSession) run(id stmtID, args []any) int64 {
	if s.err != nil {
		return 0
	}
	s.removes = s.removes || id == sqlDeleteTx
	stmt := s.stmts[id]
	if id == sqlInsertTx {
		if bound, ok := s.fresh.of(args); ok {
			stmt, args = s.fresh.stmt, bound
		}
	}
	res, err := stmt.ExecContext(context.Background(), s.args(args))
	if err != nil {
		s.err = err
		return 0
	}
	n, _ := res.RowsAffected() // SQLite always knows
	return n
}

func (s *sqliteSession) bulk(id stmtID, rows [][]any) {
	for _, r := range rows {
		s.exec(id, 1, r...)
	}
}

func (s *sqliteSession) query(id stmtID, each func(r row) error, args ...any) {
	if s.err != nil {
		return
	}
	rows, err := s.stmts[id].QueryContext(context.Background(), s.args(args))
	if err != nil {
		s.err = err
		return
	}
	s.err = eachRow(rows, s.dest[:], s.row[:], each)
}

func (s *sqliteSession) claim(rows [][]any, inserted func(key string, seq int64)) {
	for _, r := range rows {
		r[keySeq] = s.lastSeq + 1
		if s.run(sqlClaimKey, r) == 1 {
			s.lastSeq++
			inserted(row(r).text(0), s.lastSeq)
		}
	}
}

func (s *sqliteSession) reserve(n int, each func(seq int64)) {
	for range n {
		s.lastSeq++
		each(s.lastSeq)
	}
}

func (s *sqliteSession) lockLog() {}

func (s *sqliteSession) texts(v []string) any { return jsonList(v) }

func (s *sqliteSession) ints(v []int64) any { return jsonList(v) }

func (s *sqliteSession) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *sqliteSession) flush() error { return s.err }

func (s *sqliteSession) commit() error {
	last := s.counted
	if s.err == nil && s.removes && last != s.lastSeq { // numbers outlive their rows
		last = s.lastSeq
		_, s.err = s.counts.ExecContext(context.Background(), s.args([]any{last}))
	}
	entered := s.enterSigners()
	if s.err != nil {
		return s.err
	}
	if _, s.err = s.commits.ExecContext(context.Background(), nil); s.err == nil {
		s.open, s.counted, s.entered = false, last, entered
	}
	return s.err
}

func (s *sqliteSession) rollback() {
	s.err = nil
	if !s.open {
		return
	}
	s.open = false
	// Some errors have ended the transaction already; then there is nothing to roll back, and that is the only way this fails.
	_, _ = s.rolls.ExecContext(context.Background(), nil)
}

func (s *sqliteSession) idle() {
	if s.wal.tooLong() {
		s.wal.restarted(s.restartWAL())
	}
}

// restartWAL copies the log into the database, and has the next write begin it anew. It does not wait for readers: then it is tried again
// later.
func (s *sqliteSession) restartWAL() error {
	_, err := s.restart.ExecContext(context.Background(), nil)
	return err
}

func (s *sqliteSession) translate(err error) error { return translateSQLite(err) }

func (s *sqliteSession) close() error {
	var errs []error
	for _, st := range append(s.stmts[:], s.begins, s.commits, s.rolls, s.restart, s.counts, s.enters, s.notes, s.fresh.stmt) {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

func translateSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case sqlite3.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN:
		// Somebody has the file open in another program, or the disk has trouble. A commit that the disk did not confirm may still be found
		// there after a crash.
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	default:
		return err
	}
}
