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

	now   int64
	nonce *uint64 // the transaction's, when it changes
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
	c.report()
	return nil
}

func newUpdate(u *store.TxUpdate) (*updateCmd, error) {
	if err := checkTx(u.Tx); err != nil {
		return nil, err
	}
	if u.Payload != nil {
		if err := checkPayload(u.Payload); err != nil {
			return nil, err
		}
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
	g.wantHead(c.u.Tx.ID)
	if c.u.GiveBack || c.u.Renumber {
		g.wantSigner(c.signer())
	}
}

func (c *updateCmd) plan(g *group) error {
	h, found := g.heads[c.u.Tx.ID]
	switch {
	case !found:
		return store.ErrNotFound
	case h.status.Terminal():
		return fmt.Errorf("it is %s: %w", h.status, store.ErrConflict)
	case h.version != c.u.Tx.Version:
		g.doubt(c.u.Tx.ID)
		return fmt.Errorf("version %d, now %d: %w", c.u.Tx.Version, h.version, store.ErrConflict)
	}
	c.now = g.now
	if err := c.renumber(g); err != nil {
		return err
	}
	if c.u.Request != nil {
		g.session.exec(sqlSetRequest, 1, rawValue(c.u.Request), h.seq)
	}
	g.writeAttempts(&h, c.attempts)
	g.writeTx(c.u, c.outcome, h)
	return nil
}

// writeAttempts queues rows of attempts of the transaction that h is the head of.
func (g *group) writeAttempts(h *txHead, rows [][]any) {
	made := h.version > 1 // by the first update
	for _, r := range rows {
		r[attemptSeq] = h.seq
		shape := shapeOf(r)
		if shape == h.attempt {
			g.rows.touches = append(g.rows.touches, touchRow(r))
		} else {
			g.rows.attempts = append(g.rows.attempts, r)
		}
		made = made || shape.number == 1
		h.attempt = shape
	}
	if !made {
		g.session.exec(sqlMakeAttempt, anyRows, h.seq)
	}
}

// writeTx queues an update but for its attempts. h and u.Tx.Version are what is stored.
func (g *group) writeTx(u *store.TxUpdate, outcome any, h txHead) {
	tx, seq := u.Tx, h.seq
	progressed := toMicros(tx.Progressed)
	if u.Progressed {
		progressed = g.now
	}
	h.history = g.writeHistory(seq, h.history, u.History)
	status, nonce := tx.Status, bitsOf(tx.Nonce)
	r := make([]any, 0, updateWidth)
	rows := &g.rows.progress
	switch {
	case h.nonce != nonce:
		r, rows = append(r, nonce, string(status)), &g.rows.updates
	case h.status != status:
		r, rows = append(r, string(status)), &g.rows.statuses
	}
	*rows = append(*rows, append(r,
		g.now, string(tx.Sub), toMicros(tx.SubSince), tx.To, tx.Value,
		tx.Gas, rawValue(tx.Fee), int64(tx.Attempt), tx.Hash, toMicros(tx.FirstSubmit), toMicros(tx.LastSubmit), text(tx.Error),
		rawValue(tx.PolicyState), toMicros(tx.Due), outcome, progressed, toMicros(tx.CancelAsked), h.history.n, h.history.mark,
		seq, tx.Version,
	))
	h.version, h.status, h.nonce = tx.Version+1, status, nonce
	g.setHead(tx.ID, h)
	if u.Payload != nil {
		p := *u.Payload
		if u.Wipe {
			p.Sensitive = nil
		}
		g.rows.payloads = append(g.rows.payloads, payloadRow(seq, tx.Attempt, &p))
		if tx.Attempt == 1 {
			g.session.exec(sqlDropBodyPayload, anyRows, seq)
		}
	}
	if u.Wipe {
		g.rows.wipes = append(g.rows.wipes, seq)
	}
	if u.Announce {
		g.log(tx)
	}
}
