package sqlstore

import "github.com/pyralis-io/pyralis/internal/store"

// What is known of the first attempt when a transaction is accepted is kept in the rows of the transaction and of its body, so that
// an acceptance writes as few rows as can be. The first update of the transaction gives the attempt a row of its own; until then it
// is derived.

// derivedAttempt is the first attempt of a transaction that has no row for it yet, in the order of attemptColumns.
const derivedAttempt = `t.seq, CAST(1 AS BIGINT), t.ledger, 'Prepared', CAST(0 AS BIGINT), t.hash, t.signer, t.nonce, coalesce(b.expires, 0),
	coalesce(b.exclusive, ''), b.conflict_keys, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), '', '', CAST(NULL AS BIGINT),
	CAST(0 AS BIGINT), CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS BIGINT), CAST(0 AS BIGINT)
	FROM tx t JOIN tx_body b ON b.tx = t.seq`

// derivable reports whether derivedAttempt is all that there is to say of a new attempt.
func derivable(tx *store.Tx, a *store.Attempt) bool {
	return a.State == store.AttemptPrepared && a.Ledger == tx.Ledger && a.From == tx.From && a.Claim == 0 && a.Sends == 0 && a.Open == 0 &&
		a.LastSent.IsZero() && a.Error == "" && a.Dead == "" && len(a.Fee) == 0 && a.SendBefore.IsZero()
}

// inBody reports whether a first payload is kept with the body. What is to be wiped is not: wiping a body would rewrite all of it.
func inBody(p *store.Payload) bool { return p.Prepared != nil && p.Sensitive == nil }

// bodyRow is what is kept of a request, in the order of sqlInsertBody, without the number of the transaction's row.
func bodyRow(n *store.NewTx, a *store.Attempt, history any) ([]any, error) {
	r := []any{nil, rawValue(n.Request), history, nil, nil, nil, nil, nil}
	if inBody(&n.Payload) {
		r[3], r[4] = n.Payload.Prepared, rawValue(n.Payload.Result)
	}
	if a.Expires != 0 {
		r[5] = bits(a.Expires)
	}
	if a.Exclusive != "" {
		r[6] = a.Exclusive
	}
	var err error
	if len(a.ConflictKeys) > 0 {
		r[7], err = jsonText(a.ConflictKeys)
	}
	return r, err
}
