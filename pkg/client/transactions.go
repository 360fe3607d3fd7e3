package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Invocation is a call of a contract's method, as transaction or as query.
type Invocation struct {
	ID     string // of the transaction, and its idempotency key; made up by the server if empty
	From   string // the signer; required for a transaction
	To     string
	Method any   // as the chain names or describes it
	Params []any // each as JSON can hold it; nil for none
	Errors []any

	Labels        map[string]string // of a transaction, to find it by
	Confirmations *int              // blocks that must follow that of a transaction; nil: as the node has it

	BlockNumber string         // of a query; "" for the newest
	Options     map[string]any // the chain's own options
}

func (i *Invocation) body(kind string) (map[string]any, error) {
	b := maps.Clone(i.Options)
	if b == nil {
		b = make(map[string]any)
	}
	set := func(name string, value any, given bool) error {
		if _, taken := b[name]; taken {
			return fmt.Errorf("option %q: the name is a field of every command", name)
		}
		if given {
			b[name] = value
		}
		return nil
	}
	headers := map[string]any{"type": kind}
	if i.ID != "" {
		headers["id"] = i.ID
	}
	if len(i.Labels) > 0 {
		headers["labels"] = i.Labels
	}
	if i.Confirmations != nil {
		headers["confirmations"] = *i.Confirmations
	}
	for _, f := range []struct {
		name  string
		value any
		given bool
	}{
		{"headers", headers, true}, {"from", i.From, i.From != ""}, {"to", i.To, i.To != ""}, {"method", i.Method, i.Method != nil},
		{"params", i.Params, i.Params != nil}, {"errors", i.Errors, i.Errors != nil}, {"blockNumber", i.BlockNumber, i.BlockNumber != ""},
	} {
		if err := set(f.name, f.value, f.given); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Submit hands a transaction over. Once it returns without an error, the node has it on disk and brings it to an end. replay: it had
// been accepted before, under the same ID.
func (c *Client) Submit(ctx context.Context, i *Invocation) (tx *apitypes.Transaction, replay bool, err error) {
	body, err := i.body(apitypes.SendTransaction)
	if err != nil {
		return nil, false, err
	}
	tx = &apitypes.Transaction{}
	resp, err := c.call(ctx, http.MethodPost, "/", nil, body, tx)
	if err != nil {
		return nil, false, err
	}
	return tx, resp.Header().Get("Idempotent-Replay") == "true", nil
}

// SubmitBatch hands up to apitypes.MaxBatch transactions over at once. Each has its own answer, in their order; an error says that there are
// none.
func (c *Client) SubmitBatch(ctx context.Context, list []*Invocation) ([]*apitypes.BatchItem, error) {
	bodies := make([]map[string]any, len(list))
	for n, i := range list {
		var err error
		if bodies[n], err = i.body(apitypes.SendTransaction); err != nil {
			return nil, err
		}
	}
	var items []*apitypes.BatchItem
	_, err := c.call(ctx, http.MethodPost, "/transactions/batch", nil, bodies, &items)
	return items, err
}

// Query runs a read-only call and returns its result.
func (c *Client) Query(ctx context.Context, i *Invocation) (json.RawMessage, error) {
	body, err := i.body(apitypes.Query)
	if err != nil {
		return nil, err
	}
	var result json.RawMessage
	_, err = c.call(ctx, http.MethodPost, "/", nil, body, &result)
	return result, err
}

// Transaction returns a transaction, with all that happened to it if history is set.
func (c *Client) Transaction(ctx context.Context, id string, history bool) (*apitypes.TransactionWithStatus, error) {
	q := url.Values{}
	if history {
		q.Set("history", "true")
	}
	tx := &apitypes.TransactionWithStatus{}
	if _, err := c.call(ctx, http.MethodGet, path("transactions", id), q, nil, tx); err != nil {
		return nil, err
	}
	return tx, nil
}

const (
	// waitStep is how long one request waits: proxies cut off what is silent for longer.
	waitStep = 30 * time.Second
	// askPause is the least time from one request to the next.
	askPause = time.Second
)

// Await is Transaction, but waits until the transaction is final, or for atMost. A node that waits less is asked again, and so is one that
// goes away after it has answered; when the time is over, its last answer is the answer.
func (c *Client) Await(ctx context.Context, id string, history bool, atMost time.Duration) (*apitypes.TransactionWithStatus, error) {
	until := time.Now().Add(atMost)
	var last *apitypes.TransactionWithStatus
	for {
		asked := time.Now()
		q := url.Values{"wait": {min(max(0, until.Sub(asked)), waitStep).String()}}
		if history {
			q.Set("history", "true")
		}
		tx := &apitypes.TransactionWithStatus{}
		_, err := c.call(ctx, http.MethodGet, path("transactions", id), q, nil, tx)
		switch {
		case err == nil && tx.Progress.Status != apitypes.InProgress:
			return tx, nil
		case err == nil:
			last = tx
		case last == nil || ctx.Err() != nil || !passing(err):
			return nil, err
		}
		if pause := min(askPause-time.Since(asked), time.Until(until)); pause > 0 {
			if err := retry.Sleep(ctx, pause); err != nil {
				return nil, err
			}
		}
		if !time.Now().Before(until) {
			return last, nil
		}
	}
}

// passing reports whether an error says nothing about what was asked, only that nobody answers now.
func passing(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusBadGateway
}

// Receipt returns the outcome of a transaction on the chain; an error that IsNotFound while there is none.
func (c *Client) Receipt(ctx context.Context, id string) (*apitypes.Receipt, error) {
	r := &apitypes.Receipt{}
	if _, err := c.call(ctx, http.MethodGet, path("transactions", id, "receipt"), nil, nil, r); err != nil {
		return nil, err
	}
	return r, nil
}
