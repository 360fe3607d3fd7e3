package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagTransactions = "Transactions"

func transactionRoutes() []*route {
	return []*route{
		{
			method: http.MethodGet, path: "/transactions", name: "getTransactions", tag: tagTransactions,
			about: "Lists transactions, the newest first.",
			query: []parameter{
				{"limit", openapi3.TypeInteger, "Transactions at most. 25 if absent; api.maxPage sets the maximum."},
				{"after", "", "Id of the last transaction of the page before."},
				{"direction", "", "asc or desc in order of acceptance; desc if absent."},
				{"signer", "", "Only those of this signer."},
				{"pending", openapi3.TypeBoolean, "true: only those that are not final."},
				{"status", "", "Only those in these statuses: Pending, Suspended, Succeeded, Failed; several with commas, or repeated."},
			},
			output: []*apitypes.Transaction{}, status: http.StatusOK, serve: (*request).getTransactions,
		},
		{
			method: http.MethodGet, path: "/transactions/{transactionId}", name: "getTransaction", tag: tagTransactions,
			about:  "Shows a transaction with its outcome on the chain.",
			query:  []parameter{{"history", openapi3.TypeBoolean, "true: with all that happened to it."}},
			output: apitypes.TransactionWithStatus{}, status: http.StatusOK, serve: (*request).getTransaction,
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
	list, err := rq.api.Transactions.Transactions(rq.ctx, f)
	return array(list, err)
}

func (rq *request) transactionFilter() (f apitypes.TransactionFilter, err error) {
	var errs [4]error
	f.Limit, errs[0] = rq.limit(defaultPage)
	f.Pending, errs[1] = rq.flag("pending")
	f.Statuses, errs[2] = rq.statuses()
	f.After, f.Signer = rq.values.Get("after"), rq.values.Get("signer")
	switch d := rq.values.Get("direction"); strings.ToLower(d) {
	case "", "desc", "descending":
	case "asc", "ascending":
		f.Ascending = true
	default:
		errs[3] = badParameter("direction", d, "give asc or desc")
	}
	for _, err := range errs {
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// statuses reads the statuses to show, in their canonical form.
func (rq *request) statuses() (list []string, err error) {
	known := []string{"Pending", "Suspended", "Succeeded", "Failed"}
next:
	for given := range strings.SplitSeq(strings.Join(rq.values["status"], ","), ",") {
		if given = strings.TrimSpace(given); given == "" {
			continue
		}
		for _, s := range known {
			if strings.EqualFold(s, given) {
				list = append(list, s)
				continue next
			}
		}
		return nil, badParameter("status", given, "give "+strings.Join(known, ", "))
	}
	return list, nil
}

func (rq *request) getTransaction() (any, error) {
	history, err := rq.flag("history")
	if err != nil {
		return nil, err
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
