package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestBatch(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(_ context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		switch s.ID {
		case "refused":
			return nil, false, ffcapi.Errorf(ffcapi.Reverted, "no")
		case "busy":
			return nil, false, apitypes.ErrTooManyPending
		}
		return &apitypes.Transaction{ID: s.ID}, s.ID == "old", nil
	}
	w := g.do(t, "POST /transactions/batch", `[ {"headers":{"type":"SendTransaction","id":"a"},"from":"alice"}, 5, {"from":"bob"},
		{"headers":{"type":"Query"}},{"headers":{"type":"SendTransaction","id":"refused"},"from":"alice"},{"headers":{"type":"SendTransaction","id":"old"},"from":"alice"},
		{"headers":{"type":"SendTransaction","id":"busy"},"from":"alice"},{"headers":{"type":"DeployContract","id":"d"},"from":"alice","contract":"x"},
		{"headers":{"type":"SendTransaction","id":7},"from":"alice"}]`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var got []apitypes.BatchItem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	for i, want := range []apitypes.BatchItem{
		{Status: 202, Transaction: &apitypes.Transaction{ID: "a"}},
		{Status: 400, Error: "PY10001: the body is not JSON: it is 5; give an object", SubmissionRejected: true},
		{Status: 400, Error: `PY10003: headers is missing: give {"type":"SendTransaction","id":"..."}`, SubmissionRejected: true},
		{Status: 400, Error: "PY10132: headers.type is Query: a batch takes SendTransaction and DeployContract", SubmissionRejected: true},
		{Status: 422, Error: "PY10203: no", SubmissionRejected: true},
		{Status: 202, Transaction: &apitypes.Transaction{ID: "old"}, Replay: true},
		{Status: 429, Error: "PY10105: too many transactions are pending", RetryAfter: 1},
		{Status: 202, Transaction: &apitypes.Transaction{ID: "d"}},
		{Status: 400, Error: "PY10003: headers.id is 7: give a string", SubmissionRejected: true},
	} {
		require.Equal(t, want, got[i], i)
	}

	w = g.do(t, "POST /transactions/batch", "[]")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, "[]", w.Body.String())
}

func TestBadBatches(t *testing.T) {
	t.Parallel()
	long := "[" + strings.Repeat("{},", 1000) + "{}]"
	for body, answer := range map[string]string{
		"{}":   "PY10001: the body is not JSON: it is {}; give an array of commands",
		" ":    "PY10001: the body is not JSON: it is empty; give an array of commands",
		"[{}":  "PY10001: the body is not JSON: unexpected end of JSON input at byte 3",
		long:   "PY10131: the batch has 1001 commands, more than the limit of 1000",
		"[,1]": "PY10001: the body is not JSON: invalid character ',' looking for beginning of value at byte 2",
	} {
		w := newRig().do(t, "POST /transactions/batch", body)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.JSONEq(t, `{"error":"`+answer+`"}`, w.Body.String())
	}
}

// A transaction may have the id "batch".
func TestBatchIsAnID(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.transaction = func(_ context.Context, id string, _ bool) (*apitypes.TransactionWithStatus, error) {
		return &apitypes.TransactionWithStatus{Transaction: apitypes.Transaction{ID: id}}, nil
	}
	require.Equal(t, http.StatusOK, g.do(t, "GET /transactions/batch", "").Code)
}
