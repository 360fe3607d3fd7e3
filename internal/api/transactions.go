package api

import (
	"errors"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagTransactions = "Transactions"

func transactionRoutes() []*route {
	return []*route{
		{
			method: http.MethodGet, path: "/transactions", name: "getTransactions", tag: tagTransactions,
			about: "Lists transactions, the newest first. An empty page is the end. Pages by label, signer or status come from an index; other " +
				"fields are looked at one by one. A search that gets too long ends with a short page, after which more may come; if it found nothing, " +
				"it is refused and says how to go on.",
			query: filterParameters(), filters: true,
			output: []*apitypes.Transaction{}, status: http.StatusOK, serve: (*request).getTransactions,
		},
		{
			method: http.MethodGet, path: "/transactions/{transactionId}", name: "getTransaction", tag: tagTransactions,
			about: "Shows a transaction with its outcome on the chain.",
			query: []parameter{
				{"history", openapi3.TypeBoolean, "true: with all that happened to it."},
				{"wait", "", "Time to wait for it to be final: a duration such as 30s, or seconds. After that it is shown as it is. " +
					"api.maxRequestTimeout sets the maximum."},
			},
			waits: true, output: apitypes.TransactionWithStatus{}, status: http.StatusOK, serve: (*request).getTransaction,
		},
		{
			method: http.MethodGet, path: "/transactions/{transactionId}/receipt", name: "getTransactionReceipt", tag: tagTransactions,
			about:  "Shows the outcome of a transaction on the chain; 404 while there is none.",
			output: apitypes.Receipt{}, status: http.StatusOK, serve: (*request).getReceipt,
		},
	}
}

func (rq *request) getTransactions() (any, error) {
	f, err := rq.transactionFilter()
	if err != nil {
		return nil, err
	}
	counted, err := rq.flag("count")
	if err != nil {
		return nil, err
	}
	list, err := rq.api.Transactions.Transactions(rq.ctx, f)
	if err != nil || !counted {
		return array(list, err)
	}
	total, err := rq.api.Transactions.CountTransactions(rq.ctx, f)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []*apitypes.Transaction{}
	}
	return &apitypes.TransactionPage{Count: len(list), Total: total, Items: list}, nil
}

func (rq *request) getTransaction() (any, error) {
	history, err := rq.flag("history")
	if err != nil {
		return nil, err
	}
	if rq.wait > 0 {
		return object(rq.api.Transactions.Await(rq.ctx, rq.path("transactionId"), history, rq.wait))
	}
	return object(rq.api.Transactions.Transaction(rq.ctx, rq.path("transactionId"), history))
}

func (rq *request) getReceipt() (any, error) {
	id := rq.path("transactionId")
	receipt, err := rq.api.Transactions.Receipt(rq.ctx, id)
	if err == nil && receipt == nil {
		err = newError(msgs.NoReceipt, clip(id))
	}
	return object(receipt, err)
}

// array makes an answer of a list: none is [], not null.
func array[T any](list []T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []T{}
	}
	return list, nil
}

var errNoAnswer = errors.New("an engine gave neither an answer nor an error")

// object makes an answer of one thing.
func object[T any](v *T, err error) (any, error) {
	switch {
	case err != nil:
		return nil, err
	case v == nil:
		return nil, errNoAnswer
	}
	return v, nil
}
