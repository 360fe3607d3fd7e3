package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// On SQLite the transactions of a signer are found in a table, tx_by_signer, which the writer fills for many transactions at a time: an index
// would cost each acceptance a page of its own, because every signer's next entry is elsewhere. What is not in it yet is bounded by signerLag and
// one transaction of the writer, and is looked through.

// signerLag is how many transactions wait to be entered at most.
const signerLag = 2048

// The statements that enter what waits.
const (
	enterSigners = `INSERT INTO tx_by_signer SELECT signer, seq FROM tx WHERE seq > (SELECT upto FROM signer_index) ORDER BY signer, seq`
	noteSigners  = `UPDATE signer_index SET upto = ?`
	signersUpTo  = `SELECT upto FROM signer_index`
)

// sqliteOpenNonces is readOpenNonces for that table.
const sqliteOpenNonces = `SELECT nonce FROM tx_by_signer g CROSS JOIN tx NOT INDEXED ON tx.seq = g.seq
	WHERE g.signer = ?2 AND g.` + sinceOpen + ` AND ledger = ?1 AND nonce >= ?3 AND nonce IS NOT NULL AND ` + notFill + ` AND ` + openStatuses + `
	UNION ALL SELECT nonce FROM tx NOT INDEXED
	WHERE seq > (` + signersUpTo + `) AND ledger = ?1 AND signer = ?2 AND nonce >= ?3 AND nonce IS NOT NULL AND ` + notFill + ` AND ` + openStatuses + `
	UNION ALL SELECT nonce FROM tx WHERE ledger = ?4 AND signer = ?5 AND nonce >= ?6 AND ` + openFill + ` ORDER BY 1 LIMIT ?7`

// sqlite is a read as SQLite carries it out.
func (id readID) sqlite() string {
	if id == readOpenNonces {
		return sqliteOpenNonces
	}
	return dialectSQLite.render(readSQL[id])
}

// enterSigners is part of the commit once enough wait.
func (s *sqliteSession) enterSigners() (upTo int64) {
	if s.err != nil || s.lastSeq-s.entered < s.lag {
		return s.entered
	}
	if _, s.err = s.enters.ExecContext(context.Background(), nil); s.err == nil {
		_, s.err = s.notes.ExecContext(context.Background(), s.args([]any{s.lastSeq}))
	}
	return s.lastSeq
}

// share is a part of all transactions that is searched by itself; the zero value is all of them.
type share struct {
	split bool
	tail  bool  // those whose signers are not entered yet
	upTo  int64 // of those that are
}

// bound is what a share asks of the order.
func (s share) bound() []clause {
	switch {
	case !s.split:
		return nil
	case s.tail:
		return []clause{{" > ?", []any{s.upTo}}}
	default:
		return []clause{{" <= ?", []any{s.upTo}}}
	}
}

// shares splits a search for a signer. What is entered between the two reads is in the tail all the same.
func (s *Store) shares(ctx context.Context, flt store.TxFilter) ([]share, error) {
	if signers, _ := signersOf(flt); s.dialect != dialectSQLite || len(signers) == 0 {
		return []share{{}}, nil
	}
	var upTo int64
	err := s.find(ctx, signersUpTo, nil, func(r row) error {
		upTo = r.int(0)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("transactions of a signer: %w", err)
	}
	return []share{{split: true, tail: true, upTo: upTo}, {split: true, upTo: upTo}}, nil
}

// bySigner is the way along the transactions of a signer.
func (d dialect) bySigner(signer string) way {
	if d == dialectPostgres {
		return d.walking("tx_signer", d.led("tx.signer", signer))
	}
	return way{
		from: "tx_by_signer g CROSS JOIN tx NOT INDEXED ON tx.seq = g.seq", walk: "tx_by_signer g", seq: "g.seq",
		own: []clause{{"g.signer = ?", []any{signer}}},
	}
}
