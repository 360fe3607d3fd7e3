package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	pgLogLock  = 0x5079_7261_6c02 // advisory lock that orders the status log
	pgAnswer   = 8 * time.Second  // for one round trip; then the connection counts as lost
	pgPatience = 5 * time.Second  // to get a lost connection back, before callers are told
	pgGlance   = 2 * time.Second  // instead, when it was away before or the store is being closed
)

// pgClaim is sqlClaimKey for many rows, with numbers from the sequence instead of the third column.
const pgClaim = `INSERT INTO keys (key, body_hash, tx, expires)
	SELECT key, body_hash, nextval('tx_seq_seq'), expires FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[])
	AS new (key, body_hash, tx, expires) ON CONFLICT (key) DO NOTHING RETURNING key, tx`

var pgReconnect = retry.Backoff{Initial: 20 * time.Millisecond, Max: 500 * time.Millisecond, Factor: 2, Jitter: true}

// pgSession is the writer's connection to PostgreSQL. Statements are queued and sent together: the reads of a wave are one round trip, its
// writes with what follows, up to the COMMIT, another. Rows that decide about writes are read FOR UPDATE, so what was decided still
// holds when the writes arrive.
type pgSession struct {
	cfg  *pgx.ConnConfig
	conn *pgx.Conn       // nil: lost
	ctx  context.Context //nolint:containedctx // of the writer's goroutine
	away bool            // the last attempt to connect failed

	sql, many [writerStatements]string
	batch     *pgx.Batch
	xid       int64 // of the open transaction
	open      bool
	err       error
}

func newPgSession(ctx context.Context, cfg *pgx.ConnConfig) (*pgSession, error) {
	s := &pgSession{cfg: cfg, ctx: context.Background()}
	for id, st := range statements {
		s.sql[id] = dialectPostgres.render(st.sql)
		if st.types != "" {
			s.many[id] = st.bulk()
		}
	}
	var err error
	s.conn, err = connectDurably(ctx, cfg)
	return s, err
}

// connectDurably connects and makes sure that a commit is on the disk when it is answered.
func connectDurably(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var mode string
	if err = c.QueryRow(ctx, "SHOW synchronous_commit").Scan(&mode); err == nil && mode == "off" {
		err = errors.New("synchronous_commit is off: a commit would be answered before it is on the disk")
	}
	if err != nil {
		return nil, errors.Join(err, closeConn(c))
	}
	return c, nil
}

// closeConn says goodbye, but not for long.
func closeConn(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Close(ctx)
}

func (s *pgSession) attach(ctx context.Context) { s.ctx = ctx }

