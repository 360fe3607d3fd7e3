package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// node is a server that writes down what it is asked, and answers with what it is told.
type node struct {
	url     string
	request string // method, path and query of the last request
	body    string
	header  http.Header

	status int
	answer string
	replay bool
}

func newNode(t *testing.T) (*node, *client.Client) {
	t.Helper()
	n := &node{status: http.StatusOK, answer: "{}"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.request, n.body, n.header = r.Method+" "+r.URL.RequestURI(), string(body), r.Header
		w.Header().Set("Content-Type", "application/json")
		if n.replay {
			w.Header().Set("Idempotent-Replay", "true")
		}
		if n.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(n.status)
		_, _ = io.WriteString(w, n.answer)
	}))
	t.Cleanup(srv.Close)
	n.url = srv.URL
	return n, client.New(srv.URL+"/", client.WithTransport(srv.Client().Transport), client.WithHeader("X-FireFly-Request-ID", "r-1"))
}

func TestRequests(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	name, from := "s", apitypes.BlockNumber("earliest")
	for _, c := range []struct {
		call          func(*client.Client) error
		answer        string
		request, body string
	}{
		{func(c *client.Client) error { _, err := c.Transaction(ctx, "ns:a/b", false); return err }, `{}`, "GET /transactions/ns:a%2Fb", ""},
		{func(c *client.Client) error { _, err := c.Transaction(ctx, "a", true); return err }, `{}`, "GET /transactions/a?history=true", ""},
		{func(c *client.Client) error { _, err := c.Receipt(ctx, "a"); return err }, `{}`, "GET /transactions/a/receipt", ""},
		{func(c *client.Client) error { _, err := c.SuspendTransaction(ctx, "a/b"); return err }, `{}`, "POST /transactions/a%2Fb/suspend", "{}"},
		{func(c *client.Client) error { _, err := c.ResumeTransaction(ctx, "a"); return err }, `{}`, "POST /transactions/a/resume", "{}"},
		{func(c *client.Client) error { _, err := c.CancelTransaction(ctx, "a"); return err }, `{}`, "DELETE /transactions/a", ""},
		{func(c *client.Client) error {
			_, err := c.UpdateTransaction(ctx, "a", &apitypes.TransactionUpdate{To: &name})
			return err
		}, `{}`, "PATCH /transactions/a", `{"to":"s"}`},
		{func(c *client.Client) error { _, _, err := c.RetryTransaction(ctx, "a", ""); return err }, `{}`, "POST /transactions/a/retry", "{}"},
		{
			func(c *client.Client) error { _, _, err := c.RetryTransaction(ctx, "a", "b"); return err },
			`{}`, "POST /transactions/a/retry", `{"headers":{"id":"b"}}`,
		},
		{func(c *client.Client) error { _, err := c.Signer(ctx, "", "0x1"); return err }, `{}`, "GET /signers/0x1", ""},
		{func(c *client.Client) error { _, err := c.FillNonces(ctx, "main", "0x1"); return err }, `[]`, "POST /signers/0x1/fill?ledger=main", "{}"},
		{func(c *client.Client) error { _, err := c.Transactions(ctx, apitypes.TransactionFilter{}); return err }, `[]`, "GET /transactions", ""},
		{func(c *client.Client) error {
			_, err := c.Transactions(ctx, apitypes.TransactionFilter{Limit: 5, After: "a", Ascending: true, Signer: "bob", Pending: true, Statuses: []string{"Failed", "Succeeded"}})
			return err
		}, `[]`, "GET /transactions?after=a&direction=asc&limit=5&pending=true&signer=bob&status=Failed&status=Succeeded", ""},
		{func(c *client.Client) error {
			_, err := c.Transactions(ctx, apitypes.TransactionFilter{Skip: 2, Progress: []string{"Failed"}, Labels: map[string]string{"a.b": "c d"}, Match: [][]apitypes.Condition{
				{{Field: "to", Op: "^", Value: "=x", Fold: true, Not: true}, {Field: "to", None: true}}, {{Field: "nonce", Op: ">", Value: "5"}}, {{Field: "nonce", Op: "<=", Value: "7"}},
				{{Field: "from", Value: "=a"}},
			}})
			return err
		}, `[]`, "GET /transactions?from=%3D%3Da&label.a.b=c+d&nonce=%5B%3E%3E5&nonce=%5B%3C%3D7&progress=Failed&skip=2&to=%21%3A%5E%3Dx&to=%3F", ""},
		{func(c *client.Client) error {
			n, err := c.CountTransactions(ctx, apitypes.TransactionFilter{After: "a", Limit: 5, Skip: 2, Signer: "bob"})
			require.Equal(t, 7, n)
			return err
		}, `{"count":1,"total":7,"items":[{}]}`, "GET /transactions?count=true&limit=1&signer=bob", ""},
		{func(c *client.Client) error { _, err := c.Streams(ctx, 3, "x"); return err }, `[]`, "GET /eventstreams?after=x&limit=3", ""},
		{func(c *client.Client) error { _, err := c.Stream(ctx, "0/default"); return err }, `{}`, "GET /eventstreams/0%2Fdefault", ""},
		{func(c *client.Client) error {
			_, err := c.CreateStream(ctx, &apitypes.EventStream{Name: &name})
			return err
		}, `{}`, "POST /eventstreams", `{"name":"s"}`},
		{func(c *client.Client) error { _, err := c.UpdateStream(ctx, "s", &apitypes.EventStream{}); return err }, `{}`, "PATCH /eventstreams/s", `{}`},
		{func(c *client.Client) error { return c.DeleteStream(ctx, "s") }, ``, "DELETE /eventstreams/s", ""},
		{func(c *client.Client) error { return c.SuspendStream(ctx, "s") }, `{}`, "POST /eventstreams/s/suspend", ""},
		{func(c *client.Client) error { return c.ResumeStream(ctx, "s") }, `{}`, "POST /eventstreams/s/resume", ""},
		{func(c *client.Client) error { _, err := c.Listeners(ctx, "", 0, ""); return err }, `[]`, "GET /subscriptions", ""},
		{func(c *client.Client) error { _, err := c.Listeners(ctx, "s", 0, ""); return err }, `[]`, "GET /eventstreams/s/listeners", ""},
		{func(c *client.Client) error { _, err := c.Listener(ctx, "s", "l"); return err }, `{}`, "GET /eventstreams/s/listeners/l", ""},
		{func(c *client.Client) error {
			_, err := c.CreateListener(ctx, "s", &apitypes.Listener{Name: &name})
			return err
		}, `{}`, "POST /eventstreams/s/listeners", `{"name":"s"}`},
		{func(c *client.Client) error {
			_, err := c.UpdateListener(ctx, "s", "l", &apitypes.Listener{Name: &name})
			return err
		}, `{}`, "PATCH /eventstreams/s/listeners/l", `{"name":"s"}`},
		{func(c *client.Client) error { _, err := c.ResetListener(ctx, "s", "l", &from, false); return err }, `{}`, "POST /eventstreams/s/listeners/l/reset", `{"fromBlock":"earliest"}`},
		{func(c *client.Client) error { _, err := c.ResetListener(ctx, "s", "l", nil, true); return err }, `{}`, "POST /eventstreams/s/listeners/l/reset?dryRun=true", `{}`},
		{func(c *client.Client) error { _, err := c.ResetStream(ctx, "s", &from, true); return err }, `{}`, "POST /eventstreams/s/reset?dryRun=true", `{"fromBlock":"earliest"}`},
		{func(c *client.Client) error { return c.DeleteListener(ctx, "s", "l") }, ``, "DELETE /eventstreams/s/listeners/l", ""},
		{func(c *client.Client) error {
			_, err := c.Query(ctx, &client.Invocation{To: "assets", Method: "read", Params: []any{"car-1"}, BlockNumber: "7"})
			return err
		}, `1`, "POST /", `{"headers":{"type":"Query"},"to":"assets","method":"read","params":["car-1"],"blockNumber":"7"}`},
		{func(c *client.Client) error {
			_, _, err := c.Submit(ctx, &client.Invocation{ID: "a", From: "alice", Errors: []any{}, Options: map[string]any{"channel": "one"}})
			return err
		}, `{}`, "POST /", `{"headers":{"type":"SendTransaction","id":"a"},"from":"alice","errors":[],"channel":"one"}`},
	} {
		n, cl := newNode(t)
		n.answer = c.answer
		require.NoError(t, c.call(cl), c.request)
		require.Equal(t, c.request, n.request)
		require.Equal(t, "r-1", n.header.Get("X-FireFly-Request-ID"))
		if c.body == "" {
			require.Empty(t, n.body, c.request)
		} else {
			require.JSONEq(t, c.body, n.body, c.request)
			require.Equal(t, "application/json", n.header.Get("Content-Type"))
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	n, c := newNode(t)
	n.status, n.replay, n.answer = http.StatusAccepted, true, `{"id":"a","status":"Pending","nonce":"12"}`
	tx, replay, err := c.Submit(t.Context(), &client.Invocation{From: "alice"})
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, "a", tx.ID)
	require.Equal(t, int64(12), tx.Nonce.Int64())

	n.answer, n.replay = `{"big":12345678901234567890}`, false
	result, err := c.Query(t.Context(), &client.Invocation{})
	require.NoError(t, err)
	require.Contains(t, string(result), `12345678901234567890`, "not a digit is lost")

	n.answer = `{"id":`
	_, replay, err = c.Submit(t.Context(), &client.Invocation{From: "alice"})
	require.ErrorContains(t, err, "answer")
	require.False(t, replay)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	n, c := newNode(t)
	n.status, n.answer = http.StatusServiceUnavailable, `{"error":"PY10212: away","submissionRejected":false}`
	_, _, err := c.Submit(t.Context(), &client.Invocation{From: "alice"})
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, &client.Error{Status: 503, Code: "PY10212", Message: "PY10212: away", RetryAfter: 7 * time.Second}, e)
	require.EqualError(t, err, "PY10212: away")
	require.False(t, client.IsNotFound(err))

	n.status, n.answer = http.StatusUnprocessableEntity, `{"error":"PY10203: no","submissionRejected":true}`
	_, err = c.Query(t.Context(), &client.Invocation{})
	require.ErrorAs(t, err, &e)
	require.True(t, e.SubmissionRejected)

	n.status, n.answer = http.StatusNotFound, `{"error":"PY10100: not found"}`
	_, err = c.Stream(t.Context(), "s")
	require.True(t, client.IsNotFound(err))
	require.False(t, client.IsConflict(err))
	_, err = c.Receipt(t.Context(), "s")
	require.True(t, client.IsNotFound(err))

	n.status, n.answer = http.StatusConflict, `{"error":"taken"}`
	_, err = c.CreateListener(t.Context(), "s", &apitypes.Listener{})
	require.True(t, client.IsConflict(err))
	require.ErrorAs(t, err, &e)
	require.Empty(t, e.Code)

	n.status, n.answer = http.StatusBadGateway, `<html>`
	err = c.DeleteStream(t.Context(), "s")
	require.EqualError(t, err, "DELETE "+n.url+"/eventstreams/s: 502 Bad Gateway")

	n.status, n.answer = http.StatusFound, ``
	require.Error(t, c.DeleteStream(t.Context(), "s"), "an answer from elsewhere is none")
}

