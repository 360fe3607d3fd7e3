package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// endRule ends a transaction when an outcome is final and takes it back to Tracking when one is undone.
func endRule(tx *store.Tx, attempts []*store.Attempt, hit int) *store.TxUpdate {
	o := attempts[hit].Outcome
	switch {
	case tx.Status.Terminal():
		return nil
	case o == nil:
		tx.Sub, tx.Hash = store.SubTracking, attempts[hit].Hash
		return &store.TxUpdate{Tx: tx, History: []store.History{{Sub: tx.Sub, Action: "Undo"}}}
	case !o.Final:
		tx.Hash = attempts[hit].Hash
		return &store.TxUpdate{Tx: tx, History: []store.History{{Sub: tx.Sub, Action: "Found"}}}
	}
	tx.Status, tx.Sub, tx.Outcome, tx.Hash = store.Succeeded, store.SubConfirmed, o, attempts[hit].Hash
	if !o.Success {
		tx.Status, tx.Sub, tx.Error = store.Failed, store.SubFailed, o.Reason
	}
	return &store.TxUpdate{Tx: tx, History: []store.History{{Sub: tx.Sub, Action: "Confirm"}}, Announce: true, Wipe: true}
}

// chain drives Advance block by block.
type chain struct {
	*fixture
	at ffcapi.BlockRef
}

func (f *fixture) chain() *chain {
	f.useLedger("main")
	return &chain{fixture: f}
}

// next makes an Advance to block n with the given outcomes in it.
func (c *chain) next(n uint64, outcomes ...ffcapi.TxOutcome) *store.Advance {
	a := &store.Advance{Ledger: "main", From: c.at, To: block(n)}
	if len(outcomes) > 0 {
		a.Blocks = []store.BlockOutcomes{{Block: block(n), Outcomes: outcomes}}
	}
	return a
}

func (c *chain) advance(a *store.Advance) {
	c.t.Helper()
	stored, err := c.Advance(c.t.Context(), c.Fence(), a, endRule)
	require.NoError(c.t, err)
	if stored {
		c.at = a.To
	}
	l, err := c.Ledger(c.t.Context(), "main")
	require.NoError(c.t, err)
	require.Equal(c.t, c.at, l.Position)
}

// final says that everything up to n cannot change.
func final(a *store.Advance, n uint64) *store.Advance {
	a.Final, a.HasFinal = n, true
	return a
}

func rewind(a *store.Advance, n uint64) *store.Advance {
	a.Rewind = &n
	return a
}

func ok(id string) ffcapi.TxOutcome { return ffcapi.TxOutcome{Hash: "hash-" + id, Success: true} }
