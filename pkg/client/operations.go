package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// SuspendTransaction stops the sending of a transaction until it is resumed. An outcome on the chain still ends it.
func (c *Client) SuspendTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	return c.operate(ctx, http.MethodPost, struct{}{}, id, "suspend")
}

// ResumeTransaction goes on with a suspended transaction.
func (c *Client) ResumeTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	return c.operate(ctx, http.MethodPost, struct{}{}, id, "resume")
}

// CancelTransaction ends a transaction of which nothing has been sent as Failed, with sub-status Cancelled. One that holds a nonce stays
// Pending until that is used up. An error that IsConflict: it has ended, or may have been sent.
func (c *Client) CancelTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	return c.operate(ctx, http.MethodDelete, nil, id)
}

// UpdateTransaction changes a transaction of which nothing has been sent. An error that IsConflict: it has ended, or may have been
// sent.
func (c *Client) UpdateTransaction(ctx context.Context, id string, u *apitypes.TransactionUpdate) (*apitypes.Transaction, error) {
	body := struct {
		To              *string           `json:"to,omitempty"`
		Gas             *fftypes.FFBigInt `json:"gas,omitempty"`
		Value           *fftypes.FFBigInt `json:"value,omitempty"`
		GasPrice        json.RawMessage   `json:"gasPrice,omitempty"`
		Nonce           *fftypes.FFBigInt `json:"nonce,omitempty"`
		TransactionData *string           `json:"transactionData,omitempty"`
	}(*u)
	return c.operate(ctx, http.MethodPatch, body, id)
}

// RetryTransaction sends the request of a failed transaction again, as a new transaction with the id as, or with one that is derived
// from the old id if that is empty. replay: that had been done before. One that is pending because it was refused when it was
// sent is tried again at once, and is the answer.
func (c *Client) RetryTransaction(ctx context.Context, id, as string) (tx *apitypes.Transaction, replay bool, err error) {
	body := map[string]any{}
	if as != "" {
		body["headers"] = map[string]string{"id": as}
	}
	tx = &apitypes.Transaction{}
	resp, err := c.call(ctx, http.MethodPost, path("transactions", id, "retry"), nil, body, tx)
	if err != nil {
		return nil, false, err
	}
	return tx, resp.Header().Get("Idempotent-Replay") == "true", nil
}

// Signer shows the nonces of a signer on a ledger, "" for a chain's only one.
func (c *Client) Signer(ctx context.Context, ledger, signer string) (*apitypes.Signer, error) {
	s := &apitypes.Signer{}
	if _, err := c.call(ctx, http.MethodGet, path("signers", signer), ofLedger(ledger), nil, s); err != nil {
		return nil, err
	}
	return s, nil
}

// FillNonces uses up the gaps among a signer's nonces and returns the transactions that do so.
func (c *Client) FillNonces(ctx context.Context, ledger, signer string) ([]*apitypes.Transaction, error) {
	var list []*apitypes.Transaction
	_, err := c.call(ctx, http.MethodPost, path("signers", signer, "fill"), ofLedger(ledger), struct{}{}, &list)
	return list, err
}

func (c *Client) operate(ctx context.Context, method string, body any, segments ...string) (*apitypes.Transaction, error) {
	tx := &apitypes.Transaction{}
	if _, err := c.call(ctx, method, path(append([]string{"transactions"}, segments...)...), nil, body, tx); err != nil {
		return nil, err
	}
	return tx, nil
}

func ofLedger(ledger string) url.Values {
	q := url.Values{}
	if ledger != "" {
		q.Set("ledger", ledger)
	}
	return q
}
