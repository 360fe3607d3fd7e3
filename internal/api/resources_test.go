package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// routeCase is a request, the call of the streams that it becomes, and its answer.
type routeCase struct {
	request, body string
	status        int
	call, answer  string // answer "": the body is empty
}

func (c *routeCase) check(t *testing.T) {
	t.Helper()
	g := newRig()
	w := g.do(t, c.request, c.body)
	require.Equal(t, c.status, w.Code, "%s: %s", c.request, w.Body)
	require.Equal(t, []string{c.call}, g.streams.calls, c.request)
	if c.answer == "" {
		require.Empty(t, w.Body.String(), c.request)
	} else {
		require.JSONEq(t, c.answer, w.Body.String(), c.request)
	}
}

func TestRoutesReachTheStreams(t *testing.T) {
	t.Parallel()
	const id = "3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"
	for _, c := range []routeCase{
		{"GET /eventstreams", "", 200, `Streams 500 `, `[]`},
		{"GET /eventstreams?limit=7&after=" + id, "", 200, `Streams 7 ` + id, `[]`},
		{"POST /eventstreams", `{"name":"s","suspended":true,"batchTimeout":250}`, 200, `CreateStream {"name":"s","suspended":true,"batchTimeout":"250ms"}`, `{"name":"s","suspended":true,"batchTimeout":"250ms"}`},
		{"GET /eventstreams/0%2Fdefault", "", 200, `Stream 0/default`, `{"name":"0/default","status":"started"}`},
		{"PATCH /eventstreams/s", `{"batchSize":3}`, 200, `UpdateStream s {"batchSize":3}`, `{"batchSize":3}`},
		{"DELETE /eventstreams/s", "", 204, `DeleteStream s`, ``},
		{"POST /eventstreams/s/suspend", "", 200, `SuspendStream s`, `{}`},
		{"POST /eventstreams/s/resume", `{}`, 200, `ResumeStream s`, `{}`},
		{"GET /eventstreams/s/listeners?limit=1", "", 200, `Listeners s 1 `, `[]`},
		{"POST /eventstreams/s/listeners", `{"name":"l","fromBlock":12,"filters":[{"event":"E"}]}`, 200, `CreateListener s {"name":"l","filters":[{"event":"E"}],"fromBlock":"12"}`, `{"name":"l","filters":[{"event":"E"}],"fromBlock":"12"}`},
		{"GET /eventstreams/s/listeners/l", "", 200, `Listener s l`, `{"name":"l","catchup":false}`},
		{"PATCH /eventstreams/s/listeners/l", `{"name":"m"}`, 200, `UpdateListener s l {"name":"m"}`, `{"name":"m"}`},
		{"DELETE /eventstreams/s/listeners/l", "", 204, `DeleteListener s l`, ``},
		{"POST /eventstreams/s/listeners/l/reset", "", 200, `ResetListener s l {} false`, `{}`},
		{"PATCH /eventstreams/s/listeners/l", `{"toBlock":12}`, 200, `UpdateListener s l {"toBlock":"12"}`, `{"toBlock":"12"}`},
		{"PATCH /eventstreams/s/listeners/l", `{"toBlock":"none"}`, 200, `UpdateListener s l {"toBlock":"none"}`, `{"toBlock":"none"}`},
		{"POST /eventstreams/s/listeners/l/reset", `{"fromBlock":"earliest"}`, 200, `ResetListener s l {"fromBlock":"earliest"} false`, `{"fromBlock":"earliest"}`},
		{"GET /subscriptions", "", 200, `Listeners  500 `, `[]`},
		{"POST /subscriptions", `{"stream":"` + id + `"}`, 200, `CreateListener ` + id + ` {"stream":"` + id + `"}`, `{"stream":"` + id + `"}`},
		{"GET /subscriptions/l", "", 200, `Listener  l`, `{"name":"l","catchup":false}`},
		{"PATCH /subscriptions/l", `{}`, 200, `UpdateListener  l {}`, `{}`},
		{"DELETE /subscriptions/l", "", 204, `DeleteListener  l`, ``},
		{"POST /eventstreams/s/listeners/l/reset?dryRun=true", `{"fromBlock":7}`, 200, `ResetListener s l {"fromBlock":"7"} true`, `{"fromBlock":"7"}`},
		{"POST /eventstreams/s/reset", ``, 200, `ResetStream s {} false`, `{"listeners":null}`},
		{"POST /eventstreams/s/reset?dryRun", `{"fromBlock":"latest"}`, 200, `ResetStream s {"fromBlock":"latest"} true`, `{"dryRun":true,"listeners":null}`},
		{"POST /subscriptions/l/reset", `{}`, 200, `ResetListener  l {} false`, `{}`},
	} {
		c.check(t)
	}
}

