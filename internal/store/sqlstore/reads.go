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
	readFirstPayload
	readOpen
	readCountOpen
	readKey
	readKeys
	readSigner
	readStatus
	readStatusHead
	readLedger
	readHashes
	readHashless
	readOpenBlocks
	readSigners
	readAtNonce
	readOpenNonces
	readOpenAbove
	readOpenUpTo
	readStream
	readStreams
	readListener
	readListeners
	readStreamListeners
	readCheckpoints
	readPositions
	readLetterCounts
	readTerminal
	readEnded
	readExpired
	readLogHead
	readLetter
	readLetters
	readLetterPlaces
	readNewestLetter
	readReplaySizes
	readReplays
	readCount // how many there are
)

// sinceOpen leads past what ended long ago, among the transactions of the signer.
const sinceOpen = `seq >= (SELECT min(seq) FROM tx WHERE ` + openStatuses + `)`

const bySeq = ` WHERE seq > ? ORDER BY seq LIMIT ?`

var readSQL = [readCount]string{
	readPing: `SELECT CAST(1 AS BIGINT)`,
	readTx:   `SELECT ` + txColumns + ` FROM tx WHERE seq = ` + txOf,
	readAttempts: `SELECT ` + attemptColumns + ` FROM attempts WHERE tx = ` + txOf + ` UNION ALL SELECT ` + derivedAttempt + `
		WHERE t.seq = ` + txOf + ` AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.tx = t.seq) ORDER BY number`,
	readBody:         `SELECT t.created, b.request, b.history FROM tx t LEFT JOIN tx_body b ON b.tx = t.seq WHERE t.seq = ` + txOf,
	readHistory:      `SELECT sub, action, first, last, count, error, info FROM history WHERE tx = ` + txOf + ` ORDER BY n`,
	readFirstPayload: `SELECT prepared, result, NULL FROM tx_body WHERE tx = ` + txOf + ` AND prepared IS NOT NULL`,
	readPayload:      `SELECT prepared, result, sensitive FROM attempt_payloads WHERE tx = ` + txOf + ` AND number = ?`,
	readOpen:         `SELECT ` + txColumns + ` FROM tx WHERE ` + openStatuses + ` AND seq > ? ORDER BY seq LIMIT ?`,
	readCountOpen:    `SELECT count(*) FROM tx WHERE ` + openStatuses,
	readKey:          statements[sqlKey].sql[:strings.Index(statements[sqlKey].sql, "{")],
	readSigner:       `SELECT next_nonce, assigned_at FROM signers WHERE ledger = ? AND signer = ?`,
	readKeys:         strings.Replace(statements[sqlKey].sql[:strings.Index(statements[sqlKey].sql, "{")], "key = ?", "{in key}", 1),
	readStatus: `SELECT l.seq, l.id, l.status, l.sub, l.time, t.` + strings.Join(strings.Fields(strings.ReplaceAll(txColumns, ",", " , t.")), "") +
		` FROM status_log l LEFT JOIN tx t ON t.seq = l.tx WHERE l.seq > ? ORDER BY l.seq LIMIT ?`,
	readTerminal:   `SELECT ` + txColumns + ` FROM tx` + bySeq,
	readEnded:      `SELECT ended FROM keys WHERE key = ? AND ended IS NOT NULL`,
	readExpired:    `SELECT key FROM keys WHERE ended IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?`,
	readLogHead:    `SELECT seq, time FROM status_log ORDER BY seq LIMIT ?`,
	readStatusHead: `SELECT coalesce(max(seq), 0) FROM status_log`,
	readLedger:     `SELECT id, number, hash FROM ledger_position WHERE ledger = ?`,
	readHashes: `SELECT DISTINCT hash FROM attempts
		WHERE ledger = ? AND hash <> '' AND {ends hash} AND state = 'Submitting' AND final = 0`,
	readHashless: `SELECT signer, nonce FROM attempts
		WHERE ledger = ? AND hash = '' AND state = 'Submitting' AND final = 0 AND nonce IS NOT NULL`,
	readOpenBlocks: `SELECT block, min(outcome) FROM (
		SELECT block, outcome FROM attempts WHERE ledger = ? AND ` + openOutcomes + ` AND block <= ? UNION ALL
		SELECT block, outcome FROM attempts WHERE ledger = ? AND ` + openOwnOutcomes + ` AND block <= ?) AS a
		GROUP BY block ORDER BY block DESC LIMIT 500`,
	readSigners: `SELECT signer FROM signers WHERE ledger = ? AND {in signer}`,
	readAtNonce: statements[sqlAttemptsAtNonce].sql,
	readOpenNonces: `SELECT nonce FROM tx WHERE ledger = ? AND signer = ? AND nonce >= ? AND nonce IS NOT NULL AND ` + notFill + `
		AND ` + sinceOpen + ` AND ` + openStatuses + ` UNION ALL SELECT nonce FROM tx WHERE ledger = ? AND signer = ? AND nonce >= ? AND ` + openFill + `
		ORDER BY 1 LIMIT ?`,
	readOpenAbove: statements[sqlAttemptsAbove].sql + ` LIMIT 1`,
	readOpenUpTo: `SELECT * FROM (SELECT tx FROM attempts WHERE ledger = ? AND ` + openOutcomes + ` AND block <= ? LIMIT 1) AS a
		UNION ALL SELECT * FROM (SELECT tx FROM attempts WHERE ledger = ? AND ` + openOwnOutcomes + ` AND final_at <= ? LIMIT 1) AS b`,
	readStream:          `SELECT ` + streamColumns + ` FROM streams WHERE id = ? OR name = ?`,
	readStreams:         `SELECT ` + streamColumns + ` FROM streams` + bySeq,
	readListener:        `SELECT ` + listenerColumns + ` FROM listeners WHERE id = ?`,
	readListeners:       `SELECT ` + listenerColumns + ` FROM listeners` + bySeq,
	readStreamListeners: `SELECT ` + listenerColumns + ` FROM listeners WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?`,
	readCheckpoints:     `SELECT listener, block, tx, log, read_block, read_hash, older, updated FROM checkpoints WHERE stream = ? ORDER BY listener`,
	readLetter:          `SELECT ` + letterColumns + `, payload FROM dead_letters WHERE stream = ? AND id = ?`,
	readLetters:         `SELECT ` + letterColumns + ` FROM dead_letters WHERE ` + letterFilter + ` ORDER BY seq LIMIT ?`,
	readLetterPlaces:    `SELECT seq FROM dead_letters WHERE ` + letterFilter + ` ORDER BY seq LIMIT ?`,
	readNewestLetter:    `SELECT CAST(coalesce(max(seq), 0) AS BIGINT) FROM dead_letters WHERE stream = ?`,
	readReplaySizes:     `SELECT CAST(length(payload) AS BIGINT) FROM dead_letters WHERE stream = ? AND asked > 0 ORDER BY seq LIMIT ?`,
	readReplays:         `SELECT ` + letterColumns + `, payload FROM dead_letters WHERE stream = ? AND asked > 0 ORDER BY seq LIMIT ?`,
	// Each from an index alone: the rows have the events.
	readLetterCounts: `SELECT s.id, CAST((SELECT count(*) FROM dead_letters d WHERE d.stream = s.id) AS BIGINT),
		CAST((SELECT count(*) FROM dead_letters d WHERE d.stream = s.id AND d.asked > 0) AS BIGINT) FROM streams s WHERE {in s.id}`,
	readPositions: `SELECT l.stream, l.spec, c.block, c.tx, c.log FROM listeners l LEFT JOIN checkpoints c ON c.listener = l.id
		WHERE {in l.stream}`,
}

// reader is the read pool with its prepared statements.
type reader struct {
	db    *sql.DB
	stmts [readCount]*sql.Stmt // of SQLite
}

// hotReader carries reads out past database/sql.
type hotReader interface {
	serves(id readID) bool
	// read is not for those that it does not serve. A row is valid during the call only, its values stay valid.
	read(ctx context.Context, id readID, each func(r row) error, args []any) error
	close() error
}

func newReader(ctx context.Context, db *sql.DB) (*reader, error) {
	r := &reader{db: db}
	for id := range readCount {
		query := id.sqlite()
		st, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // closed with the pool
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
		if s.hot != nil && s.hot.serves(id) {
			return s.translate(s.hot.read(ctx, id, each, args))
		}
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
