package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// fakeOperations writes down what it was called with, and answers with a transaction of that id, or with err.
type fakeOperations struct {
	done   []string
	err    error
	replay bool
}

func (f *fakeOperations) do(id, what string) (*apitypes.Transaction, error) {
	f.done = append(f.done, what+" "+id)
	return &apitypes.Transaction{ID: id, Status: "Pending"}, f.err
}

func (f *fakeOperations) SuspendTransaction(_ context.Context, id string) (*apitypes.Transaction, error) {
	return f.do(id, "suspend")
}

func (f *fakeOperations) ResumeTransaction(_ context.Context, id string) (*apitypes.Transaction, error) {
	return f.do(id, "resume")
}

func (f *fakeOperations) CancelTransaction(_ context.Context, id string) (*apitypes.Transaction, error) {
	return f.do(id, "cancel")
}

func (f *fakeOperations) UpdateTransaction(_ context.Context, id string, u *apitypes.TransactionUpdate) (*apitypes.Transaction, error) {
	raw, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	return f.do(id, "update "+string(raw))
}

func (f *fakeOperations) RetryTransaction(_ context.Context, id, as string) (*apitypes.Transaction, bool, error) {
	tx, err := f.do(id, "retry as "+as)
	return tx, f.replay, err
}

func (f *fakeOperations) Signer(_ context.Context, ledger, signer string) (*apitypes.Signer, error) {
	_, err := f.do(signer, "signer on "+ledger)
	return &apitypes.Signer{Ledger: ledger, Signer: signer, Latest: fftypes.NewFFBigInt(7)}, err
}

func (f *fakeOperations) FillNonces(_ context.Context, ledger, signer string) ([]*apitypes.Transaction, error) {
	tx, err := f.do(signer, "fill on "+ledger)
	return []*apitypes.Transaction{tx}, err
}

func TestSigners(t *testing.T) {
	t.Parallel()
	g := newRig()
	w := g.do(t, "GET /signers/0x1?ledger=main", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"latest":"7"`)
	w = g.do(t, "POST /signers/0x1/fill", "")
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Contains(t, w.Body.String(), `"status":"Pending"`)
	require.Equal(t, []string{"signer on main 0x1", "fill on  0x1"}, g.tx.done)
	g.tx.fakeOperations.err = apitypes.ErrNoNonces
	require.Equal(t, http.StatusNotImplemented, g.do(t, "GET /signers/0x1", "").Code)
}

func TestOperations(t *testing.T) {
	t.Parallel()
	g := newRig()
	for _, c := range []struct {
		request, body string
		status        int
		call          string
	}{
		{"POST /transactions/a/suspend", "", 202, "suspend a"},
		{"POST /transactions/a/suspend", "{}", 202, "suspend a"},
		{"POST /transactions/a/resume", "{}", 202, "resume a"},
		{"DELETE /transactions/ns:a", "", 202, "cancel ns:a"},
		{
			"PATCH /transactions/a", `{"to":"x","gas":"0x10","value":5,"gasPrice":{"max":1}}`, 200,
			`update {"To":"x","Gas":"16","Value":"5","GasPrice":{"max":1},"Nonce":null,"TransactionData":null} a`,
		},
		{"PATCH /transactions/a", `{"to":""}`, 200, `update {"To":"","Gas":null,"Value":null,"GasPrice":null,"Nonce":null,"TransactionData":null} a`},
		{"POST /transactions/a/retry", "", 202, "retry as  a"},
		{"POST /transactions/a/retry", `{"headers":{"id":"b"}}`, 202, "retry as b a"},
	} {
		w := g.do(t, c.request, c.body)
		require.Equal(t, c.status, w.Code, "%s: %s", c.request, w.Body)
		require.Contains(t, w.Body.String(), `"status":"Pending"`)
		require.Equal(t, c.call, g.tx.done[len(g.tx.done)-1])
	}
	g.tx.replay = true
	require.Equal(t, "true", g.do(t, "POST /transactions/a/retry", "").Header().Get(replayHeader))
}

// TestOperationsRefuse: one cause, one code.
func TestOperationsRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request, body string
		err           error
		status        int
		text          string
	}{
		{"PATCH /transactions/a", `{}`, nil, 400, "PY10304"},
		{"PATCH /transactions/a", `{"gas":null}`, nil, 400, "PY10304"},
		{"PATCH /transactions/a", `{"method":"x"}`, nil, 400, "PY10004"},
		{"PATCH /transactions/a", `{"gas":"many"}`, nil, 400, "gas"},
		{"POST /transactions/a/retry", `{"headers":7}`, nil, 400, "headers"},
		{"POST /transactions/a/retry", `{"headers":{"type":"x"}}`, nil, 400, "PY10004"},
		{"POST /transactions/a/suspend", `{"x":1}`, nil, 400, "PY10004"},
		{"POST /transactions/a/suspend", ``, apitypes.ErrFinished, 409, "PY10300"},
		{"DELETE /transactions/a", ``, apitypes.ErrMayBeOut, 409, "PY10301"},
		{"POST /transactions/a/resume", ``, apitypes.ErrCancelling, 409, "PY10302"},
		{"POST /transactions/a/retry", ``, apitypes.ErrNotFailed, 409, "PY10303"},
		{"POST /transactions/a/retry", ``, apitypes.ErrNoNonces, 501, "PY10305"},
		{"POST /transactions/a/retry", ``, apitypes.ErrNonceRefused, 400, "PY10306"},
	} {
		g := newRig()
		if c.err != nil {
			g.tx.fakeOperations.err = fmt.Errorf("transaction a: %w", c.err)
		}
		w := g.do(t, c.request, c.body)
		require.Equal(t, c.status, w.Code, "%s %s: %s", c.request, c.body, w.Body)
		require.Contains(t, w.Body.String(), c.text)
		if c.err == nil {
			require.Empty(t, g.tx.done)
		}
	}
	require.Equal(t, http.StatusMethodNotAllowed, newRig().do(t, "PUT /transactions/a", "").Code)
}
