package sqlstore

import (
	"strconv"
	"strings"
)

// stmtID names a statement, so that each session can keep its prepared form in an array.
type stmtID int

// dialect is the SQL a database speaks.
type dialect int

const (
	dialectSQLite dialect = iota
	dialectPostgres
)

// statement is SQL for both dialects:
//
//	?         placeholder
//	{update}  FOR UPDATE, where rows can be locked
//	{share}   FOR SHARE
//	{in X}    X is in the list that is the next argument
//
// types, where given, has a letter for each placeholder (i integer, s text, b bytes): such a statement can write many rows at
// once, see bulk.
type statement struct {
	sql   string
	types string
}

// The statements of the writer.
const (
	sqlLease stmtID = iota
	sqlTouchLease
	sqlClaimKey
	sqlKey
	sqlReviveKey
	sqlDeleteKey
	sqlSigner
	sqlSetSigner
	sqlInsertTx
	sqlInsertBody
	sqlPutAttempt
	sqlPutPayload
	sqlInsertLog
	sqlTxHeads
	sqlUpdateTx
	sqlInsertHistory
	sqlFoldHistory
	sqlWipe
	sqlPosition
	sqlInsertLedger
	sqlSetPosition
	sqlAttemptsByHash
	sqlAttemptsHashless
	sqlAttemptsAbove
	sqlAttemptsUpTo
	sqlTxBySeqs
	sqlAttemptsBySeqs
	sqlStreamEpoch
	sqlRaiseEpoch
	sqlPutCheckpoint
	sqlDeleteCheckpoint
	sqlListenerExists
	sqlInsertStream
	sqlUpdateStream
	sqlDeleteStream
	sqlDeleteStreamListeners
	sqlDeleteStreamCheckpoints
	sqlInsertListener
	sqlUpdateListener
	sqlDeleteListener
	sqlStreamNamed
	sqlListenerNamed
	sqlStreamOf
	writerStatements // how many there are
)

const (
	txColumns = `seq, id, version, kind, created, updated, status, sub, sub_since, shard, ledger, signer, recipient, nonce,
		value, gas, fee, attempt, hash, first_submit, last_submit, error, policy_state, due, outcome`
	attemptColumns = `tx, number, ledger, state, claim, hash, signer, nonce, expires, exclusive, conflict_keys, sends, open,
		last_sent, error, dead, block, final, outcome`
	// updateColumns are those that an update of a transaction writes; in sqlUpdateTx seq and version follow.
	updateColumns = `updated, status, sub, sub_since, recipient, nonce, value, gas, fee, attempt, hash, first_submit, last_submit,
		error, policy_state, due, outcome, history_n, history_fold`
	streamColumns   = `seq, id, name, created, updated, epoch, spec`
	listenerColumns = `seq, id, stream, name, created, updated, spec`
	txOf            = `(SELECT tx FROM keys WHERE key = ?)`
	openStatuses    = `status IN ('Pending', 'Suspended')`
)

