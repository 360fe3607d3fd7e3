package api

import (
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagChain = "Chain"

// recordRoutes show what belongs to a transaction, each part by itself.
func recordRoutes() []*route {
	return []*route{
		{
			method: http.MethodGet, path: "/transactions/{transactionId}/history", name: "getTransactionHistory", tag: tagTransactions,
			about:  "Lists what happened to a transaction, the oldest first.",
			output: []*apitypes.HistoryRecord{}, status: http.StatusOK, serve: (*request).getHistory,
		},
		{
			method: http.MethodGet, path: "/transactions/{transactionId}/confirmations", name: "getTransactionConfirmations", tag: tagTransactions,
			about:  "Lists the blocks that confirm a transaction, the lowest first.",
			output: []*apitypes.ConfirmationRecord{}, status: http.StatusOK, serve: (*request).getConfirmations,
		},
	}
}

// chainRoutes ask the chain.
func chainRoutes() []*route {
	ledger := parameter{"ledger", openapi3.TypeString, "Ledger of the chain, where it has several; the first if absent."}
	return []*route{
		{
			method: http.MethodGet, path: "/gasprice", name: "getGasPrice", tag: tagChain,
			about: "Shows what the chain asks for gas at the moment; 501 on chains without fees.",
			query: []parameter{ledger}, output: apitypes.GasPrice{}, status: http.StatusOK, serve: (*request).getGasPrice,
		},
		{
			method: http.MethodGet, path: "/gastoken/balances/{address}", name: "getGasTokenBalance", tag: tagChain,
			about:  "Shows the balance of an account in the token in which fees are paid; 501 on chains whose accounts have none.",
			query:  []parameter{ledger, {"blocktag", openapi3.TypeString, "The block at which, as the chain names it; the newest if absent."}},
			output: apitypes.Balance{}, status: http.StatusOK, serve: (*request).getBalance,
		},
	}
}

func (rq *request) getHistory() (any, error) {
	list, err := rq.api.Transactions.HistoryRecords(rq.ctx, rq.path("transactionId"))
	return array(list, err)
}

func (rq *request) getConfirmations() (any, error) {
	list, err := rq.api.Transactions.ConfirmationRecords(rq.ctx, rq.path("transactionId"))
	return array(list, err)
}

func (rq *request) getGasPrice() (any, error) {
	price, err := rq.api.Transactions.GasPrice(rq.ctx, rq.values.Get("ledger"))
	if err != nil {
		return nil, err
	}
	return apitypes.GasPrice{GasPrice: price}, nil
}

func (rq *request) getBalance() (any, error) {
	balance, err := rq.api.Transactions.Balance(rq.ctx, rq.values.Get("ledger"), rq.path("address"), rq.values.Get("blocktag"))
	if err != nil {
		return nil, err
	}
	return apitypes.Balance{Balance: balance}, nil
}
