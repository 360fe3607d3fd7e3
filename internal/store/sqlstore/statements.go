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
//	{ends X}  the same, on SQLite for the ends of both, which an index has: the caller drops what only ends alike
//
// types, where given, has a letter for each placeholder (i integer, s text, b bytes): such a statement can write many rows at
// once, see bulk.
type statement struct {
	sql   string
	types string
	// many is the bulk form, where it cannot be made of sql; {arrays} stands for the columns. Such a statement fails in the database when
	// a row was not there as expected: its COMMIT is on the way already when its answer comes.
	many string
}

// updateOf makes a statement that sets columns of one row, named by keys. A key "version" is raised with it.
func updateOf(table, columns, keys, types string) statement {
	split := func(s string) []string { return strings.Split(strings.Join(strings.Fields(s), ""), ",") }
	var one, many, where, which []string
	for _, c := range split(columns) {
		one, many = append(one, c+" = ?"), append(many, c+" = new."+c)
	}
	for _, k := range split(keys) {
		if k == "version" {
			one, many = append(one, "version = version + 1"), append(many, "version = "+table+".version + 1")
		}
		where, which = append(where, k+" = ?"), append(which, table+"."+k+" = new."+k)
	}
	return statement{
		sql:   "UPDATE " + table + " SET " + strings.Join(one, ", ") + " WHERE " + strings.Join(where, " AND "),
		types: types,
		many: "UPDATE " + table + " SET " + strings.Join(many, ", ") + " FROM unnest({arrays}) AS new (" + columns + ", " + keys + ") WHERE " +
			strings.Join(which, " AND "),
	}
}

// onlyIf adds a condition.
func (st statement) onlyIf(condition string) statement {
	st.sql, st.many = st.sql+" AND "+condition, st.many+" AND "+condition
	return st
}

// progressTypes are those of updateColumns but for the first.
const progressTypes = "sissssisiissisiiii"

// The statements of the writer.
const (
	sqlLease stmtID = iota
	sqlTouchLease
	sqlClaimKey
	sqlKey
	sqlReviveKey
	sqlDeleteKey
	sqlEndKey
	sqlForgetKeys
	sqlDeleteTx
	sqlDeleteBody
	sqlDeleteAttempts
	sqlDeletePayloads
	sqlDeleteHistory
	sqlDeleteLabel
	sqlTrimLog
	sqlSigner
	sqlSetSigner
	sqlHolder
	sqlInsertTx
	sqlInsertLabel
	sqlInsertBody
	sqlPutAttempt
	sqlTouchAttempt
	sqlMakeAttempt
	sqlPutPayload
	sqlDropBodyPayload
	sqlInsertLog
	sqlTxHeads
	sqlUpdateTx
	sqlSetRequest
	sqlStatusTx
	sqlProgressTx
	sqlInsertHistory
	sqlFoldHistory
	sqlForgetHistory
	sqlWipe
	sqlPosition
	sqlInsertLedger
	sqlSetPosition
	sqlAttemptsByHash
	sqlAttemptsHashless
	sqlAttemptsAtNonce
	sqlAttemptsAbove
	sqlAttemptsUpTo
	sqlAttemptsFinalAt
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
	sqlDeleteStreamLetters
	sqlPutLetter
	sqlReturnLetter
	sqlDropLetter
	sqlAskReplay
	sqlDeleteLetters
	writerStatements // how many there are
)

