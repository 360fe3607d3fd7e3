package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestLabelsAndConfirmations(t *testing.T) {
	t.Parallel()
	g := newRig()
	var got *apitypes.Submission
	g.tx.submit = func(_ context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		got = s
		return &apitypes.Transaction{ID: s.ID, Labels: s.Labels}, false, nil
	}
	w := g.do(t, "POST /", `{"headers":{"type":"SendTransaction","labels":{"objectId":"a","x":"1","\u006fbjectId":"inv\u00e9 7"},"confirmations":10000},"from":"alice"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, map[string]string{"objectId": "invé 7", "x": "1"}, got.Labels, "of a repeated one the last counts")
	require.Equal(t, 10000, *got.Confirmations)
	require.Contains(t, w.Body.String(), `"labels":{"objectId":"invé 7","x":"1"}`)

	w = g.do(t, "POST /", `{"headers":{"type":"SendTransaction","labels":null,"confirmations":null},"from":"alice"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Nil(t, got.Labels)
	require.Nil(t, got.Confirmations)
}

func TestBadHeaders(t *testing.T) {
	t.Parallel()
	const whole = "give a whole number from 0 to 10000"
	for headers, text := range map[string]string{
		`"labels":7`:            `PY10003: headers.labels is 7: give an object of strings such as {"objectId":"invoice-7"}`,
		`"labels":["a"]`:        `PY10003: headers.labels is ["a"]: give an object of strings such as {"objectId":"invoice-7"}`,
		`"labels":{"n":7}`:      "PY10003: headers.labels.n is 7: give a string",
		`"labels":{"n":null}`:   "PY10003: headers.labels.n is null: give a string",
		`"labels":{"n":{}}`:     "PY10003: headers.labels.n is {}: give a string",
		`"label":{"n":"x"}`:     `PY10004: "label" is not a field of headers; the closest is "labels"`,
		`"confirmations":-1`:    "PY10003: headers.confirmations is -1: " + whole,
		`"confirmations":10001`: "PY10003: headers.confirmations is 10001: " + whole,
		`"confirmations":1.5`:   "PY10003: headers.confirmations is 1.5: " + whole,
		`"confirmations":"5"`:   `PY10003: headers.confirmations is "5": ` + whole,
		`"confirmations":true`:  "PY10003: headers.confirmations is true: " + whole,
	} {
		g := newRig()
		w := g.do(t, "POST /", `{"headers":{"type":"SendTransaction",`+headers+`},"from":"alice"}`)
		var answer apitypes.SubmissionErrorBody
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, text, answer.Error)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.True(t, answer.SubmissionRejected)
	}
}

// A query is not stored, so what concerns only what is stored would have no effect.
func TestQueryHasNoLabels(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{`"labels":{"a":"b"}`, `"confirmations":1`} {
		g := newRig()
		w := g.do(t, "POST /", `{"headers":{"type":"Query",`+headers+`}}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "only a transaction has")
	}
}
