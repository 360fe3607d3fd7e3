package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// maxEndedError is how much of an error is kept with a key.
const maxEndedError = 256

// endedJSON is what is kept of a transaction with its key, when its record is removed.
type endedJSON struct {
	Seq     int64           `json:"seq"`
	Kind    string          `json:"kind"`
	Created int64           `json:"created"`
	Updated int64           `json:"updated"`
	Status  store.TxStatus  `json:"status"`
	Sub     store.SubStatus `json:"sub"`
	Ledger  string          `json:"ledger,omitempty"`
	From    string          `json:"from,omitempty"`
	To      string          `json:"to,omitempty"`
	Nonce   *uint64         `json:"nonce,omitempty"`
	Hash    string          `json:"hash,omitempty"`
	Error   string          `json:"error,omitempty"`
	RetryOf string          `json:"retryOf,omitempty"`
}

func endedText(tx *store.Tx) (string, error) {
	e := tx.Error
	if len(e) > maxEndedError {
		e = text(e[:maxEndedError]) + "…"
	}
	return jsonText(endedJSON{
		Seq: tx.Seq, Kind: tx.Kind, Created: toMicros(tx.Created), Updated: toMicros(tx.Updated), Status: tx.Status, Sub: tx.Sub, Ledger: tx.Ledger,
		From: tx.From, To: tx.To, Nonce: tx.Nonce, Hash: tx.Hash, Error: e, RetryOf: tx.RetryOf,
	})
}

// Ended implements store.Retention.
func (s *Store) Ended(ctx context.Context, id string) (*store.Tx, error) {
	var tx *store.Tx
	err := s.read(ctx, readEnded, func(r row) error {
		var e endedJSON
		if err := json.Unmarshal([]byte(r.text(0)), &e); err != nil {
			return fmt.Errorf("decode how it ended: %w", err)
		}
		tx = &store.Tx{
			Seq: e.Seq, ID: id, Kind: e.Kind, Created: fromMicros(e.Created), Updated: fromMicros(e.Updated), SubSince: fromMicros(e.Updated),
			Status: e.Status, Sub: e.Sub, Ledger: e.Ledger, From: e.From, To: e.To, Nonce: e.Nonce, Hash: e.Hash, Error: e.Error, RetryOf: e.RetryOf,
		}
		return nil
	}, id)
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w", id, err)
	}
	if tx == nil {
		return nil, notFound("transaction", id)
	}
	return tx, nil
}

// Remove implements store.Retention. What to remove is read beside the writer: what has ended changes no more.
func (s *Store) Remove(ctx context.Context, f store.Fence, before time.Time, after int64, limit int) (removed int, next int64, err error) {
	seen, err := s.readTxs(ctx, readTerminal, after, limitOf(limit))
	if err != nil {
		return 0, 0, fmt.Errorf("find transactions to remove: %w", err)
	}
	if limit > 0 && len(seen) == limit {
		next = seen[len(seen)-1].Seq
	}
	var old []*store.Tx
	now := s.opts.Now()
	for _, tx := range seen {
		if tx.Created.After(now) {
			continue // the clock was put back since, so it says nothing about those behind it
		}
		if !tx.Created.Before(before) {
			next = 0 // nothing behind it can have ended before
			break
		}
		if tx.Status.Terminal() && tx.Updated.Before(before) {
			old = append(old, tx)
		}
	}
	if len(old) == 0 {
		return 0, next, nil
	}
	if err := s.lone(ctx, &f, func(g *group) error { return g.remove(old) }); err != nil {
		return 0, 0, fmt.Errorf("remove transactions: %w", err)
	}
	return len(old), next, nil
}

// remove deletes transactions that have ended.
func (g *group) remove(old []*store.Tx) error {
	seqs, ended := make([]int64, len(old)), make([]string, len(old))
	for i, tx := range old {
		var err error
		if ended[i], err = endedText(tx); err != nil {
			return err
		}
		seqs[i] = tx.Seq
	}
	for i, tx := range old {
		g.session.exec(sqlEndKey, anyRows, ended[i], tx.ID, tx.Seq)
		for name, value := range tx.Labels {
			g.session.exec(sqlDeleteLabel, anyRows, name, value, tx.Seq)
		}
	}
	list := g.session.ints(seqs)
	for _, id := range []stmtID{sqlDeleteBody, sqlDeleteAttempts, sqlDeletePayloads, sqlDeleteHistory} {
		g.session.exec(id, anyRows, list)
	}
	g.session.exec(sqlDeleteTx, anyRows, list)
	return nil
}

// ForgetKeys implements store.Retention.
func (s *Store) ForgetKeys(ctx context.Context, f store.Fence, limit int) (int, error) {
	now := toMicros(s.opts.Now())
	var keys []string
	err := s.read(ctx, readExpired, func(r row) error {
		keys = append(keys, r.text(0))
		return nil
	}, now, limitOf(limit))
	if err == nil && len(keys) > 0 {
		// One that was used again meanwhile is not what was read.
		err = s.lone(ctx, &f, func(g *group) error {
			g.session.exec(sqlForgetKeys, anyRows, g.session.texts(keys), now)
			return nil
		})
	}
	if err != nil {
		return 0, fmt.Errorf("delete expired keys: %w", err)
	}
	return len(keys), nil
}

// TrimStatus implements store.Retention.
func (s *Store) TrimStatus(ctx context.Context, f store.Fence, upTo int64, before time.Time, limit int) (int, error) {
	head, err := s.StatusHead(ctx)
	if err != nil {
		return 0, err
	}
	upTo = min(upTo, head-1)
	seen, n, last := 0, 0, int64(0)
	err = s.read(ctx, readLogHead, func(r row) error {
		// Rows go from the oldest on, without a gap. One that was written before another is older, whatever the clock said then.
		if seen++; r.int(0) <= upTo && r.time(1).Before(before) {
			n, last = seen, r.int(0)
		}
		return nil
	}, limitOf(limit))
	if err == nil && n > 0 {
		err = s.lone(ctx, &f, func(g *group) error {
			g.session.exec(sqlTrimLog, anyRows, last)
			return nil
		})
	}
	if err != nil {
		return 0, fmt.Errorf("trim status log: %w", err)
	}
	return n, nil
}