const (
	txColumns = `seq, id, version, kind, created, updated, status, sub, sub_since, shard, ledger, signer, recipient, nonce,
		value, gas, fee, attempt, hash, first_submit, last_submit, error, policy_state, due, outcome, progressed, cancel_asked,
		labels, required, retry_of`
	attemptColumns = `tx, number, ledger, state, claim, hash, signer, nonce, expires, exclusive, conflict_keys, sends, open,
		last_sent, error, dead, block, final, outcome, fee, final_at, send_before`
	// updateColumns are those that every update of a transaction writes. None is in an index.
	updateColumns = `updated, sub, sub_since, recipient, value, gas, fee, attempt, hash, first_submit, last_submit, error, policy_state, due,
		outcome, progressed, cancel_asked, history_n, history_fold`
	// touchColumns are those of an attempt that are in no index.
	touchColumns = `claim, signer, nonce, expires, exclusive, conflict_keys, sends, open, last_sent, error, dead, outcome, fee,
		send_before`
	streamColumns   = `seq, id, name, created, updated, epoch, spec`
	listenerColumns = `seq, id, stream, name, created, updated, spec`
	// letterColumns are those but for the payload.
	letterColumns = `seq, id, stream, listener, listener_name, replay, event, block, kind, error, attempts, first_failed, last_failed, asked`
	// letterFilter takes the arguments that letterArgs makes; letterRest those of it that are no place.
	letterFilter = `stream = ? AND seq > ? AND seq < ? AND ` + letterRest
	letterRest   = `(CAST(? AS TEXT) = '' OR listener = ?) AND (CAST(? AS TEXT) = '' OR kind = ?) AND last_failed >= ? AND last_failed < ?`
	txOf         = `(SELECT tx FROM keys WHERE key = ?)`
	// What is in a block that may change: with the ledger's number of confirmations, and with one of its own. Each has its index.
	openOutcomes    = `block IS NOT NULL AND final = 0 AND final_at IS NULL`
	openOwnOutcomes = `final_at IS NOT NULL AND final = 0`
	fillKind        = `FillNonce`                                                 // of what fills a gap
	notFill         = `kind <> 'FillNonce'`                                       // as the index tx_nonce has it
	openFill        = `kind = 'FillNonce' AND status IN ('Pending', 'Suspended')` // as tx_fill has it
	atNonce         = ` AND a.nonce = t.nonce AND a.state = 'Submitting' AND a.final = 0`
	openStatuses    = `status IN ('Pending', 'Suspended')`
	notTerminal     = `status NOT IN ('Succeeded', 'Failed')` // the same, said so that no index of what is open is walked for it
)