func TestOptionThatIsAField(t *testing.T) {
	t.Parallel()
	n, c := newNode(t)
	options := map[string]any{"from": "mallory"}
	_, _, err := c.Submit(t.Context(), &client.Invocation{From: "alice", Options: options})
	require.EqualError(t, err, `option "from": the name is a field of every command`)
	_, err = c.Query(t.Context(), &client.Invocation{Options: options})
	require.Error(t, err)
	require.Empty(t, n.request)
	require.Len(t, options, 1, "the caller's map is not touched")
}

func TestNoNode(t *testing.T) {
	t.Parallel()
	n, c := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Stream(ctx, "s")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, n.request)
}

func TestConditionsThatNoQueryCanSay(t *testing.T) {
	t.Parallel()
	n, c := newNode(t)
	is := func(field string) apitypes.Condition { return apitypes.Condition{Field: field, Op: "=", Value: "x"} }
	for _, f := range []apitypes.TransactionFilter{
		{Match: [][]apitypes.Condition{{is("to"), is("from")}}},
		{Match: [][]apitypes.Condition{{is("to"), is("to")}, {is("to")}}},
		{Match: [][]apitypes.Condition{{is("status")}}, Statuses: []string{"Failed"}},
	} {
		_, err := c.Transactions(t.Context(), f)
		require.ErrorContains(t, err, "conditions: ")
		_, err = c.CountTransactions(t.Context(), f)
		require.ErrorContains(t, err, "conditions: ")
	}
	require.Empty(t, n.request)
}
