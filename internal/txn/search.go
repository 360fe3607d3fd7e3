package txn

import (
	"context"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// unnamed notes that a send may be the first that tells an attempt's hash. Where the chain has nonces, blocks are matched by these. Only before the
// first send is it known that no block so far holds the attempt: a process may have ended in a send that nothing tells of but the claim, which
// the next send then shares.
func (m *Manager) unnamed(j *job) {
	a := j.state.Attempts[len(j.state.Attempts)-1]
	known := j.it.known()
	if a.Hash != "" || a.Nonce != nil || known.missed {
		return
	}
	known.missed = true
	if safe, ok, _ := m.opts.Chain.Safe(a.Ledger); ok && a.Sends <= 1 && j.state.Claimed {
		known.above = safe.Number
	}
	j.it.know(known)
}

// search looks for the newest attempt in the blocks that passed before its hash was known, when no node could tell its receipt. nil:
// it is in none of them, or they could not be read.
func (m *Manager) search(ctx context.Context, j *job) txstate.Input {
	tx, a := &j.state.Tx, j.state.Attempts[len(j.state.Attempts)-1]
	known := j.it.known()
	if !known.missed || a.Hash == "" || a.Outcome != nil {
		return nil
	}
	b, i, err := m.opts.Chain.Find(ctx, a.Ledger, a.Hash, known.above)
	switch {
	case err != nil:
		if m.trouble.ok() {
			m.log.WithField("tx", tx.ID).WithError(err).Warn("The blocks that may hold a transaction could not be read")
		}
		return nil
	case b == nil:
		j.it.noticed() // what comes now is
		return nil
	case !b.Outcomes: // its receipt tells, another time
		j.it.noticed()
		return txstate.Sighted{Now: m.opts.Now()}
	case !m.opts.Chain.Final(a.Ledger, b.Number, confirmations(tx)):
		return txstate.Sighted{Now: m.opts.Now()}
	}
	o := &b.Transactions[i]
	return txstate.Found{Attempt: a.Number, Now: m.opts.Now(), Outcome: store.Outcome{
		Block: b.BlockRef, Index: o.Index, Success: o.Success, Reason: o.Reason, Retryable: o.Retryable, Result: o.Result,
		ContractLocation: o.ContractLocation, Final: true,
	}}
}

// confirmations is what a transaction asked for; negative: nothing.
func confirmations(tx *store.Tx) int {
	if tx.Required == nil {
		return -1
	}
	return *tx.Required
}

// finalFor is block, or as far below it as the chain is final for a transaction that wants more confirmations than the ledger; 0: nowhere.
func (m *Manager) finalFor(tx *store.Tx, block uint64) uint64 {
	if m.opts.Chain.Final(tx.Ledger, block, confirmations(tx)) {
		return block
	}
	head, ok := m.opts.Chain.Head(tx.Ledger)
	if n := uint64(max(confirmations(tx), 0)); ok && head.Number > n {
		return min(block, head.Number-n)
	}
	return 0
}