var statements = [writerStatements]statement{
	sqlLease:      {sql: `SELECT generation FROM lease WHERE name = ? {share}`},
	sqlTouchLease: {sql: `UPDATE lease SET since = ? WHERE name = ?`},

	sqlClaimKey: {
		sql:   `INSERT INTO keys (key, body_hash, tx, expires) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
		types: "sbii",
	},
	sqlKey: {sql: `SELECT key, body_hash, tx, expires, EXISTS (SELECT 1 FROM tx WHERE tx.seq = keys.tx) FROM keys
		WHERE key = ? {update}`},
	sqlReviveKey: {sql: `UPDATE keys SET body_hash = ?, tx = ?, expires = ?, ended = NULL WHERE key = ?`},
	sqlDeleteKey: {sql: `DELETE FROM keys WHERE key = ?`},

	sqlEndKey:         {sql: `UPDATE keys SET ended = ? WHERE key = ? AND tx = ?`},
	sqlForgetKeys:     {sql: `DELETE FROM keys WHERE {in key} AND ended IS NOT NULL AND expires <= ?`},
	sqlDeleteTx:       {sql: `DELETE FROM tx WHERE {in seq} AND status IN ('Succeeded', 'Failed')`},
	sqlDeleteBody:     {sql: `DELETE FROM tx_body WHERE {in tx}`},
	sqlDeleteAttempts: {sql: `DELETE FROM attempts WHERE {in tx}`},
	sqlDeletePayloads: {sql: `DELETE FROM attempt_payloads WHERE {in tx}`},
	sqlDeleteHistory:  {sql: `DELETE FROM history WHERE {in tx}`},
	sqlDeleteLabel:    {sql: `DELETE FROM tx_labels WHERE name = ? AND value = ? AND tx = ?`},
	sqlTrimLog:        {sql: `DELETE FROM status_log WHERE seq <= ?`},

	sqlSigner: {sql: `SELECT next_nonce FROM signers WHERE ledger = ? AND signer = ? {update}`},
	sqlSetSigner: {
		sql: `INSERT INTO signers (ledger, signer, next_nonce, assigned_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (ledger, signer) DO UPDATE SET next_nonce = excluded.next_nonce, assigned_at = excluded.assigned_at`,
		types: "ssii",
	},

	sqlHolder: {sql: `SELECT seq FROM tx WHERE ledger = ? AND signer = ? AND nonce = ? AND nonce IS NOT NULL AND ` + notFill + ` AND ` +
		openStatuses},

	sqlInsertTx: {
		sql: `INSERT INTO tx (` + txColumns + `, history_n, history_fold)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		types: "isisiissiisssisssisiissisiisisii",
	},
	sqlInsertLabel: {sql: `INSERT INTO tx_labels (name, value, tx) VALUES (?, ?, ?)`, types: "ssi"},
	sqlInsertBody: {
		sql: `INSERT INTO tx_body (tx, request, history, prepared, result, expires, exclusive, conflict_keys)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		types: "issbsiss",
	},
	sqlPutAttempt: {
		sql: `INSERT INTO attempts (` + attemptColumns + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (tx, number) DO UPDATE SET ledger = excluded.ledger, state = excluded.state, claim = excluded.claim,
			hash = excluded.hash, signer = excluded.signer, nonce = excluded.nonce, expires = excluded.expires,
			exclusive = excluded.exclusive, conflict_keys = excluded.conflict_keys, sends = excluded.sends, open = excluded.open,
			last_sent = excluded.last_sent, error = excluded.error, dead = excluded.dead, block = excluded.block,
			final = excluded.final, outcome = excluded.outcome, fee = excluded.fee, final_at = excluded.final_at,
			send_before = excluded.send_before`,
		types: "iississiissiiissiissii",
	},
	sqlTouchAttempt: updateOf("attempts", touchColumns, "tx, number", "isiissiiissssi"+"ii"),
	sqlMakeAttempt: {sql: `INSERT INTO attempts (` + attemptColumns + `) SELECT ` + derivedAttempt + ` WHERE t.seq = ?
		ON CONFLICT (tx, number) DO NOTHING`},
	sqlDropBodyPayload: {sql: `UPDATE tx_body SET prepared = NULL, result = NULL WHERE tx = ?`},
	sqlPutPayload: {
		sql: `INSERT INTO attempt_payloads (tx, number, prepared, result, sensitive) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tx, number) DO UPDATE SET prepared = excluded.prepared, result = excluded.result,
			sensitive = excluded.sensitive`,
		types: "iibsb",
	},
	sqlInsertLog: {sql: `INSERT INTO status_log (tx, id, status, sub, time) VALUES (?, ?, ?, ?, ?)`, types: "isssi"},

	sqlTxHeads: {sql: `SELECT id, seq, version, status, nonce, history_n, history_fold FROM tx
		WHERE seq IN (SELECT tx FROM keys WHERE {in key}) ORDER BY seq {update}`},
	sqlUpdateTx:   updateOf("tx", "nonce, status, "+updateColumns, "seq, version", "isi"+progressTypes+"ii"),
	sqlStatusTx:   updateOf("tx", "status, "+updateColumns, "seq, version", "si"+progressTypes+"ii"),
	sqlProgressTx: updateOf("tx", updateColumns, "seq, version", "i"+progressTypes+"ii").onlyIf("tx." + notTerminal),
	sqlSetRequest: {sql: `UPDATE tx_body SET request = ? WHERE tx = ?`},
	sqlInsertHistory: {
		sql:   `INSERT INTO history (tx, n, sub, action, first, last, count, error, info) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		types: "iissiiiss",
	},
	sqlForgetHistory: {sql: `DELETE FROM history WHERE tx = ? AND n <= ?`},
	sqlFoldHistory:   {sql: `UPDATE history SET last = ?, count = count + ? WHERE tx = ? AND n = ?`},
	sqlWipe:          {sql: `UPDATE attempt_payloads SET sensitive = NULL WHERE {in tx} AND sensitive IS NOT NULL`},

	sqlPosition:     {sql: `SELECT id, number, hash FROM ledger_position WHERE ledger = ? {update}`},
	sqlInsertLedger: {sql: `INSERT INTO ledger_position (ledger, id, number, hash, updated) VALUES (?, ?, ?, ?, ?)`},
	sqlSetPosition:  {sql: `UPDATE ledger_position SET number = ?, hash = ?, updated = ? WHERE ledger = ?`},
	sqlAttemptsByHash: {sql: `SELECT tx, number, hash FROM attempts
		WHERE ledger = ? AND hash <> '' AND {ends hash} AND state = 'Submitting' AND final = 0 ORDER BY tx, number`},
	sqlAttemptsHashless: {sql: `SELECT tx, number, signer, nonce FROM attempts
		WHERE ledger = ? AND hash = '' AND state = 'Submitting' AND final = 0 AND nonce IS NOT NULL ORDER BY tx, number`},
	sqlAttemptsAtNonce: {sql: `SELECT a.tx, a.number, a.hash FROM tx t JOIN attempts a ON a.tx = t.seq
		WHERE t.ledger = ? AND t.signer = ? AND t.nonce = ? AND t.nonce IS NOT NULL AND t.` + notFill + ` AND t.` + openStatuses + atNonce + `
		UNION ALL SELECT a.tx, a.number, a.hash FROM tx t JOIN attempts a ON a.tx = t.seq
		WHERE t.ledger = ? AND t.signer = ? AND t.nonce = ? AND t.kind = 'FillNonce' AND t.` + openStatuses + atNonce + ` ORDER BY 1, 2`},
	sqlAttemptsAbove: {sql: `SELECT tx, number, block FROM attempts WHERE ledger = ? AND ` + openOutcomes + ` AND block > ?
		UNION ALL SELECT tx, number, block FROM attempts WHERE ledger = ? AND ` + openOwnOutcomes + ` AND block > ? ORDER BY 3, 1, 2`},
	sqlAttemptsUpTo: {sql: `SELECT tx, number FROM attempts
		WHERE ledger = ? AND ` + openOutcomes + ` AND block <= ? ORDER BY block, tx, number`},
	sqlAttemptsFinalAt: {sql: `SELECT tx, number FROM attempts
		WHERE ledger = ? AND ` + openOwnOutcomes + ` AND final_at <= ? ORDER BY block, tx, number`},
	sqlTxBySeqs:       {sql: `SELECT ` + txColumns + `, history_n, history_fold FROM tx WHERE {in seq} ORDER BY seq {update}`},
	sqlAttemptsBySeqs: {sql: `SELECT ` + attemptColumns + ` FROM attempts WHERE {in tx} ORDER BY tx, number`},

	sqlStreamEpoch: {sql: `SELECT epoch FROM streams WHERE id = ? {update}`},
	sqlRaiseEpoch:  {sql: `UPDATE streams SET epoch = epoch + 1 WHERE id = ?`},
	sqlPutCheckpoint: {sql: `INSERT INTO checkpoints (listener, stream, epoch, block, tx, log, read_block, read_hash, older, updated)
		SELECT id, stream, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT),
		CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT) FROM listeners WHERE id = ? AND stream = ?
		ON CONFLICT (listener) DO UPDATE SET stream = excluded.stream, epoch = excluded.epoch, block = excluded.block,
		tx = excluded.tx, log = excluded.log, read_block = excluded.read_block, read_hash = excluded.read_hash,
		older = COALESCE(excluded.older, checkpoints.older), updated = excluded.updated`},
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

	sqlDeleteStreamLetters: {sql: `DELETE FROM dead_letters WHERE stream = ?`},
	sqlPutLetter: {sql: `INSERT INTO dead_letters (id, stream, listener, listener_name, replay, event, block, payload, kind, error, attempts,
		first_failed, last_failed, asked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, kind = excluded.kind, error = excluded.error, last_failed = excluded.last_failed,
		attempts = CASE WHEN excluded.attempts > dead_letters.attempts THEN excluded.attempts ELSE dead_letters.attempts END`},
	sqlReturnLetter: {sql: `UPDATE dead_letters SET kind = ?, error = ?, attempts = ?, last_failed = ?, asked = 0 WHERE seq = ? AND stream = ?`},
	sqlDropLetter:   {sql: `DELETE FROM dead_letters WHERE seq = ? AND stream = ?`},
	sqlAskReplay: {sql: `UPDATE dead_letters SET asked = CASE WHEN asked = 0 THEN ? ELSE asked END WHERE stream = ? AND {in seq} AND ` + letterRest + `
		RETURNING seq`},
	sqlDeleteLetters: {sql: `DELETE FROM dead_letters WHERE stream = ? AND {in seq} AND ` + letterRest + ` RETURNING seq`},
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
	if st.many != "" {
		return "WITH done AS (" + strings.Replace(st.many, "{arrays}", arrays.String(), 1) + " RETURNING 1) " +
			"SELECT 1 / (count(*) = cardinality($1))::int FROM done"
	}
	before, rest, _ := strings.Cut(st.sql, "VALUES (")
	_, after, _ := strings.Cut(rest, ")")
	return before + "SELECT * FROM unnest(" + arrays.String() + ")" + after
}

// directive writes what a directive in braces stands for.
func (d dialect) directive(b *strings.Builder, word string, param func()) {
	column, isList := strings.CutPrefix(word, "in ")
	if alike, ok := strings.CutPrefix(word, "ends "); ok {
		if column, isList = alike, true; d != dialectPostgres {
			b.WriteString("substr(" + column + ", -8) IN (SELECT substr(value, -8) FROM json_each(")
			param()
			b.WriteString("))")
			return
		}
	}
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
