package devledger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

func TestPrepareNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, tc := range map[string]struct {
		req  *ffcapi.Request
		want string
	}{
		"signer":          {request("", "create", `"a"`, `1`), "from: it is missing"},
		"long signer":     {request(strings.Repeat("x", 1025), "create", `"a"`, `1`), "from: the signer has 1025 bytes"},
		"contract":        {&ffcapi.Request{From: "a", To: "other", Method: raw(`"create"`)}, `to: unknown contract "other"`},
		"method":          {request("a", "burn", `"a"`), `method: unknown method "burn"`},
		"no method":       {&ffcapi.Request{From: "a", To: "assets"}, "method: it is missing"},
		"null method":     {&ffcapi.Request{From: "a", To: "assets", Method: raw(`null`)}, "method: it is neither"},
		"number method":   {&ffcapi.Request{From: "a", To: "assets", Method: raw(`7`)}, "method: it is neither"},
		"nameless method": {&ffcapi.Request{From: "a", To: "assets", Method: raw(`{"name":3}`)}, "method: it is neither"},
		"query method":    {request("a", "read", `"a"`), "method: read only reads"},
		"few params":      {request("a", "create", `"a"`), "params: create takes 2 (id, value), not 1"},
		"many params":     {request("a", "delete", `"a"`, `1`), "params: delete takes 1 (id), not 2"},
		"id type":         {request("a", "create", `1`, `1`), "params[0]: id is not a string"},
		"id null":         {request("a", "create", `null`, `1`), "params[0]: id is not a string"},
		"id empty":        {request("a", "create", `""`, `1`), "params[0]: id is empty"},
		"id NUL":          {request("a", "create", `"\u0000"`, `1`), "params[0]: id has a NUL"},
		"value":           {request("a", "create", `"a"`, `{x`), "params[1]: value is not valid JSON"},
		"owner":           {request("a", "transfer", `"a"`, `""`), "params[1]: owner is empty"},
		"message":         {request("a", "fail", `{}`), "params[0]: message is not a string"},
		"options":         {&ffcapi.Request{From: "a", To: "assets", Method: raw(`"delete"`), Params: []json.RawMessage{raw(`"a"`)}, Options: raw(`{"x":1}`)}, `options: unknown field "x"`},
		"options type":    {&ffcapi.Request{From: "a", To: "assets", Method: raw(`"delete"`), Params: []json.RawMessage{raw(`"a"`)}, Options: raw(`[]`)}, "options: it is not a JSON object"},
		"amount":          {&ffcapi.Request{From: "a", To: "assets", Method: raw(`"delete"`), Params: []json.RawMessage{raw(`"a"`)}, Value: "10"}, "value: the dev ledger has no token"},
		"block":           {&ffcapi.Request{From: "a", To: "assets", Method: raw(`"delete"`), Params: []json.RawMessage{raw(`"a"`)}, BlockNumber: "1"}, "blockNumber: it is for queries"},
	} {
		_, err := c.Prepare(t.Context(), tc.req)
		require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), name)
		require.ErrorContains(t, err, "prepare: "+tc.want, name)
	}
}

func TestPrepareAcceptsFireFlysForms(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	req := request("ann", "create", `"a"`, `{"x":[1, 2]}`)
	req.Method = json.RawMessage(`{"name":"create","type":"function","inputs":[{"name":"id","type":"string"}]}`)
	req.Value, req.Gas, req.Options = "0", "100000", json.RawMessage(`{}`)
	req.Errors = []json.RawMessage{json.RawMessage(`{"name":"Nope"}`)}
	p, err := c.Prepare(t.Context(), req)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"a","value":{"x":[1,2]},"owner":"ann"}`, string(p.Result))
}

func TestContractRefuses(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	receipt(t, c, send(t, c, request("ann", "create", `"a"`, `1`)))
	for want, req := range map[string]*ffcapi.Request{
		"prepare: asset a already exists": request("bob", "create", `"a"`, `2`),
		"prepare: asset b not found":      request("bob", "update", `"b"`, `2`),
		"prepare: asset c not found":      request("bob", "transfer", `"c"`, `"x"`),
		"prepare: asset d not found":      request("bob", "delete", `"d"`),
		"prepare: out of %s":              request("bob", "fail", `"out of %s"`),
	} {
		_, err := c.Prepare(t.Context(), req)
		require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
		require.EqualError(t, err, want)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.Sequenced = false
	c := open(t, cfg, "")
	out, err := c.Query(t.Context(), request("", "list"))
	require.NoError(t, err)
	require.Equal(t, `[]`, string(out))

	const made = 1003
	var last string
	for i := range made { // from the last to the first
		last = send(t, c, request("ann", "create", quote(fmt.Sprintf("a%04d", made-i)), `null`))
	}
	receipt(t, c, last)
	out, err = c.Query(t.Context(), request("", "list"))
	require.NoError(t, err)
	var got []struct{ ID, Owner string }
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got, 1000)
	for i, a := range got {
		require.Equal(t, fmt.Sprintf("a%04d", i+1), a.ID)
		require.Equal(t, "ann", a.Owner)
	}

	out, err = c.Query(t.Context(), request("bob", "create", `"new"`, `7`))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"new","value":7,"owner":"bob"}`, string(out))
	out, err = c.Query(t.Context(), request("bob", "delete", `"a0001"`))
	require.NoError(t, err)
	require.Equal(t, `null`, string(out))
	_, err = c.Query(t.Context(), request("", "read", `"new"`))
	require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err))
	require.EqualError(t, err, "query: asset new not found")
	_, err = c.Query(t.Context(), request("", "delete", `"a0001"`))
	require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err))

	req := request("", "list")
	req.BlockNumber = "latest"
	_, err = c.Query(t.Context(), req)
	require.NoError(t, err)
	req.BlockNumber = "1"
	_, err = c.Query(t.Context(), req)
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err))
}