// reach makes sure that there is a connection.
func (s *pgSession) reach() error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	patience := pgPatience
	if s.away || s.ctx.Err() != nil {
		patience = pgGlance
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), patience)
	defer cancel()
	err := retry.Do(ctx, pgReconnect, func(ctx context.Context, _ int) (err error) {
		s.conn, err = connectDurably(ctx, s.cfg)
		if err != nil && s.ctx.Err() != nil {
			return retry.Permanent(err)
		}
		return err
	})
	s.away = err != nil
	if err != nil {
		s.conn = nil
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

func (s *pgSession) begin() {
	s.batch, s.open, s.xid = &pgx.Batch{}, false, 0
	if s.err = s.reach(); s.err != nil {
		return
	}
	s.open = true
	s.batch.Queue("BEGIN")
	s.batch.Queue("SELECT txid_current()").QueryRow(func(r pgx.Row) error { return r.Scan(&s.xid) })
}

func (s *pgSession) exec(id stmtID, want int64, args ...any) {
	if s.err != nil {
		return
	}
	q := s.batch.Queue(s.sql[id], args...)
	if want == anyRows {
		return
	}
	q.Exec(func(ct pgconn.CommandTag) error {
		if ct.RowsAffected() != want {
			return errRows
		}
		return nil
	})
}

func (s *pgSession) query(id stmtID, each func(r row) error, args ...any) {
	if s.err == nil {
		s.ask(s.sql[id], each, args...)
	}
}

func (s *pgSession) ask(sql string, each func(r row) error, args ...any) {
	s.batch.Queue(sql, args...).Query(func(rows pgx.Rows) error { return eachPgRow(rows, each) })
}

// eachPgRow hands rows to each. Whether they came to their end, rows.Err says.
func eachPgRow(rows pgx.Rows, each func(r row) error) error {
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return nil
}

func (s *pgSession) bulk(id stmtID, rows [][]any) {
	if s.err != nil {
		return
	}
	want := int64(len(rows))
	if statements[id].many != "" {
		want = 1 // says that all were there
	}
	s.batch.Queue(s.many[id], columns(statements[id].types, rows)...).Exec(func(ct pgconn.CommandTag) error {
		if ct.RowsAffected() != want {
			return errRows
		}
		return nil
	})
}

func (s *pgSession) claim(rows [][]any, inserted func(key string, seq int64)) {
	if s.err != nil {
		return
	}
	s.ask(pgClaim, func(r row) error {
		inserted(r.text(0), r.int(1))
		return nil
	}, columns(statements[sqlClaimKey].types, rows)...)
}

// columns turns rows into one array for each column.
func columns(types string, rows [][]any) []any {
	out := make([]any, len(types))
	for c, t := range types {
		switch t {
		case 'i':
			v := make(pgtype.FlatArray[pgtype.Int8], len(rows))
			for i, r := range rows {
				v[i].Int64, v[i].Valid = r[c].(int64)
			}
			out[c] = v
		case 's':
			v := make(pgtype.FlatArray[pgtype.Text], len(rows))
			for i, r := range rows {
				v[i].String, v[i].Valid = r[c].(string)
			}
			out[c] = v
		default:
			v := make([][]byte, len(rows))
			for i, r := range rows {
				v[i], _ = r[c].([]byte)
			}
			out[c] = v
		}
	}
	return out
}

func (s *pgSession) reserve(n int, each func(seq int64)) {
	if s.err != nil {
		return
	}
	s.ask("SELECT nextval('tx_seq_seq') FROM generate_series(1, $1::bigint)", func(r row) error {
		each(r.int(0))
		return nil
	}, int64(n))
}

func (s *pgSession) lockLog() {
	if s.err == nil {
		s.batch.Queue("SELECT pg_advisory_xact_lock($1)", int64(pgLogLock))
	}
}

func (s *pgSession) texts(v []string) any { return v }

func (s *pgSession) ints(v []int64) any { return v }

func (s *pgSession) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *pgSession) flush() error {
	if s.err != nil || s.batch.Len() == 0 {
		return s.err
	}
	b := s.batch
	s.batch = &pgx.Batch{}
	// Not cancelled with the writer: what is under way is finished, or its fate would be unknown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), pgAnswer)
	defer cancel()
	s.err = s.conn.SendBatch(ctx, b).Close()
	return s.err
}

func (s *pgSession) commit() error {
	if s.err != nil {
		return s.err
	}
	committed := false
	s.batch.Queue("COMMIT").Exec(func(ct pgconn.CommandTag) error {
		if committed = ct.String() == "COMMIT"; !committed {
			return fmt.Errorf("answer to COMMIT is %s", ct.String())
		}
		return nil
	})
	err := s.flush()
	if committed {
		s.open = false
		return nil
	}
	if s.conn.IsClosed() {
		s.open = false
		s.err = s.fate(err)
	}
	return s.err
}

// fate asks what became of a transaction whose COMMIT was not answered.
func (s *pgSession) fate(cause error) error {
	if s.xid == 0 {
		return cause // it had not even begun
	}
	pid := s.conn.PgConn().PID()
	if err := s.reach(); err != nil {
		return fmt.Errorf("%w, when its commit was not answered: %w", err, cause)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), pgPatience)
	defer cancel()
	var status string
	err := retry.Do(ctx, pgReconnect, func(ctx context.Context, _ int) error {
		if err := s.conn.QueryRow(ctx, "SELECT coalesce(txid_status($1), 'forgotten')", s.xid).Scan(&status); err != nil {
			return retry.Permanent(err)
		}
		if status != "in progress" {
			return nil
		}
		// The server has not noticed yet that nobody is there.
		_, err := s.conn.Exec(ctx, "SELECT pg_terminate_backend($1)", int32(pid))
		return errors.Join(errors.New("still in progress"), err)
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: transaction %d is %s: %w", store.ErrUnavailable, s.xid, status, err)
	case status == "committed":
		return nil
	case status == "aborted":
		return fmt.Errorf("%w: %w", errAgain, cause)
	default:
		return fmt.Errorf("%w: transaction %d is %s: %w", store.ErrUnavailable, s.xid, status, cause)
	}
}

func (s *pgSession) rollback() {
	s.err = nil
	if !s.open {
		return
	}
	s.open = false
	if s.conn == nil || s.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), pgAnswer)
	defer cancel()
	if _, err := s.conn.Exec(ctx, "ROLLBACK"); err != nil {
		_ = closeConn(s.conn) // the server rolls back what is left without a client
	}
}

func (s *pgSession) idle() {}

func (s *pgSession) translate(err error) error {
	if s.conn != nil && s.conn.IsClosed() && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, errRows) {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return translatePostgres(err)
}

func (s *pgSession) close() error {
	if s.conn == nil || s.conn.IsClosed() {
		return nil
	}
	return closeConn(s.conn)
}
