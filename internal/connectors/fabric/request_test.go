package fabric

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func raws(texts ...string) (out []json.RawMessage) {
	for _, t := range texts {
		out = append(out, json.RawMessage(t))
	}
	return out
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	inv, err := parseRequest(&ffcapi.Request{
		To: "ch1/assets", Method: json.RawMessage(`{"name":"create","description":"FFI"}`), Value: "0",
		Params:  raws(`"text \"quoted\""`, `{ "a": [1, 2] }`, `12`, `null`, `true`, `""`),
		Options: json.RawMessage(`{"transient":{"k":"v","j":{ "x":1 }},"endorsingOrganizations":["Org1MSP"],"channel":"ch1","init":true}`),
	}, "first")
	require.NoError(t, err)
	require.Equal(t, &invocation{
		channel: "ch1", chaincode: "assets", function: "create", orgs: []string{"Org1MSP"}, init: true,
		args:      [][]byte{[]byte(`text "quoted"`), []byte(`{"a":[1,2]}`), []byte("12"), []byte("null"), []byte("true"), {}},
		transient: map[string][]byte{"k": []byte("v"), "j": []byte(`{"x":1}`)},
	}, inv)

	inv, err = parseRequest(&ffcapi.Request{Method: json.RawMessage(`"f"`), Options: json.RawMessage(`{"channel":"c","chaincode":"x"}`)}, "first")
	require.NoError(t, err)
	require.Equal(t, &invocation{channel: "c", chaincode: "x", function: "f"}, inv)
	inv, err = parseRequest(&ffcapi.Request{To: "x", Method: json.RawMessage(`"f"`)}, "first")
	require.NoError(t, err)
	require.Equal(t, &invocation{channel: "first", chaincode: "x", function: "f"}, inv)
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*ffcapi.Request){
		`to: it must be "channel/chaincode"`: func(r *ffcapi.Request) { r.To = "" },
		`to: "a/b/c" is neither`:             func(r *ffcapi.Request) { r.To = "a/b/c" },
		`to: "/b" is neither`:                func(r *ffcapi.Request) { r.To = "/b" },
		`method: it must be`:                 func(r *ffcapi.Request) { r.Method = json.RawMessage(`7`) },
		`value: Fabric has no token`:         func(r *ffcapi.Request) { r.Value = "100" },
		`options: unknown field "transients", the known ones are channel, chaincode, transient, endorsingOrganizations, init`: func(r *ffcapi.Request) {
			r.Options = json.RawMessage(`{"transients":{}}`)
		},
		`options: transient cannot be a JSON string`: func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"transient":"s3cret"}`) },
		`options: init cannot be a JSON number`:      func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"init":3}`) },
		`options.endorsingOrganizations: one is emp`: func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"endorsingOrganizations":[""]}`) },
		`options: it is not a JSON object`:           func(r *ffcapi.Request) { r.Options = json.RawMessage(`[]`) },
		`options: channel cannot be a JSON number`:   func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"channel":1}`) },
		`options: there is something after`:          func(r *ffcapi.Request) { r.Options = json.RawMessage(`{} {}`) },
		`options.channel: "x" is not the channel of`: func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"channel":"x"}`) },
		`options.chaincode: "x" is not the chaincod`: func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"chaincode":"x"}`) },
	} {
		r := &ffcapi.Request{To: "ch1/assets", Method: json.RawMessage(`"f"`)}
		spoil(r)
		_, err := parseRequest(r, "first")
		requireKind(t, err, ffcapi.InvalidInput, want)
	}
}

func TestRefusedBeforeAnybodyIsAsked(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	_, err := c.Query(t.Context(), &ffcapi.Request{To: "ch1/assets", Method: json.RawMessage(`"read"`), BlockNumber: "3"})
	requireKind(t, err, ffcapi.InvalidInput, "blockNumber")
	_, err = c.Query(t.Context(), &ffcapi.Request{To: "ch9/assets", Method: json.RawMessage(`"read"`)})
	requireKind(t, err, ffcapi.InvalidInput, `to: there is no channel "ch9"`)
	for _, from := range []string{"nobody", "../user1", ".", "user1/"} {
		_, err = c.Prepare(t.Context(), fakeRequest(from, "create", "a", "1"))
		requireKind(t, err, ffcapi.InvalidInput, "from")
	}
}

