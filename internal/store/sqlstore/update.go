package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// updateCmd changes one transaction.
type updateCmd struct {
	u        *store.TxUpdate
	attempts [][]any // without the number of the row
	outcome  any

	found   bool
	seq     int64
	version int64
	status  store.TxStatus
	head    historyHead
	now     int64
}

// Update implements store.Transactions.
func (s *Store) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	c, err := newUpdate(u)
	if err == nil {
		err = s.writer.submit(ctx, classOutcome, &f, c)
	}
	if err != nil {
		return fmt.Errorf("update transaction %s: %w", u.Tx.ID, err)
	}
	u.Tx.Version++
	u.Tx.Updated = fromMicros(c.now)
	return nil
}

func newUpdate(u *store.TxUpdate) (*updateCmd, error) {
	if err := checkTx(u.Tx); err != nil {
		return nil, err
	}
	c := &updateCmd{u: u}
	var err error
	if c.outcome, err = outcomeValue(u.Tx.Outcome); err != nil {
		return nil, err
	}
	for _, a := range u.Attempts {
		if err := checkAttempt(a); err != nil {
			return nil, err
		}
		r, err := attemptRow(0, a)
		if err != nil {
			return nil, err
		}
		c.attempts = append(c.attempts, r)
	}
	return c, nil
}

func (c *updateCmd) scope() string { return c.u.Tx.ID }

func (c *updateCmd) load(g *group) {
	c.found = false
	g.session.query(sqlTxHead, func(r row) error {
		c.found = true
		c.seq, c.version, c.status = r.int(0), r.int(1), store.TxStatus(r.text(2))
		c.head = historyHead{n: r.int(3), mark: r.int(4)}
		return nil
	}, c.u.Tx.ID)
}

func (c *updateCmd) plan(g *group) error {
	switch {
	case !c.found:
		return store.ErrNotFound
	case c.status.Terminal():
		return fmt.Errorf("it is %s: %w", c.status, store.ErrConflict)
	case c.version != c.u.Tx.Version:
		return fmt.Errorf("version %d, now %d: %w", c.u.Tx.Version, c.version, store.ErrConflict)
	}
	c.now = g.now
	g.writeTx(c.u, c.outcome, c.seq, c.head)
	for _, r := range c.attempts {
		r[attemptSeq] = c.seq
		g.rows.attempts = append(g.rows.attempts, r)
	}
	return nil
}

// writeTx queues an update but for its attempts. seq, head and u.Tx.Version are what is stored.
func (g *group) writeTx(u *store.TxUpdate, outcome any, seq int64, head historyHead) {
	tx := u.Tx
	head = g.writeHistory(seq, head, u.History)
	g.session.exec(sqlUpdateTx, 1, g.now, string(tx.Status), string(tx.Sub), toMicros(tx.SubSince), tx.To, bitsOf(tx.Nonce), tx.Value,
		tx.Gas, rawValue(tx.Fee), int64(tx.Attempt), tx.Hash, toMicros(tx.FirstSubmit), toMicros(tx.LastSubmit), text(tx.Error),
		rawValue(tx.PolicyState), toMicros(tx.Due), outcome, head.n, head.mark, seq, tx.Version)
	if u.Payload != nil {
		p := *u.Payload
		if u.Wipe {
			p.Sensitive = nil
		}
		g.rows.payloads = append(g.rows.payloads, payloadRow(seq, tx.Attempt, &p))
	}
	if u.Wipe {
		g.session.exec(sqlWipe, anyRows, seq)
	}
	if u.Announce {
		g.log(tx)
	}
}
