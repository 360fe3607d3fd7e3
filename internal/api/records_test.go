package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestDeployContract(t *testing.T) {
	t.Parallel()
	g := newRig()
	var got *apitypes.Submission
	g.tx.submit = func(_ context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		got = s
		return &apitypes.Transaction{ID: s.ID}, false, nil
	}
	w := g.do(t, "POST /", `{"headers":{"type":"DeployContract","id":"d"},"from":"alice","definition":[{"type":"constructor"}],"contract":"0x60","params":[1],"salt":7}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, "DeployContract", got.Type)
	require.JSONEq(t, `[{"type":"constructor"}]`, string(got.Definition))
	require.JSONEq(t, `"0x60"`, string(got.Contract))
	require.JSONEq(t, `{"salt":7}`, string(got.Options), "the fields of the deployment are no options")

	w = g.do(t, "POST /", `{"headers":{"type":"SendTransaction","id":"d"},"from":"alice","contract":"0x60"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Nil(t, got.Contract)
	require.JSONEq(t, `{"contract":"0x60"}`, string(got.Options), "but with another command they are")
}

func TestTransactionReceiptCommand(t *testing.T) {
	t.Parallel()
	g := newRig()
	w := g.do(t, "POST /", `{"headers":{"type":"TransactionReceipt"},"transactionHash":"0xab","includeLogs":true,"extractSigner":false,
		"eventFilters":[{"event":"A"}],"methods":null,"ledger":"main"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, &apitypes.ReceiptQuery{
		TransactionHash: "0xab", IncludeLogs: true, EventFilters: []json.RawMessage{[]byte(`{"event":"A"}`)}, Ledger: "main",
	}, g.tx.asked)
	require.JSONEq(t, `{"blockNumber":null,"transactionIndex":null,"blockHash":"","success":true,"protocolId":"0xab"}`, w.Body.String())

	g.tx.err = ffcapi.Errorf(ffcapi.NotFound, "transaction 0xab is in no block")
	w = g.do(t, "POST /", `{"headers":{"type":"TransactionReceipt"},"transactionHash":"0xab"}`)
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "PY10202: ")
}

func TestRecordsAndChain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request string
		answer  string
		asked   any
	}{
		{
			"GET /transactions/a/history",
			`[{"id":null,"transaction":"a","subStatus":"Received","time":null,"action":"AssignNonce","count":1}]`, nil,
		},
		{"GET /transactions/a/confirmations", `[]`, nil},
		{"GET /gasprice", `{"gasPrice":{"maxFee":"7"}}`, ""},
		{"GET /gasprice?ledger=main", `{"gasPrice":{"maxFee":"7"}}`, "main"},
		{"GET /gastoken/balances/0x1?blocktag=latest", `{"balance":"12345678901234567890"}`, []string{"", "0x1", "latest"}},
	} {
		g := newRig()
		w := g.do(t, c.request, "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.JSONEq(t, c.answer, w.Body.String(), c.request)
		require.Equal(t, c.asked, g.tx.asked, c.request)
	}
	for request, err := range map[string]error{
		"GET /transactions/a/history":       store.ErrNotFound,
		"GET /transactions/a/confirmations": store.ErrNotFound,
		"GET /gasprice":                     ffcapi.Errorf(ffcapi.Unsupported, "this chain has no gas price"),
		"GET /gastoken/balances/0x1":        ffcapi.Errorf(ffcapi.Unsupported, "the accounts of this chain have no balance"),
	} {
		g := newRig()
		g.tx.err = err
		w := g.do(t, request, "")
		status, code := http.StatusNotFound, "PY10100"
		if err != store.ErrNotFound { //nolint:errorlint // it is this very value
			status, code = http.StatusNotImplemented, "PY10206"
		}
		require.Equal(t, status, w.Code, request)
		require.Contains(t, w.Body.String(), code)
	}
}
