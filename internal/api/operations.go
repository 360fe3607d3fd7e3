package api

import (
	"encoding/json"
	"net/http"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// updatable is the body of a PATCH of a transaction, by FireFly's names. The last two are known only to be refused with a reason.
type updatable struct {
	To              json.RawMessage `json:"to" doc:"The contract."`
	Gas             json.RawMessage `json:"gas" doc:"Gas limit."`
	Value           json.RawMessage `json:"value" doc:"Amount of the chain's own currency that is transferred."`
	GasPrice        json.RawMessage `json:"gasPrice" doc:"What is paid for gas, in the chain's own form."`
	Nonce           json.RawMessage `json:"nonce" doc:"Refused: nonces are assigned without gaps."`
	TransactionData json.RawMessage `json:"transactionData" doc:"Refused: it is made of the request."`
}

// Retry is the body of a retry.
type Retry struct {
	Headers RetryHeaders `json:"headers" doc:"What identifies the new transaction."`
}

// RetryHeaders names the transaction that a retry makes.
type RetryHeaders struct {
	ID string `json:"id" doc:"Id of the new transaction, and its idempotency key. If absent, it is the old id with :retry-1 added, or with its number raised. Where that has more than 256 characters, all but the first 200 of the old id are replaced by ~ and 16 digits that are made of it."`
}

func operationRoutes() []*route {
	return []*route{
		{
			method: http.MethodPatch, path: "/transactions/{transactionId}", name: "patchTransaction", tag: tagTransactions,
			about: "Changes a transaction of which nothing has been sent: it is prepared again, and sent as it is now. 409 if it may have been sent.",
			input: updatable{}, example: map[string]any{"gas": "100000"},
			output: apitypes.Transaction{}, status: http.StatusOK, serve: (*request).updateTransaction,
		},
		{
			method: http.MethodDelete, path: "/transactions/{transactionId}", name: "deleteTransaction", tag: tagTransactions,
			about: "Cancels a transaction of which nothing has been sent: it ends as Failed with sub-status Cancelled, at once or, if it holds a nonce, " +
				"once that is used up. It is not removed, and its id stays used. 409 if it may have been sent.",
			output: apitypes.Transaction{}, status: http.StatusAccepted, serve: (*request).cancelTransaction,
		},
		{
			method: http.MethodPost, path: "/transactions/{transactionId}/suspend", name: "postTransactionSuspend", tag: tagTransactions,
			about: "Stops the sending of a transaction until it is resumed. A send under way is finished, and an outcome on the chain still ends it. " +
				"Later transactions of the same signer wait for it on chains with nonces.",
			input: struct{}{}, optional: true, output: apitypes.Transaction{}, status: http.StatusAccepted, serve: (*request).suspendTransaction,
		},
		{
			method: http.MethodPost, path: "/transactions/{transactionId}/resume", name: "postTransactionResume", tag: tagTransactions,
			about: "Goes on with a suspended transaction.",
			input: struct{}{}, optional: true, output: apitypes.Transaction{}, status: http.StatusAccepted, serve: (*request).resumeTransaction,
		},
		{
			method: http.MethodPost, path: "/transactions/{transactionId}/retry", name: "postTransactionRetry", tag: tagTransactions,
			about: "Sends the request of a failed transaction again, as a new transaction whose retryOf names the old one. Repeated, it gives the " +
				"same new transaction, with the header Idempotent-Replay: true. A pending transaction that was refused when it was sent is tried again at once.",
			input: Retry{}, optional: true, example: map[string]any{"headers": map[string]any{"id": "my-second"}},
			output: apitypes.Transaction{}, status: http.StatusAccepted, serve: (*request).retryTransaction,
		},
	}
}

func (rq *request) updateTransaction() (any, error) {
	var b updatable
	if err := rq.object(&b, shape{of: "a transaction that is changed"}); err != nil {
		return nil, err
	}
	u, d := &apitypes.TransactionUpdate{}, decoding{}
	if b.To != nil {
		to := d.text("to", b.To)
		u.To = &to
	}
	if b.TransactionData != nil {
		data := string(b.TransactionData)
		u.TransactionData = &data
	}
	u.Gas, u.Value, u.Nonce, u.GasPrice = d.number("gas", b.Gas), d.number("value", b.Value), d.number("nonce", b.Nonce), b.GasPrice
	if d.err != nil {
		return nil, d.err
	}
	if b.To == nil && b.Gas == nil && b.Value == nil && b.GasPrice == nil && b.Nonce == nil && b.TransactionData == nil {
		return nil, newError(msgs.NothingToChange, "to, gas, value, gasPrice")
	}
	return object(rq.api.Transactions.UpdateTransaction(rq.ctx, rq.path("transactionId"), u))
}

func (rq *request) cancelTransaction() (any, error) {
	return object(rq.api.Transactions.CancelTransaction(rq.ctx, rq.path("transactionId")))
}

func (rq *request) suspendTransaction() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	return object(rq.api.Transactions.SuspendTransaction(rq.ctx, rq.path("transactionId")))
}

func (rq *request) resumeTransaction() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	return object(rq.api.Transactions.ResumeTransaction(rq.ctx, rq.path("transactionId")))
}

func (rq *request) retryTransaction() (any, error) {
	var b struct {
		Headers json.RawMessage `json:"headers"`
	}
	if err := rq.object(&b, shape{of: "a retry"}); err != nil {
		return nil, err
	}
	var id string
	if b.Headers != nil {
		if b.Headers[0] != '{' {
			return nil, apitypes.Invalidf("headers", "give an object", "is %s", show(b.Headers))
		}
		err := eachMember(b.Headers, func(m member) (err error) {
			if m.name != "id" {
				return unknownField("headers", m.name, []string{"id"})
			}
			id, err = text("headers.id", m.value)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	tx, replay, err := rq.api.Transactions.RetryTransaction(rq.ctx, rq.path("transactionId"), id)
	if err != nil {
		return nil, err
	}
	if replay {
		rq.w.Header()[replayHeader] = replayValue
	}
	return object(tx, nil)
}
