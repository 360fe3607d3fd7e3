package txn

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestStoredRequestIsTheRequest(t *testing.T) {
	t.Parallel()
	got, err := storedRequest(apitypes.SendTransaction, []byte(`{"headers":{"type":"SendTransaction"},"from":"a","to":"c","nonce":1,"gas":"0x10","value":12345678901234567890123,
		"method":{"name":"m"},"params":[1,"x"],"errors":[{}],"channel":"ch","transient":{"k":"v"}}`))
	require.NoError(t, err)
	options := map[string]any{}
	require.NoError(t, json.Unmarshal(got.Options, &options))
	require.Equal(t, map[string]any{"channel": "ch", "transient": map[string]any{"k": "v"}}, options)
	got.Options = nil
	require.Equal(t, &ffcapi.Request{
		From: "a", To: "c", Method: json.RawMessage(`{"name":"m"}`), Params: []json.RawMessage{[]byte("1"), []byte(`"x"`)},
		Errors: []json.RawMessage{[]byte("{}")}, Value: "12345678901234567890123", Gas: "16",
	}, got.Request)
	require.Nil(t, got.deploy)
	for _, raw := range []string{`[]`, `{"from":1}`, ``, `{"gas":1.5}`, `{"value":"x"}`} {
		_, err := storedRequest(apitypes.SendTransaction, []byte(raw))
		require.Error(t, err, raw)
	}
}

// TestStoredRequestIsReadAsItWasAccepted: escapes in a number are undone, and names are as they are written.
func TestStoredRequestIsReadAsItWasAccepted(t *testing.T) {
	t.Parallel()
	got, err := storedRequest(apitypes.SendTransaction, []byte(`{"from":"a","gas":"\u0031000","value":"0\u0078ff","Value":"7","GAS":1,"params":null}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"Value":"7","GAS":1}`, string(got.Options))
	got.Options = nil
	require.Equal(t, &ffcapi.Request{From: "a", Gas: "1000", Value: "255"}, got.Request)
}
