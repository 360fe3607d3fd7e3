package txn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// defaultPage is the length of a page for a filter that does not say.
const defaultPage = 25

// Query executes a read on the chain. Errors: *apitypes.Invalid, *ffcapi.Error, apitypes.ErrStopping, ctx's.
func (m *Manager) Query(ctx context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) {
	if err := m.admitting(); err != nil {
		return nil, err
	}
	gas, err := amount("gas", q.Gas)
	if err != nil {
		return nil, err
	}
	value, err := amount("value", q.Value)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, m.opts.QueryTimeout)
	defer cancel()
	out, err := m.opts.Connector.Query(call, &ffcapi.Request{
		From: q.From, To: q.To, Method: q.Method, Params: q.Params, Errors: q.Errors, Value: value, Gas: gas,
		BlockNumber: q.BlockNumber, Options: q.Options,
	})
	if err != nil {
		return nil, m.tooLate(ctx, err)
	}
	return out, nil
}

// Transaction returns one transaction, with what happened to it if history is set. Errors: store.ErrNotFound, and the store's.
func (m *Manager) Transaction(ctx context.Context, id string, withHistory bool) (*apitypes.TransactionWithStatus, error) {
	tx, err := m.opts.Store.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	t := &apitypes.TransactionWithStatus{Transaction: *m.transaction(tx)}
	o, err := m.outcome(ctx, tx)
	if err != nil {
		return nil, err
	}
	t.Receipt = receipt(o)
	if withHistory {
		entries, err := m.opts.Store.History(ctx, id)
		if err != nil {
			return nil, err
		}
		t.History = history(entries)
	}
	return t, nil
}

// outcome is what the chain says about a transaction, final or not; nil while it is in no block.
func (m *Manager) outcome(ctx context.Context, tx *store.Tx) (*store.Outcome, error) {
	if tx.Outcome != nil || tx.Status.Terminal() {
		return tx.Outcome, nil
	}
	attempts, err := m.opts.Store.Attempts(ctx, tx.ID)
	if err != nil || len(attempts) == 0 {
		return nil, err
	}
	return attempts[len(attempts)-1].Outcome, nil
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

// Transactions returns a page. Errors: *apitypes.Invalid, store.ErrNotFound for an After that is no transaction, and the
// store's.
func (m *Manager) Transactions(ctx context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
	filter := store.TxFilter{Limit: f.Limit, Ascending: f.Ascending, Signer: f.Signer}
	switch {
	case f.Limit < 0:
		return nil, apitypes.Invalidf("limit", "must be 1 or more", "is %d", f.Limit)
	case f.Limit == 0:
		filter.Limit = defaultPage
	}
	if f.Pending {
		filter.Statuses = []store.TxStatus{store.Pending, store.Suspended}
	}
	for _, s := range f.Statuses {
		status, err := parseStatus(s)
		if err != nil {
			return nil, err
		}
		filter.Statuses = append(filter.Statuses, status)
	}
	if f.After != "" {
		last, err := m.opts.Store.Transaction(ctx, f.After)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("after: %w", err)
		} else if err != nil {
			return nil, err
		}
		filter.After = last.Seq
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

func parseStatus(s string) (store.TxStatus, error) {
	all := []store.TxStatus{store.Pending, store.Suspended, store.Succeeded, store.Failed}
	for _, status := range all {
		if strings.EqualFold(s, string(status)) {
			return status, nil
		}
	}
	return "", apitypes.Invalidf("status", "must be Pending, Suspended, Succeeded or Failed", "is %q", s)
}
