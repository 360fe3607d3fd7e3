package txn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// UpdateTransaction changes the request of a transaction of which nothing has left. It is prepared before anything is stored, so that
// what the chain refuses changes nothing.
func (m *Manager) UpdateTransaction(ctx context.Context, id string, u *apitypes.TransactionUpdate) (*apitypes.Transaction, error) {
	if err := checkUpdate(u); err != nil {
		return nil, err
	}
	rejoined := false
	row, err := m.change(ctx, id, "changed", func(s *txstate.State) (txstate.Input, error) {
		in, err := m.patching(ctx, s, u)
		if err == nil && in.Request != nil && s.Tx.Nonce == nil {
			rejoined = true // before it is stored: afterwards a worker may be about to send it
			m.next(m.contention.rejoin(id, s.Tx.Attempt+1, s.Tx.Ledger, contestedFor(s, in.To, in.Attempt.ConflictKeys)))
		}
		return in, err
	})
	if err != nil {
		if rejoined {
			m.yield(id)
			m.sched.rouse(id, false)
		}
		return nil, err
	}
	m.sched.rouse(id, true)
	return m.transaction(row), nil
}

func checkUpdate(u *apitypes.TransactionUpdate) error {
	switch {
	case u.Nonce != nil:
		return apitypes.Invalidf("nonce", "cancel the transaction to have its nonce used up, and send the request again",
			"cannot be changed: a signer's nonces are assigned without gaps, in the order of acceptance")
	case u.TransactionData != nil:
		return apitypes.Invalidf("transactionData", "change to, gas, value or gasPrice", "cannot be changed: it is made of the request")
	case u.GasPrice != nil && !json.Valid(u.GasPrice):
		return apitypes.Invalidf("gasPrice", "give JSON", "is %q", u.GasPrice)
	}
	if _, err := amount("gas", u.Gas); err != nil {
		return err
	}
	if _, err := amount("value", u.Value); err != nil {
		return err
	}
	return checkPrice(u.GasPrice)
}

// checkKindOf refuses what this kind of transaction does not have.
func checkKindOf(s *txstate.State, u *apitypes.TransactionUpdate) error {
	switch {
	case s.Tx.Kind == apitypes.FillNonce:
		return apitypes.Invalidf("", "leave it", "transaction %s only uses its nonce up: it has nothing to change", s.Tx.ID)
	case s.Tx.Kind == apitypes.DeployContract && u.To != nil:
		return apitypes.Invalidf("to", "leave it out: the chain says in the receipt where the contract is", "is given for a deployment")
	}
	return nil
}

// patching prepares the changed request. What may not be changed is found out first: then the chain need not be asked, and there is no Request.
func (m *Manager) patching(ctx context.Context, s *txstate.State, u *apitypes.TransactionUpdate) (txstate.Patch, error) {
	in := txstate.Patch{To: s.Tx.To, Value: s.Tx.Value, Fee: s.Tx.Fee, Now: m.opts.Now()}
	if refused(s, in) {
		return in, nil
	}
	if err := checkKindOf(s, u); err != nil {
		return in, err
	}
	raw, err := m.opts.Store.Request(ctx, s.Tx.ID)
	if err != nil {
		return in, err
	}
	if in.Request, in.Info, err = patched(raw, s, u); err != nil {
		return in, fmt.Errorf("stored request of transaction %s: %w", s.Tx.ID, err)
	}
	req, err := storedRequest(s.Tx.Kind, in.Request)
	if err != nil {
		return in, fmt.Errorf("stored request of transaction %s: %w", s.Tx.ID, err)
	}
	p, err := m.prepare(ctx, req)
	if err != nil {
		return in, err
	}
	if p.Ledger != s.Tx.Ledger {
		return in, apitypes.Invalidf("to", "send a transaction of its own", "is on ledger %q, and the transaction is on %q", p.Ledger, s.Tx.Ledger)
	}
	if in.NodeNext, err = m.nodeNextFor(ctx, s); err != nil {
		return in, err
	}
	in.Attempt, in.Payload, in.Gas = attemptOf(p, s.Tx.From), payloadOf(p), p.Gas
	if in.Gas == "" {
		in.Gas = req.Gas
	}
	in.To, in.Value = req.To, req.Value
	if u.GasPrice != nil {
		in.Fee = u.GasPrice
	}
	return in, nil
}

// patched is a stored request with its changes, and for the history what they are.
func patched(raw json.RawMessage, s *txstate.State, u *apitypes.TransactionUpdate) (request, info json.RawMessage, err error) {
	type change struct {
		Old any `json:"old"`
		New any `json:"new"`
	}
	body, price, err := takePrice(raw)
	if err != nil {
		return nil, nil, err
	}
	all, changes := map[string]json.RawMessage{}, map[string]change{}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, nil, err
	}
	set := func(name string, old, value any) (err error) {
		changes[name] = change{old, value}
		all[name], err = json.Marshal(value)
		return err
	}
	if u.To != nil {
		err = set("to", s.Tx.To, *u.To)
	}
	if u.Gas != nil && err == nil {
		err = set("gas", s.Tx.Gas, u.Gas.Int().String())
	}
	if u.Value != nil && err == nil {
		err = set("value", s.Tx.Value, u.Value.Int().String())
	}
	if err != nil {
		return nil, nil, err
	}
	if u.GasPrice != nil {
		price = u.GasPrice
		old := s.Tx.Fee
		if len(bytes.TrimSpace(old)) == 0 {
			old = json.RawMessage("null")
		}
		changes["gasPrice"] = change{old, u.GasPrice}
	}
	if info, err = json.Marshal(changes); err != nil {
		return nil, nil, err
	}
	if body, err = json.Marshal(all); err != nil {
		return nil, nil, err
	}
	request, err = withPrice(body, price)
	return request, info, err
}
