package txn

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// defaultPage is the length of a page for a filter that does not say.
const defaultPage = 25

// Query executes a read on the chain. Errors: *apitypes.Invalid, *ffcapi.Error, apitypes.ErrStopping, ctx's.
func (m *Manager) Query(ctx context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) {
	gas, err := amount("gas", q.Gas)
	if err != nil {
		return nil, err
	}
	value, err := amount("value", q.Value)
	if err != nil {
		return nil, err
	}
	return asked(ctx, m, func(ctx context.Context) (json.RawMessage, error) {
		return m.opts.Connector.Query(ctx, &ffcapi.Request{
			From: q.From, To: q.To, Method: q.Method, Params: q.Params, Errors: q.Errors, Value: value, Gas: gas,
			BlockNumber: q.BlockNumber, Options: q.Options,
		})
	})
}

// Transaction returns one transaction, with what happened to it if history is set. Errors: store.ErrNotFound, and the store's.
func (m *Manager) Transaction(ctx context.Context, id string, withHistory bool) (*apitypes.TransactionWithStatus, error) {
	tx, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	return m.shown(ctx, tx, withHistory)
}

// shown is a row with everything that belongs to it.
func (m *Manager) shown(ctx context.Context, tx *store.Tx, withHistory bool) (*apitypes.TransactionWithStatus, error) {
	t := &apitypes.TransactionWithStatus{Transaction: *m.transaction(tx)}
	o, err := m.outcome(ctx, tx)
	if err != nil {
		return nil, err
	}
	if tx.Attempt > 1 {
		all, err := m.opts.Store.Attempts(ctx, tx.ID)
		if err != nil {
			return nil, err
		}
		t.Attempts = attempts(all)
	}
	t.Receipt = receipt(o)
	if o != nil {
		t.Confirmations = confirming(m.opts.Chain.Confirming(tx.Ledger, o.Block, confirmations(tx)))
	}
	if withHistory {
		entries, err := m.opts.Store.History(ctx, tx.ID)
		if err != nil {
			return nil, err
		}
		t.History = m.history(entries)
	}
	return t, nil
}

// outcome is what the chain says about a transaction, final or not; nil while it is in no block.
func (m *Manager) outcome(ctx context.Context, tx *store.Tx) (*store.Outcome, error) {
	if tx.Outcome != nil || tx.Status.Terminal() {
		return tx.Outcome, nil
	}
	attempts, err := m.opts.Store.Attempts(ctx, tx.ID)
	if err != nil {
		return nil, err
	}
	for i, a := range slices.Backward(attempts) { // the newest one's, or else that of one that it replaces
		newest := i == len(attempts)-1
		if o := a.Outcome; o != nil && o.By == "" && (newest || a.State != store.AttemptDone) {
			return o, nil
		}
	}
	return nil, nil //nolint:nilnil // it is in no block
}

// Receipt returns the outcome of a transaction on the chain. It may not be final while the transaction is pending. Errors:
// store.ErrNotFound for an unknown transaction, and for one that is in no block.
func (m *Manager) Receipt(ctx context.Context, id string) (*apitypes.Receipt, error) {
	tx, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	o, err := m.outcome(ctx, tx)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("receipt of transaction %s: %w", id, store.ErrNotFound)
	}
	return receipt(o), nil
}

// Transactions returns a page. Errors: *apitypes.Invalid, store.ErrNotFound for an After that is no transaction, *store.TooWide, and the
// store's.
func (m *Manager) Transactions(ctx context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
	filter, err := m.filter(ctx, f)
	if err != nil {
		return nil, err
	}
	rows, err := m.opts.Store.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	page := make([]*apitypes.Transaction, len(rows))
	for i, tx := range rows {
		page[i] = m.transaction(tx)
	}
	return page, nil
}

// CountTransactions returns how many transactions a filter selects, whatever its Limit, Skip and After. Errors: as of Transactions.
func (m *Manager) CountTransactions(ctx context.Context, f apitypes.TransactionFilter) (int, error) {
	filter, err := m.filter(ctx, f)
	if err != nil {
		return 0, err
	}
	return m.opts.Store.Count(ctx, filter)
}