func TestStreamErrorsReachTheCaller(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		"GET /eventstreams", "GET /eventstreams/s", "DELETE /eventstreams/s", "POST /eventstreams/s/suspend", "POST /eventstreams/s/resume",
		"POST /eventstreams", "PATCH /eventstreams/s", "GET /eventstreams/s/listeners", "POST /eventstreams/s/listeners",
		"GET /subscriptions/l", "DELETE /subscriptions/l", "PATCH /subscriptions/l", "POST /subscriptions/l/reset",
	} {
		g := newRig()
		g.streams.err = store.ErrNotFound
		body := "{}"
		if request[0] == 'G' || request[0] == 'D' {
			body = ""
		}
		w := g.do(t, request, body)
		require.Equal(t, http.StatusNotFound, w.Code, request)
		require.JSONEq(t, `{"error":"PY10100: not found"}`, w.Body.String(), request)
	}
}

// What older clients call by other names goes to the streams as it was sent: they know what is stored, and what is allowed.
func TestAliasesOfOlderClients(t *testing.T) {
	t.Parallel()
	g := newRig()
	for _, c := range [][2]string{
		{"POST /eventstreams", `{"id":"","name":"s","type":"WebSocket","errorHandling":"BLOCK","batchTimeoutMS":500,"retryTimeoutSec":2,
			"blockedRetryDelaySec":3,"blockedRetryDelay":"1s","timestamps":true,"websocket":{"topic":"s"},"status":"started","state":{}}`},
		{"POST /eventstreams/s/listeners", `{"event":{"name":"E"},"address":"0x1","filters":null,"methods":["m"],"options":{"a":1},"checkpoint":{},"catchup":true}`},
		{"PATCH /eventstreams/s/listeners/l", `{"event":"E","filters":[{"event":"F"}],"methods":[]}`},
	} {
		w := g.do(t, c[0], c[1])
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	require.Equal(t, []string{
		`CreateStream {"name":"s","type":"WebSocket","errorHandling":"BLOCK","blockedRetryDelay":"1s","websocket":{"topic":"s"},"batchTimeoutMS":500,"retryTimeoutSec":2,"blockedRetryDelaySec":3,"timestamps":true}`,
		`CreateListener s {"options":{"a":1},"event":{"name":"E"},"address":"0x1","methods":["m"]}`,
		`UpdateListener s l {"filters":[{"event":"F"}],"event":"E"}`,
	}, g.streams.calls)
}

func TestBadStreamsAndListeners(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request, body string
		status        int
		text          string
	}{
		{"POST /eventstreams", "", 400, "PY10001: the body is not JSON: it is empty; give an object"},
		{"POST /eventstreams", `"s"`, 400, `PY10001: the body is not JSON: it is "s"; give an object`},
		{"POST /eventstreams", `{"batchsize":5}`, 400, `PY10004: "batchsize" is not a field of an event stream; the closest is "batchSize"`},
		{"POST /eventstreams", `{"webhok":{}}`, 400, `PY10004: "webhok" is not a field of an event stream; the closest is "webhook"`},
		{"POST /eventstreams", `{"name":5}`, 400, `PY10003: name is 5: give a string`},
		{"POST /eventstreams", `{"id":"x"}`, 400, `PY10003: id is "x": give a UUID`},
		{"POST /eventstreams", `{"suspended":"yes"}`, 400, `PY10003: suspended is "yes": give true or false`},
		{"POST /eventstreams", `{"batchSize":-1}`, 400, `PY10003: batchSize is -1: give a whole number`},
		{"POST /eventstreams", `{"batchSize":"many"}`, 400, `PY10003: batchSize is "many": give a whole number`},
		{"POST /eventstreams", `{"batchTimeout":"soon"}`, 400, `PY10003: batchTimeout is "soon": give a duration such as "500ms" or "30s", or a number of milliseconds`},
		{"POST /eventstreams", `{"batchTimeout":{}}`, 400, `PY10003: batchTimeout is {}: give a duration such as "500ms" or "30s", or a number of milliseconds`},
		{"POST /eventstreams", `{"created":"today"}`, 400, `PY10003: created is "today": give a time such as 2026-01-31T12:00:00Z`},
		{"POST /eventstreams", `{"batchTimeoutMS":18446744073709551616}`, 400, `PY10003: batchTimeoutMS is 18446744073709551616: give a whole number`},
		{"PATCH /eventstreams/s", `{"nam":"x"}`, 400, `PY10004: "nam" is not a field of an event stream; the closest is "name"`},
		{"POST /eventstreams/s/suspend", `{"when":"now"}`, 400, `PY10004: "when" is not a field of this request; it has no fields`},
		{"POST /eventstreams/s/listeners", `{"filter":{}}`, 400, `PY10004: "filter" is not a field of a listener; the closest is "filters"`},
		{"POST /eventstreams/s/listeners", `{"where":{}}`, 400, `PY10003: where is {}: give a string`},
		{"POST /eventstreams/s/listeners", `{"transforms":"."}`, 400, `PY10004: "transforms" is not a field of a listener; the closest is "transform"`},
		{"POST /eventstreams/s/listeners", `{"filters":{}}`, 400, `PY10003: filters is {}: give an array`},
		{"POST /eventstreams/s/reset?dryRun=perhaps", ``, 400, `PY10006: query parameter dryRun is "perhaps": give true or false`},
		{"POST /eventstreams/s/reset", `{"from":7}`, 400, `PY10004: "from" is not a field of a reset; the closest is "fromBlock"`},
		{"POST /eventstreams/s/listeners", `{"toBlock":true}`, 400, `PY10003: toBlock is true: give a block number or "none"`},
		{"POST /eventstreams/s/listeners", `{"fromBlock":true}`, 400, `PY10003: fromBlock is true: give "earliest", "latest" or a block number`},
		{"POST /eventstreams/s/listeners", `{"stream":"mine"}`, 400, `PY10003: stream is "mine": give a UUID`},
		{"POST /subscriptions", `{"name":"l"}`, 400, `PY10003: stream is missing: give the id of an event stream`},
		{"GET /eventstreams?limit=501", "", 400, `PY10006: query parameter limit is "501": give a number from 1 to 500`},
		{"GET /eventstreams?limit=0", "", 400, `PY10006: query parameter limit is "0": give a number from 1 to 500`},
		{"GET /eventstreams?skip=1", "", 400, `PY10005: query parameter skip is not known here: this route knows limit, after`},
		{"GET /eventstreams/s?limit=1", "", 400, `PY10005: query parameter limit is not known here: this route knows none`},
		{"POST /?x=1", `{}`, 400, `PY10005: query parameter x is not known here: this route knows none`},
		{"GET /transactions?limit=all", "", 400, `PY10006: query parameter limit is "all": give a number from 1 to 500`},
		{"GET /transactions?direction=up", "", 400, `PY10006: query parameter direction is "up": give asc or desc`},
		{"GET /transactions?pending=1", "", 400, `PY10006: query parameter pending is "1": give true or false`},
		{"GET /transactions?status=Pending,Done", "", 400, `PY10006: query parameter status is "Done": give Pending, Suspended, Succeeded, Failed`},
		{"GET /transactions?limit=%zz", "", 400, `PY10006: query parameter invalid URL escape "%zz"`},
		{"GET /transactions/a?history=maybe", "", 400, `PY10006: query parameter history is "maybe": give true or false`},
		{"GET /nowhere", "", 404, `PY10013: there is nothing at /nowhere; /api lists what there is`},
		{"PUT /eventstreams/s", "{}", 405, `PY10014: PUT is not possible at /eventstreams/s: use DELETE or GET or PATCH`},
		{"DELETE /", "", 405, `PY10014: DELETE is not possible at /: use POST`},
	} {
		g := newRig()
		w := g.do(t, c.request, c.body)
		var answer apitypes.SubmissionErrorBody
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s: %s", c.request, w.Body)
		require.Equal(t, c.text, answer.Error, "%s %s", c.request, c.body)
		require.Equal(t, c.status, w.Code, c.request)
		require.Empty(t, g.streams.calls, "nothing is half done")
		require.Empty(t, g.log.String(), c.request)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]apitypes.TransactionFilter{
		"":                          {Limit: 25},
		"?limit=500&after=ns:1":     {Limit: 500, After: "ns:1"},
		"?direction=ASC&signer=bob": {Limit: 25, Ascending: true, Signer: "bob"},
		"?direction=descending&pending": {
			Limit: 25, Pending: true,
		},
		"?pending=false&status=succeeded,Failed&status=pending": {Limit: 25, Statuses: []string{"Succeeded", "Failed", "Pending"}},
	} {
		g := newRig()
		var got apitypes.TransactionFilter
		g.tx.transactions = func(_ context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
			got = f
			return []*apitypes.Transaction{{ID: "a"}}, nil
		}
		w := g.do(t, "GET /transactions"+query, "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, want, got, query)
		require.Contains(t, w.Body.String(), `"id":"a"`)
	}
	g := newRig()
	g.options.MaxPage = 10
	require.JSONEq(t, `[]`, g.do(t, "GET /transactions", "").Body.String())
}

func TestOneTransaction(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.tx.transaction = func(_ context.Context, id string, history bool) (*apitypes.TransactionWithStatus, error) {
		tx := &apitypes.TransactionWithStatus{Transaction: apitypes.Transaction{ID: id, Status: "Succeeded"}}
		if history {
			tx.History = []apitypes.HistoryStatus{{SubStatus: "Received"}}
		}
		return tx, nil
	}
	w := g.do(t, "GET /transactions/default:1%2F2", "")
	require.Contains(t, w.Body.String(), `"id":"default:1/2"`)
	require.NotContains(t, w.Body.String(), "Received")
	w = g.do(t, "GET /transactions/a?history", "")
	require.Contains(t, w.Body.String(), "Received")
	require.Equal(t, http.StatusOK, g.do(t, "HEAD /transactions/a", "").Code)

	w = g.do(t, "GET /transactions/a/receipt", "")
	require.JSONEq(t, `{"error":"PY10100: not found"}`, w.Body.String())
	g.tx.receipt = func(context.Context, string) (*apitypes.Receipt, error) { return nil, nil }
	w = g.do(t, "GET /transactions/a/receipt", "")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.JSONEq(t, `{"error":"PY10101: transaction a has no receipt yet"}`, w.Body.String())
	g.tx.receipt = func(context.Context, string) (*apitypes.Receipt, error) {
		return &apitypes.Receipt{ProtocolID: "1/2", Success: true}, nil
	}
	w = g.do(t, "GET /transactions/a/receipt", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"protocolId":"1/2"`)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	g := newRig()
	var live, ready bool
	g.options.Live = func() bool { return live }
	g.options.Ready = func(context.Context) (bool, json.RawMessage) { return ready, json.RawMessage(`{"store":"ok"}`) }
	for _, c := range []struct {
		live, ready bool
		path        string
		status      int
		answer      string
	}{
		{true, true, "/status", 200, `{"up":true}`},
		{true, false, "/status/live", 200, `{"up":true}`},
		{false, false, "/status/live", 503, `{"up":false}`},
		{true, true, "/status/ready", 200, `{"ready":true,"downstreamDetails":{"store":"ok"}}`},
		{true, false, "/status/ready", 503, `{"ready":false,"downstreamDetails":{"store":"ok"}}`},
	} {
		live, ready = c.live, c.ready
		w := g.do(t, "GET "+c.path, "")
		require.Equal(t, c.status, w.Code)
		require.JSONEq(t, c.answer, w.Body.String())
	}
}
