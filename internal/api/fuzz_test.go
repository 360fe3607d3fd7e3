package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Whatever comes, the decoder neither panics nor sees something else than encoding/json would.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		someTransaction, coreInvoke, coreVersion, coreDeploy, coreSub, ``, `{}`, `[]`, `null`, `"`, `{"a":`, "{\"\\u0000\":{}}",
		`{"headers":{"type":"SendTransaction"},"from":"a","nonce":"0x1f","gas":1e3,"params":[[],{},"]",-1.5e-7 , true],"x":{"}":"{"},"x":null}`,
		"\t{ \"headers\" : { \"type\" : \"Query\" } , \"params\" : [ 1 , 2 ] }\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeCommand(body)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &want))
		s, err := c.submission(body)
		if err != nil {
			return
		}
		requireSame(t, want["method"], s.Method)
		requireSameText(t, want["from"], s.From)
		requireSameText(t, want["to"], s.To)
		if s.Params != nil {
			var params []json.RawMessage
			require.NoError(t, json.Unmarshal(want["params"], &params))
			require.Len(t, s.Params, len(params))
			for i := range params {
				requireSame(t, params[i], s.Params[i])
			}
		}
		requireSameOptions(t, want, s)
	})
}

func requireSameOptions(t *testing.T, want map[string]json.RawMessage, s *apitypes.Submission) {
	t.Helper()
	known := []string{"headers", "from", "to", "nonce", "gas", "value", "method", "params", "errors"}
	if s.Type == apitypes.DeployContract {
		known = append(known, "definition", "contract")
	}
	for _, name := range known {
		delete(want, name)
	}
	if s.Options == nil {
		require.Empty(t, want)
		return
	}
	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(s.Options, &got))
	require.Len(t, got, len(want))
	for name := range want {
		requireSame(t, want[name], got[name])
	}
}

func requireSame(t *testing.T, want, got json.RawMessage) {
	t.Helper()
	if string(want) == "null" {
		want = nil
	}
	if string(got) == "null" {
		got = nil
	}
	require.Equal(t, string(want), string(got))
}

func requireSameText(t *testing.T, want json.RawMessage, got string) {
	t.Helper()
	var s string
	if want != nil {
		require.NoError(t, json.Unmarshal(want, &s))
	}
	require.Equal(t, s, got)
}
