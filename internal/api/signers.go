package api

import (
	"net/http"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagSigners = "Signers"

func signerRoutes() []*route {
	ledger := []parameter{{"ledger", "", "Ledger of the chain; its only one if absent."}}
	return []*route{
		{
			method: http.MethodGet, path: "/signers/{signer}", name: "getSigner", tag: tagSigners,
			about: "Shows the nonces of a signer, as this node and as the chain count them.", query: ledger,
			output: apitypes.Signer{}, status: http.StatusOK, serve: (*request).getSigner,
		},
		{
			method: http.MethodPost, path: "/signers/{signer}/fill", name: "postSignerFill", tag: tagSigners,
			about: "Uses up the nonces that are gaps, each with a transaction that does nothing else, so that what comes after them can go on. " +
				"Answers with these transactions. Repeated, it makes none twice.", query: ledger,
			input: struct{}{}, optional: true, output: []*apitypes.Transaction{}, status: http.StatusAccepted, serve: (*request).fillNonces,
		},
	}
}

func (rq *request) getSigner() (any, error) {
	return object(rq.api.Transactions.Signer(rq.ctx, rq.values.Get("ledger"), rq.path("signer")))
}

func (rq *request) fillNonces() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	list, err := rq.api.Transactions.FillNonces(rq.ctx, rq.values.Get("ledger"), rq.path("signer"))
	return array(list, err)
}
