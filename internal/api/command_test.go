package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestSendTransaction(t *testing.T) {
	t.Parallel()
	const body = ` {"headers": {"type":"SendTransaction","id":"a:1"},"from":"alice","to":"assets","nonce":"0x10","gas":123456789012345678901234567890,
		"value":null,"method":{"name":"create"},"params":["x",{"a":[1,2]}, 3 ],"errors":[],"transientMap":{"k":"v"},"blockNumber":5,"fr\u006fm":"bob"}`
	g := newRig()
	var got *apitypes.Submission
	g.tx.submit = func(_ context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		got = s
		return &apitypes.Transaction{ID: s.ID, Status: "Pending", Progress: apitypes.Progress{Status: "InProgress"}}, false, nil
	}
	w := g.do(t, "POST /", body)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Empty(t, w.Header().Get("Idempotent-Replay"))
	require.JSONEq(t, `{"id":"a:1","created":null,"updated":null,"status":"Pending","sequenceId":"","progress":{"status":"InProgress"}}`, w.Body.String())

	require.Equal(t, "a:1", got.ID)
	require.Equal(t, "SendTransaction", got.Type)
	require.Equal(t, "bob", got.From, "of a repeated field the last counts")
	require.Equal(t, "assets", got.To)
	require.Equal(t, "16", got.Nonce.String())
	require.Equal(t, "123456789012345678901234567890", got.Gas.String())
	require.Nil(t, got.Value)
	require.JSONEq(t, `{"name":"create"}`, string(got.Method))
	require.Equal(t, []json.RawMessage{[]byte(`"x"`), []byte(`{"a":[1,2]}`), []byte(`3`)}, got.Params)
	require.NotNil(t, got.Errors)
	require.Empty(t, got.Errors)
	require.JSONEq(t, `{"transientMap":{"k":"v"},"blockNumber":5}`, string(got.Options))
	require.True(t, string(got.Raw) == body, "byte for byte") //nolint:testifylint // the same bytes, not the same JSON
}

func TestReplayIsMarked(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return &apitypes.Transaction{ID: "a"}, true, nil
	}
	w := g.do(t, "POST /", `{"headers":{"type":"SendTransaction"},"from":"alice"}`)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Equal(t, "true", w.Header().Get("Idempotent-Replay"))
}