var statements = [writerStatements]statement{
	sqlLease:      {sql: `SELECT generation FROM lease WHERE name = ? {share}`},
	sqlTouchLease: {sql: `UPDATE lease SET since = ? WHERE name = ?`},

	sqlClaimKey: {
		sql:   `INSERT INTO keys (key, body_hash, tx, expires) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING key, tx`,
		types: "sbii",
	},
	sqlKey: {sql: `SELECT key, body_hash, tx, expires, EXISTS (SELECT 1 FROM tx WHERE tx.seq = keys.tx) FROM keys
		WHERE key = ? {update}`},
	sqlReviveKey: {sql: `UPDATE keys SET body_hash = ?, tx = ?, expires = ? WHERE key = ?`},
	sqlDeleteKey: {sql: `DELETE FROM keys WHERE key = ?`},

	sqlSigner: {sql: `SELECT next_nonce FROM signers WHERE ledger = ? AND signer = ? {update}`},
	sqlSetSigner: {sql: `INSERT INTO signers (ledger, signer, next_nonce, assigned_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (ledger, signer) DO UPDATE SET next_nonce = excluded.next_nonce, assigned_at = excluded.assigned_at`},

	sqlInsertTx: {
		sql: `INSERT INTO tx (` + txColumns + `, history_n, history_fold)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		types: "isisiissiisssisssisiissisii",
	},
	sqlInsertBody: {sql: `INSERT INTO tx_body (tx, request, history) VALUES (?, ?, ?)`, types: "iss"},
	sqlPutAttempt: {
		sql: `INSERT INTO attempts (` + attemptColumns + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (tx, number) DO UPDATE SET ledger = excluded.ledger, state = excluded.state, claim = excluded.claim,
			hash = excluded.hash, signer = excluded.signer, nonce = excluded.nonce, expires = excluded.expires,
			exclusive = excluded.exclusive, conflict_keys = excluded.conflict_keys, sends = excluded.sends, open = excluded.open,
			last_sent = excluded.last_sent, error = excluded.error, dead = excluded.dead, block = excluded.block,
			final = excluded.final, outcome = excluded.outcome`,
		types: "iississiissiiissiis",
	},
	sqlPutPayload: {
		sql: `INSERT INTO attempt_payloads (tx, number, prepared, result, sensitive) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tx, number) DO UPDATE SET prepared = excluded.prepared, result = excluded.result,
			sensitive = excluded.sensitive`,
		types: "iibsb",
	},
	sqlInsertLog: {sql: `INSERT INTO status_log (tx, id, status, sub, time) VALUES (?, ?, ?, ?, ?)`, types: "isssi"},

	sqlTxHeads: {sql: `SELECT id, seq, version, status, history_n, history_fold FROM tx
		WHERE seq IN (SELECT tx FROM keys WHERE {in key}) ORDER BY seq {update}`},
	sqlUpdateTx: {
		sql: `UPDATE tx SET version = version + 1, ` + strings.ReplaceAll(updateColumns, ",", " = ?,") + ` = ?
			WHERE seq = ? AND version = ?`,
		types: "issisisssisiissisiiii",
	},
	sqlInsertHistory: {
		sql:   `INSERT INTO history (tx, n, sub, action, first, last, count, error, info) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		types: "iissiiiss",
	},
	sqlFoldHistory: {sql: `UPDATE history SET last = ?, count = count + ? WHERE tx = ? AND n = ?`},
	sqlWipe:        {sql: `UPDATE attempt_payloads SET sensitive = NULL WHERE {in tx} AND sensitive IS NOT NULL`},

	sqlPosition:     {sql: `SELECT id, number, hash FROM ledger_position WHERE ledger = ? {update}`},
	sqlInsertLedger: {sql: `INSERT INTO ledger_position (ledger, id, number, hash, updated) VALUES (?, ?, ?, ?, ?)`},
	sqlSetPosition:  {sql: `UPDATE ledger_position SET number = ?, hash = ?, updated = ? WHERE ledger = ?`},
	sqlAttemptsByHash: {sql: `SELECT tx, number, hash FROM attempts
		WHERE ledger = ? AND hash <> '' AND {in hash} AND state = 'Submitting' AND final = 0 ORDER BY tx, number`},
	sqlAttemptsHashless: {sql: `SELECT tx, number, signer, nonce FROM attempts
		WHERE ledger = ? AND hash = '' AND state = 'Submitting' AND final = 0 AND nonce IS NOT NULL ORDER BY tx, number`},
	sqlAttemptsAbove: {sql: `SELECT tx, number FROM attempts
		WHERE ledger = ? AND block IS NOT NULL AND final = 0 AND block > ? ORDER BY block, tx, number`},
	sqlAttemptsUpTo: {sql: `SELECT tx, number FROM attempts
		WHERE ledger = ? AND block IS NOT NULL AND final = 0 AND block <= ? ORDER BY block, tx, number`},
	sqlTxBySeqs:       {sql: `SELECT ` + txColumns + `, history_n, history_fold FROM tx WHERE {in seq} ORDER BY seq {update}`},
	sqlAttemptsBySeqs: {sql: `SELECT ` + attemptColumns + ` FROM attempts WHERE {in tx} ORDER BY tx, number`},

	sqlStreamEpoch: {sql: `SELECT epoch FROM streams WHERE id = ? {update}`},
	sqlRaiseEpoch:  {sql: `UPDATE streams SET epoch = epoch + 1 WHERE id = ?`},
	sqlPutCheckpoint: {sql: `INSERT INTO checkpoints (listener, stream, epoch, block, tx, log, read_block, read_hash, updated)
		SELECT id, stream, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT),
		CAST(? AS TEXT), CAST(? AS BIGINT) FROM listeners WHERE id = ? AND stream = ?
		ON CONFLICT (listener) DO UPDATE SET stream = excluded.stream, epoch = excluded.epoch, block = excluded.block,
		tx = excluded.tx, log = excluded.log, read_block = excluded.read_block, read_hash = excluded.read_hash,
		updated = excluded.updated`},
	sqlDeleteCheckpoint: {sql: `DELETE FROM checkpoints WHERE listener = ?`},
	sqlListenerExists:   {sql: `SELECT seq, stream FROM listeners WHERE id = ? {update}`},

	sqlInsertStream: {sql: `INSERT INTO streams (id, name, created, updated, epoch, spec) VALUES (?, ?, ?, ?, ?, ?) RETURNING seq`},
	sqlUpdateStream: {sql: `UPDATE streams SET name = ?, updated = ?, spec = ? WHERE id = ?`},
	sqlDeleteStream: {sql: `DELETE FROM streams WHERE id = ?`},

	sqlDeleteStreamListeners:   {sql: `DELETE FROM listeners WHERE stream = ?`},
	sqlDeleteStreamCheckpoints: {sql: `DELETE FROM checkpoints WHERE stream = ?`},

	sqlInsertListener: {sql: `INSERT INTO listeners (id, stream, name, created, updated, spec) VALUES (?, ?, ?, ?, ?, ?) RETURNING seq`},
	sqlUpdateListener: {sql: `UPDATE listeners SET name = ?, updated = ?, spec = ? WHERE id = ?`},
	sqlDeleteListener: {sql: `DELETE FROM listeners WHERE id = ?`},
	sqlStreamNamed:    {sql: `SELECT id FROM streams WHERE id = ? OR name = ?`},
	sqlListenerNamed:  {sql: `SELECT id FROM listeners WHERE id = ? OR (stream = ? AND name = ?)`},
	sqlStreamOf:       {sql: `SELECT seq FROM streams WHERE id = ? {share}`},
}

// render turns the SQL of a statement into a dialect's.
func (d dialect) render(sql string) string {
	var b strings.Builder
	b.Grow(len(sql) + 16)
	n := 0
	param := func() {
		n++
		if d == dialectPostgres {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			return
		}
		b.WriteByte('?')
	}
	for i := 0; i < len(sql); i++ {
		switch sql[i] {
		case '?':
			param()
		case '{':
			end := i + strings.IndexByte(sql[i:], '}')
			d.directive(&b, sql[i+1:end], param)
			i = end
		default:
			b.WriteByte(sql[i])
		}
	}
	return b.String()
}

// bulk turns a statement that writes one row into PostgreSQL's that writes many, which come as one array for each column.
func (st statement) bulk() string {
	var arrays strings.Builder
	for i, t := range st.types {
		if i > 0 {
			arrays.WriteString(", ")
		}
		arrays.WriteByte('$')
		arrays.WriteString(strconv.Itoa(i + 1))
		arrays.WriteString(map[rune]string{'i': "::bigint[]", 's': "::text[]", 'b': "::bytea[]"}[t])
	}
	before, rest, insert := strings.Cut(st.sql, "VALUES (")
	if !insert { // sqlUpdateTx
		columns := strings.Split(strings.Join(strings.Fields(updateColumns), ""), ",")
		set := make([]string, len(columns))
		for i, c := range columns {
			set[i] = c + " = new." + c
		}
		return `UPDATE tx SET version = tx.version + 1, ` + strings.Join(set, ", ") + ` FROM unnest(` + arrays.String() + `)
			AS new (` + updateColumns + `, seq, version) WHERE tx.seq = new.seq AND tx.version = new.version`
	}
	_, after, _ := strings.Cut(rest, ")")
	return before + "SELECT * FROM unnest(" + arrays.String() + ")" + after
}

// directive writes what a directive in braces stands for.
func (d dialect) directive(b *strings.Builder, word string, param func()) {
	column, isList := strings.CutPrefix(word, "in ")
	switch {
	case isList && d == dialectPostgres:
		b.WriteString(column + ` = ANY(`)
		param()
		b.WriteByte(')')
	case isList:
		b.WriteString(column + ` IN (SELECT value FROM json_each(`)
		param()
		b.WriteString(`))`)
	case d != dialectPostgres:
	case word == "update":
		b.WriteString("FOR UPDATE")
	case word == "share":
		b.WriteString("FOR SHARE")
	}
}
