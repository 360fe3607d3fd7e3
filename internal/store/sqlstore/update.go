package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// txHead is what an update must know of what is stored.
type txHead struct {
	seq, version int64
	status       store.TxStatus
	history      historyHead
}

// updateCmd changes one transaction.
type updateCmd struct {
	u        *store.TxUpdate
	attempts [][]any // without the number of the row
	outcome  any

	now int64
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

func (c *updateCmd) load(g *group) { g.wantHead(c.u.Tx.ID) }

func (c *updateCmd) plan(g *group) error {
	h, found := g.heads[c.u.Tx.ID]
	switch {
	case !found:
		return store.ErrNotFound
	case h.status.Terminal():
		return fmt.Errorf("it is %s: %w", h.status, store.ErrConflict)
	case h.version != c.u.Tx.Version:
		return fmt.Errorf("version %d, now %d: %w", c.u.Tx.Version, h.version, store.ErrConflict)
	}
	c.now = g.now
	g.writeTx(c.u, c.outcome, h.seq, h.history)
	for _, r := range c.attempts {
		r[attemptSeq] = h.seq
		g.rows.attempts = append(g.rows.attempts, r)
	}
	return nil
}

// writeTx queues an update but for its attempts. seq, head and u.Tx.Version are what is stored.
func (g *group) writeTx(u *store.TxUpdate, outcome any, seq int64, head historyHead) {
	tx := u.Tx
	head = g.writeHistory(seq, head, u.History)
	g.rows.updates = append(g.rows.updates, []any{
		g.now, string(tx.Status), string(tx.Sub), toMicros(tx.SubSince), tx.To, bitsOf(tx.Nonce), tx.Value,
		tx.Gas, rawValue(tx.Fee), int64(tx.Attempt), tx.Hash, toMicros(tx.FirstSubmit), toMicros(tx.LastSubmit), text(tx.Error),
		rawValue(tx.PolicyState), toMicros(tx.Due), outcome, head.n, head.mark, seq, tx.Version,
	})
	if u.Payload != nil {
		p := *u.Payload
		if u.Wipe {
			p.Sensitive = nil
		}
		g.rows.payloads = append(g.rows.payloads, payloadRow(seq, tx.Attempt, &p))
	}
	if u.Wipe {
		g.rows.wipes = append(g.rows.wipes, seq)
	}
	if u.Announce {
		g.log(tx)
	}
}