func TestSubmitChecksWhoSigned(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	p, err := c.Prepare(t.Context(), request("ann", "create", `"a"`, `1`))
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), submission(t, c, p, "bob"))
	require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err))
	require.ErrorContains(t, err, `submit: from: "bob" has not signed the payload`)
}

func TestListenerThatMatchesTwiceIsNamedOnce(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 1, EventBlocks: 1, EventsPerBlock: 2}
	c := open(t, cfg, "")
	r := receipt(t, c, send(t, c, request("ann", "create", `"a"`, `1`)))
	spec := &ffcapi.ListenerSpec{FromBlock: "0"}
	for _, f := range []string{`{}`, `{"event":"AssetCreated"}`, `{"event":"E"}`, `{"event":"E","mod":2}`} {
		spec.Filters = append(spec.Filters, json.RawMessage(f))
	}
	l, err := c.Listener(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, "E, E [0/2], assets:*, assets:AssetCreated", l.Signature)
	events := collect(t, c, &ffcapi.EventQuery{Listeners: []*ffcapi.Listener{l}, Upto: r.Block, Max: 10})
	require.Len(t, events, 3)
	for _, ev := range events {
		require.Equal(t, []int{0}, ev.Matches)
	}
}

func TestReceiptDetails(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	hash := send(t, c, request("ann", "create", `"a"`, `1`))
	receipt(t, c, hash)
	r, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{
		Hash: hash, IncludeLogs: true, ExtractSigner: true, EventFilters: []json.RawMessage{json.RawMessage(`{"event":"AssetDeleted"}`)},
	})
	require.NoError(t, err)
	require.Equal(t, "000000000001/000000", r.ProtocolID)
	require.JSONEq(t, `{"id":"a","value":1,"owner":"ann"}`, string(r.Result))
	require.JSONEq(t, `{"contract":"assets","from":"ann"}`, string(r.Extra))
	require.Len(t, r.Logs, 1)
	require.JSONEq(t, `{"address":"assets","event":"AssetCreated","data":{"id":"a","value":1,"owner":"ann"}}`, string(r.Logs[0]))
	require.Empty(t, r.Events)
	_, err = c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Hash: hash, EventFilters: []json.RawMessage{json.RawMessage(`7`)}})
	require.ErrorContains(t, err, "eventFilters[0]")
}

func TestListenerFilters(t *testing.T) {
	t.Parallel()
	cfg := memory()
	c := open(t, cfg, "")
	cfg.Synthetic.LiveEventsPerBlock = 1
	syn := open(t, cfg, "")
	for filter, signature := range map[string]string{
		`{}`:                       "assets:*",
		`{"event":"*"}`:            "assets:*",
		`{"event":""}`:             "assets:*",
		`{"event":"AssetCreated"}`: "assets:AssetCreated",
		`{"address":"assets","event":{"name":"AssetDeleted","params":[]}}`: "assets:AssetDeleted",
		`{"event":"E"}`:                 "E",
		`{"event":"E","mod":1,"rem":0}`: "E",
		`{"event":"E","mod":4,"rem":3}`: "E [3/4]",
	} {
		l, err := syn.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}})
		require.NoError(t, err, filter)
		require.Equal(t, signature, l.Signature)
	}
	for filter, want := range map[string]string{
		`7`:                                "filters[0]: it is not a JSON object",
		`null`:                             "filters[0]: it is not a JSON object",
		`{"topic":"x"}`:                    "filters[0].topic: unknown field",
		`{"event":"AssetBurned"}`:          `filters[0].event: unknown event "AssetBurned"`,
		`{"event":"E"}`:                    `filters[0].event: unknown event "E"`,
		`{"event":7}`:                      "filters[0].event: it is neither",
		`{"event":{"type":"event"}}`:       "filters[0].event: it is neither",
		`{"contract":"other"}`:             `filters[0].contract: unknown contract "other"`,
		`{"address":7}`:                    "filters[0].address: it is not a string",
		`{"event":"AssetCreated","mod":2}`: "filters[0].mod: it is for the event",
	} {
		_, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}})
		require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), filter)
		require.ErrorContains(t, err, want)
	}
	for filter, want := range map[string]string{
		`{"event":"E","mod":0}`:           "filters[0].mod: 0 is not between",
		`{"event":"E","mod":"2"}`:         "filters[0].mod: it is not an integer",
		`{"event":"E","mod":2,"rem":2}`:   "filters[0].rem: 2 is not between",
		`{"event":"E","mod":2,"rem":1.5}`: "filters[0].rem: it is not an integer",
	} {
		_, err := syn.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}})
		require.ErrorContains(t, err, want)
	}
	_, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{})
	require.ErrorContains(t, err, "filters: there is none")
}
