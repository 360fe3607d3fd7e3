package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/pyralis-io/pyralis/internal/store"
)

// readID names a statement of the read pool.
type readID int

const (
	readPing readID = iota
	readTx
	readAttempts
	readBody
	readHistory
	readPayload
	readOpen
	readCountOpen
	readKey
	readSigner
	readStatus
	readStatusHead
	readLedger
	readHashes
	readHashless
	readOpenBlocks
	readStream
	readStreams
	readListener
	readListeners
	readStreamListeners
	readCheckpoints
	readCount // how many there are
)

const bySeq = ` WHERE seq > ? ORDER BY seq LIMIT ?`

var readSQL = [readCount]string{
	readPing:      `SELECT CAST(1 AS BIGINT)`,
	readTx:        `SELECT ` + txColumns + ` FROM tx WHERE seq = ` + txOf,
	readAttempts:  `SELECT ` + attemptColumns + ` FROM attempts WHERE tx = ` + txOf + ` ORDER BY number`,
	readBody:      `SELECT t.created, b.request, b.history FROM tx t LEFT JOIN tx_body b ON b.tx = t.seq WHERE t.seq = ` + txOf,
	readHistory:   `SELECT sub, action, first, last, count, error, info FROM history WHERE tx = ` + txOf + ` ORDER BY n`,
	readPayload:   `SELECT prepared, result, sensitive FROM attempt_payloads WHERE tx = ` + txOf + ` AND number = ?`,
	readOpen:      `SELECT ` + txColumns + ` FROM tx WHERE ` + openStatuses + ` AND seq > ? ORDER BY seq LIMIT ?`,
	readCountOpen: `SELECT count(*) FROM tx WHERE ` + openStatuses,
	readKey:       statements[sqlKey].sql[:strings.Index(statements[sqlKey].sql, "{")],
	readSigner:    `SELECT next_nonce, assigned_at FROM signers WHERE ledger = ? AND signer = ?`,
	readStatus: `SELECT l.seq, l.id, l.status, l.sub, l.time, t.` + strings.Join(strings.Fields(strings.ReplaceAll(txColumns, ",", " , t.")), "") +
		` FROM status_log l LEFT JOIN tx t ON t.seq = l.tx WHERE l.seq > ? ORDER BY l.seq LIMIT ?`,
	readStatusHead: `SELECT coalesce(max(seq), 0) FROM status_log`,
	readLedger:     `SELECT id, number, hash FROM ledger_position WHERE ledger = ?`,
	readHashes: `SELECT DISTINCT hash FROM attempts
		WHERE ledger = ? AND hash <> '' AND {in hash} AND state = 'Submitting' AND final = 0`,
	readHashless: `SELECT signer, nonce FROM attempts
		WHERE ledger = ? AND hash = '' AND state = 'Submitting' AND final = 0 AND nonce IS NOT NULL`,
	readOpenBlocks: `SELECT block FROM attempts
		WHERE ledger = ? AND block IS NOT NULL AND final = 0 AND (block > ? OR block <= ?) LIMIT 1`,
	readStream:          `SELECT ` + streamColumns + ` FROM streams WHERE id = ? OR name = ?`,
	readStreams:         `SELECT ` + streamColumns + ` FROM streams` + bySeq,
	readListener:        `SELECT ` + listenerColumns + ` FROM listeners WHERE id = ?`,
	readListeners:       `SELECT ` + listenerColumns + ` FROM listeners` + bySeq,
	readStreamListeners: `SELECT ` + listenerColumns + ` FROM listeners WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?`,
	readCheckpoints:     `SELECT listener, block, tx, log, read_block, read_hash, updated FROM checkpoints WHERE stream = ? ORDER BY listener`,
}

// reader is the read pool with its prepared statements.
type reader struct {
	db    *sql.DB
	stmts [readCount]*sql.Stmt
}

func newReader(ctx context.Context, db *sql.DB, d dialect) (*reader, error) {
	r := &reader{db: db}
	for id, query := range readSQL {
		st, err := db.PrepareContext(ctx, d.render(query)) //nolint:sqlclosecheck // closed with the pool
		if err != nil {
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		r.stmts[id] = st
	}
	return r, nil
}

// maxReadTries is how many connections of the pool a read may find broken. A server that restarts breaks them all.
const maxReadTries = 64

// read runs a statement of the read pool and hands its rows to each. It is repeated on another connection when its own turns out to
// be broken before the first row.
func (s *Store) read(ctx context.Context, id readID, each func(r row) error, args ...any) error {
	return s.retryRead(each, func(each func(r row) error) error {
		rows, err := s.reader.stmts[id].QueryContext(ctx, args...)
		if err != nil {
			return s.translate(err)
		}
		return s.scan(rows, each)
	})
}

func (s *Store) retryRead(each func(r row) error, read func(each func(r row) error) error) error {
	begun := false
	for try := 1; ; try++ {
		err := read(func(r row) error {
			begun = true
			return each(r)
		})
		if err == nil || begun || try >= maxReadTries || !s.broken(err) {
			return err
		}
	}
}

// scan hands rows to each and closes them.
func (s *Store) scan(rows *sql.Rows, each func(r row) error) (err error) {
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
		err = s.translate(err)
	}()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	r, to := make(row, len(columns)), make([]any, len(columns))
	for i := range r {
		to[i] = &r[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// limitOf makes a limit of 0 or less none.
func limitOf(n int) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return int64(n)
}

func notFound(kind, id string) error { return fmt.Errorf("%s %s: %w", kind, id, store.ErrNotFound) }
