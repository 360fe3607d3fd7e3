package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	pgOwnerLock   = 0x5079_7261_6c01 // advisory lock of the owner
	pgOwnerWait   = 2 * time.Second  // for the server to notice that an owner was killed
	pgOwnerRetry  = 50 * time.Millisecond
	pgOwnerCheck  = time.Second
	pgOwnerAnswer = 10 * time.Second
)

// pgOwner is the ownership of a database: an advisory lock on a connection that does nothing else. The server gives it up with the
// connection.
type pgOwner struct {
	conn *pgx.Conn
}

func takeDatabase(ctx context.Context, cfg *pgx.ConnConfig) (*pgOwner, error) {
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	deadline := time.Now().Add(pgOwnerWait)
	for {
		var taken bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(pgOwnerLock)).Scan(&taken); err != nil {
			return nil, errors.Join(err, closeConn(c))
		}
		if taken {
			return &pgOwner{conn: c}, nil
		}
		if time.Now().After(deadline) {
			err := fmt.Errorf("%w, %s; stop it or choose another database", store.ErrInUse, pgHolder(ctx, c))
			return nil, errors.Join(err, closeConn(c))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), closeConn(c))
		case <-time.After(pgOwnerRetry):
		}
	}
}

// pgHolder says who has the lock.
func pgHolder(ctx context.Context, c *pgx.Conn) string {
	var app, from string
	var pid int32
	err := c.QueryRow(ctx, `SELECT coalesce(a.application_name, ''), coalesce(a.client_addr::text, 'local'), a.pid
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (l.classid::bigint << 32) | l.objid::bigint = $1`, int64(pgOwnerLock)).Scan(&app, &from, &pid)
	if err != nil {
		return "which has just gone"
	}
	return fmt.Sprintf("%s (from %s, backend %d)", app, from, pid)
}

// watch reads from the connection, so that its loss is seen at once, and asks over it every second. head is told the newest number
// of the status log.
func (o *pgOwner) watch(ctx context.Context, head func(seq int64), lost func()) {
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, pgOwnerCheck)
		_, err := o.conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		if err == nil || quiet {
			err = o.check(ctx, head)
		}
		if err != nil && ctx.Err() == nil {
			lost()
			return
		}
	}
}

func (o *pgOwner) check(ctx context.Context, head func(seq int64)) error {
	ctx, cancel := context.WithTimeout(ctx, pgOwnerAnswer)
	defer cancel()
	var seq int64
	if err := o.conn.QueryRow(ctx, readSQL[readStatusHead]).Scan(&seq); err != nil {
		return err
	}
	head(seq)
	return nil
}

func (o *pgOwner) close() error {
	if o.conn.IsClosed() {
		return nil
	}
	return closeConn(o.conn)
}