func TestQuery(t *testing.T) {
	t.Parallel()
	g := newRig()
	var got *apitypes.ReadQuery
	g.tx.query = func(_ context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) {
		got = q
		return json.RawMessage(`{"output":"<1>"}`), nil
	}
	w := g.do(t, "POST /", `{"headers":{"type":"Query"},"to":"assets","method":"read","params":["x"],"blockNumber":17,"other":1}`)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Contains(t, w.Body.String(), `<1>`, "the chain's words are not touched")
	require.JSONEq(t, `{"output":"<1>"}`, w.Body.String())
	require.Equal(t, &apitypes.ReadQuery{
		To: "assets", Method: []byte(`"read"`), Params: []json.RawMessage{[]byte(`"x"`)}, BlockNumber: "17", Options: []byte(`{"other":1}`),
	}, got)
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	send := func(rest string) string { return `{"headers":{"type":"SendTransaction"},"from":"alice",` + rest + `}` }
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for name, c := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"empty":                 {" ", 400, "PY10001: the body is not JSON: it is empty; give an object"},
		"cut off":               {`{"headers":`, 400, "PY10001: the body is not JSON: unexpected end of JSON input at byte 11"},
		"syntax":                {`{"headers":x}`, 400, "PY10001: the body is not JSON: invalid character 'x' looking for beginning of value at byte 12"},
		"two values":            {`{} {}`, 400, "PY10001: the body is not JSON: invalid character '{' after top-level value at byte 4"},
		"array":                 {`[1]`, 400, "PY10001: the body is not JSON: it is [1]; give an object"},
		"no UTF-8":              {"{\"a\":\"\xff\"}", 400, "PY10001: the body is not JSON: it is not UTF-8"},
		"deep":                  {send(`"params":` + deep), 400, "PY10002: the body is nested deeper than 200 levels"},
		"very deep":             {strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600), 400, "PY10002: the body is nested deeper than 200 levels"},
		"no headers":            {`{"from":"alice"}`, 400, `PY10003: headers is missing: give {"type":"SendTransaction","id":"..."}`},
		"headers null":          {`{"headers":null}`, 400, `PY10003: headers is missing: give {"type":"SendTransaction","id":"..."}`},
		"headers a string":      {`{"headers":"SendTransaction"}`, 400, `PY10003: headers is "SendTransaction": give an object`},
		"no type":               {`{"headers":{}}`, 400, "PY10003: headers.type is missing: give SendTransaction, DeployContract, Query or TransactionReceipt"},
		"type a number":         {`{"headers":{"type":1}}`, 400, "PY10003: headers.type is 1: give a string"},
		"id a number":           {`{"headers":{"type":"SendTransaction","id":1}}`, 400, "PY10003: headers.id is 1: give a string"},
		"unknown header":        {`{"headers":{"typ":"Query"}}`, 400, `PY10004: "typ" is not a field of headers; the closest is "type"`},
		"unknown type":          {`{"headers":{"type":"sendTransaction"}}`, 400, "PY10008: headers.type is sendTransaction: give SendTransaction, DeployContract, Query or TransactionReceipt"},
		"no from":               {`{"headers":{"type":"SendTransaction"},"to":"x"}`, 400, "PY10003: from is missing: give the signer"},
		"empty from":            {`{"headers":{"type":"SendTransaction"},"from":""}`, 400, "PY10003: from is missing: give the signer"},
		"from a number":         {`{"headers":{"type":"SendTransaction"},"from":7}`, 400, "PY10003: from is 7: give a string"},
		"to an object":          {send(`"to":{"a":1}`), 400, `PY10003: to is {"a":1}: give a string`},
		"nonce true":            {send(`"nonce":true`), 400, "PY10003: nonce is true: give a whole number or a string of digits"},
		"nonce a fraction":      {send(`"nonce":1.5`), 400, "PY10003: nonce is 1.5: give a whole number or a string of digits"},
		"nonce negative":        {send(`"nonce":-1`), 400, "PY10003: nonce is -1: give a whole number or a string of digits"},
		"gas a word":            {send(`"gas":"lots"`), 400, `PY10003: gas is "lots": give a whole number or a string of digits`},
		"gas empty":             {send(`"gas":""`), 400, `PY10003: gas is "": give a whole number or a string of digits`},
		"value huge":            {send(`"value":` + strings.Repeat("9", 129)), 400, "PY10003: value is " + strings.Repeat("9", 60) + "…: give a whole number or a string of digits"},
		"params an object":      {send(`"params":{}`), 400, "PY10003: params is {}: give an array"},
		"errors a string":       {send(`"errors":"x"`), 400, `PY10003: errors is "x": give an array`},
		"receipt without hash":  {`{"headers":{"type":"TransactionReceipt"}}`, 400, "PY10003: transactionHash is missing: give the hash of the transaction"},
		"receipt hash a number": {`{"headers":{"type":"TransactionReceipt"},"transactionHash":1}`, 400, "PY10003: transactionHash is 1: give a string"},
		"receipt logs a string": {`{"headers":{"type":"TransactionReceipt"},"transactionHash":"a","includeLogs":"true"}`, 400, `PY10003: includeLogs is "true": give true or false`},
		"receipt of a method":   {`{"headers":{"type":"TransactionReceipt"},"transactionHash":"a","method":"m"}`, 400, `PY10004: "method" is not a field of TransactionReceipt; the closest is "methods"`},
		"query block":           {`{"headers":{"type":"Query"},"blockNumber":true}`, 400, "PY10003: blockNumber is true: give a string"},
		"too large":             {send(`"method":"` + strings.Repeat("x", 5000) + `"`), 413, "PY10010: the body has more than 4096 bytes, the limit that api.maxBodySize sets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig()
			g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
				t.Error("must not be submitted")
				return nil, false, nil
			}
			w := g.do(t, "POST /", c.body)
			var answer apitypes.SubmissionErrorBody
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Equal(t, c.text, answer.Error)
			require.Equal(t, c.status, w.Code)
			require.True(t, answer.SubmissionRejected, "the same request cannot succeed")
			require.Empty(t, g.log.String(), "the caller's mistake is not the node's")
		})
	}
}

// A body must be declared as JSON: otherwise any web page could make a browser post to a node on its reader's machine.
func TestContentType(t *testing.T) {
	t.Parallel()
	const body = `{"headers":{"type":"SendTransaction"},"from":"alice"}`
	for header, status := range map[string]int{
		"Content-Type: application/json":                  202,
		"Content-Type: application/json; charset=utf-8":   202,
		"Content-Type: Application/JSON":                  202,
		"Content-Type: application/problem+json":          202,
		"Content-Type: text/plain":                        415,
		"Content-Type: application/x-www-form-urlencoded": 415,
		"Content-Type: ":                                  415,
		"Content-Type: %":                                 415,
		"Content-Encoding: gzip":                          415,
		"Content-Encoding: identity":                      202,
	} {
		g := newRig()
		w := g.do(t, "POST /", body, header)
		require.Equal(t, status, w.Code, "%s: %s", header, w.Body)
		if status != http.StatusAccepted {
			require.Contains(t, w.Body.String(), "send the header Content-Type: application/json")
		}
	}
}