func TestListenerForms(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 7 {
		f.mine()
	}
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{FromBlock: "7", Filters: raws(
		`{"channel":"ch1","chaincode":"b","event":"/^Asset(Created|Deleted)$/"}`, `{"chaincode":"b","event":{"name":"X","params":[]}}`, `{"chaincode":"a"}`, `{"chaincode":"a","event":null}`)})
	require.NoError(t, err)
	require.Equal(t, "ch1", l.Ledger)
	require.Equal(t, "a:*, b:/^Asset(Created|Deleted)$/, b:X", l.Signature)
	require.Equal(t, ffcapi.BlockStart(7), l.Start)

	m, err := (&rules{}).matcher("ch1", []*ffcapi.Listener{l, l})
	require.NoError(t, err)
	for _, want := range []struct {
		chaincode, name string
		found           bool
	}{{"a", "anything", true}, {"b", "AssetCreated", true}, {"b", "AssetCreatedX", false}, {"b", "X", true}, {"b", "x", false}, {"c", "X", false}} {
		got := m.event(&chaincodeEvent{chaincode: want.chaincode, name: want.name}, 0).full
		if want.found {
			require.Equal(t, []int{0, 1}, got)
		} else {
			require.Empty(t, got)
		}
		require.Equal(t, got, m.event(&chaincodeEvent{chaincode: want.chaincode, name: want.name}, 0).full, "the answer is remembered")
	}

	for want, filters := range map[string][]string{
		"filters: there is none":               {},
		"filters[0].chaincode: it must be set": {`{"event":"E"}`},
		"filters[1].channel: there is no":      {`{"chaincode":"a"}`, `{"channel":"ch2","chaincode":"a"}`},
		"filters[0].event: /(/ is no regular":  {`{"chaincode":"a","event":"/(/"}`},
		"filters[0].event: it is neither":      {`{"chaincode":"a","event":5}`},
		`filters[0]: unknown field "address"`:  {`{"chaincode":"a","address":"x"}`},
		"filters[0]: it is empty":              {``},
		`filters[0].type: "log" is none of`:    {`{"type":"log"}`},
		`filters[0].function: a filter of typ`: {`{"chaincode":"a","function":"f"}`},
		`filters[0].event: a filter of type "`: {`{"type":"transaction","event":"E"}`},
		`filters[0].chaincode: a filter of ty`: {`{"type":"block","chaincode":"a"}`},
		`filters[0].keyPrefix: a filter of ty`: {`{"type":"config","keyPrefix":"a"}`},
		`filters[0].isDelete: a filter of typ`: {`{"type":"transaction","isDelete":false}`},
		`filters[0].namespace: a filter of ty`: {`{"type":"transaction","namespace":"a"}`},
		`filters[0].namespace: "a" and the ch`: {`{"type":"write","namespace":"a","chaincode":"b"}`},
		"filters[0].function: /[/ is no regul": {`{"type":"transaction","function":"/[/"}`},
		`filters[0].validationCode: "MVCC" is`: {`{"type":"transaction","validationCode":"MVCC"}`},
		"filters[0].validationCode: it is nei": {`{"type":"transaction","validationCode":7}`},
		"filters[0].validationCode: it is ne":  {`{"type":"transaction","validationCode":[]}`},
	} {
		_, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(filters...)})
		requireKind(t, err, ffcapi.InvalidInput, want)
	}

	for want, options := range map[string]string{
		`options: unknown field "fields"`:         `{"fields":1}`,
		`options.payload: "none" is neither "f`:   `{"payload":"none"}`,
		"options: includeInvalid cannot be a JSO": `{"includeInvalid":"yes"}`,
	} {
		_, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"a"}`), Options: json.RawMessage(options)})
		requireKind(t, err, ffcapi.InvalidInput, want)
	}

	c.cfg.Channels = []string{"ch1", "ch2"}
	l, err = c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"a"}`)})
	require.NoError(t, err)
	require.Equal(t, "ch1", l.Ledger, "the first channel is meant")
	_, err = c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"channel":"ch1","chaincode":"a"}`, `{"channel":"ch2","chaincode":"a"}`)})
	requireKind(t, err, ffcapi.InvalidInput, "make two listeners")
}

// matcherOf makes a matcher for one listener.
func matcherOf(t *testing.T, filters ...filter) *matcher {
	t.Helper()
	m := newMatcher("ch1")
	c, err := compileFilters(filters)
	require.NoError(t, err)
	m.add(rule{}, c)
	return m
}

// A chaincode may give each event a name of its own: what a session remembers of them is bounded.
func TestMatcherForgets(t *testing.T) {
	t.Parallel()
	m := matcherOf(t, filter{Channel: "ch1", Chaincode: "a", Event: "/^order-/"})
	for i := range 3 * maxKnown {
		require.Equal(t, []int{0}, m.event(&chaincodeEvent{chaincode: "a", name: "order-" + strconv.Itoa(i)}, 0).full)
		require.LessOrEqual(t, len(m.known), maxKnown)
	}
}
