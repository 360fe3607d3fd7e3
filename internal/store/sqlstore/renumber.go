package sqlstore

import (
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

func (c *updateCmd) signer() signerID { return signerID{c.u.Tx.Ledger, c.u.Tx.From} }

// renumber takes the transaction's nonce back, or assigns another one. It may be called again when the group failed.
func (c *updateCmd) renumber(g *group) error {
	if c.nonce == nil {
		c.nonce = c.u.Tx.Nonce
	}
	s := g.signers[c.signer()]
	switch {
	case c.u.GiveBack && c.u.Tx.Kind == fillKind:
		return fmt.Errorf("nonce of %s was assigned before to one that has ended: %w", c.u.Tx.From, store.ErrConflict)
	case c.u.GiveBack:
		if c.nonce == nil || !s.known || s.next != *c.nonce+1 {
			return fmt.Errorf("a later nonce of %s was assigned: %w", c.u.Tx.From, store.ErrConflict)
		}
		s.next, s.dirty = *c.nonce, true
		c.u.Tx.Nonce = nil
	case c.u.Renumber:
		next := s.next
		if c.u.NodeNext != nil {
			next = max(next, *c.u.NodeNext)
		}
		if next+1 == 0 {
			return fmt.Errorf("%s has no nonces left: %w", c.u.Tx.From, store.ErrInvalid)
		}
		s.known, s.next, s.dirty = true, next+1, true
		c.u.Tx.Nonce = &next
		for i, a := range c.u.Attempts {
			if a.Number == c.u.Tx.Attempt {
				c.attempts[i][attemptNonce] = bits(next)
			}
		}
	}
	return nil
}

// report tells the caller what was decided.
func (c *updateCmd) report() {
	if c.u.Progressed {
		c.u.Tx.Progressed = fromMicros(c.now)
	}
	if !c.u.Renumber {
		return
	}
	for _, a := range c.u.Attempts {
		if a.Number == c.u.Tx.Attempt {
			a.Nonce = c.u.Tx.Nonce
		}
	}
}
