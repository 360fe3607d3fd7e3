package node_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who sends the fields of older clients is told of those, not of the fields that they stand for.
func TestABadAliasIsNamedAsItWasSent(t *testing.T) {
	t.Parallel()
	n := start(t, config(t))
	call := func(method, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
	status, answer := call(http.MethodPost, "/eventstreams", `{"name":"s","batchTimeoutMS":604800000,"retryTimeoutSec":604800,"blockedRetryDelaySec":604800}`)
	require.Equal(t, http.StatusOK, status, answer)
	for body, want := range map[string]string{
		`"batchTimeoutMS":604800001`:               `batchTimeoutMS is 604800001: must be 0 to 604800000`,
		`"batchTimeoutMS":18446744073709551615`:    `batchTimeoutMS is 18446744073709551615: must be 0 to 604800000`,
		`"retryTimeoutSec":604801`:                 `retryTimeoutSec is 604801: must be 0 to 604800`,
		`"blockedRetryDelaySec":604801`:            `blockedRetryDelaySec is 604801: must be 1 to 604800`,
		`"blockedRetryDelaySec":0`:                 `blockedRetryDelaySec is 0: must be 1 to 604800`,
		`"retryTimeoutSec":0,"retryTimeout":"8d"`:  `retryTimeout is "8d": give a duration`,
		`"retryTimeoutSec":0,"retryTimeout":"-1s"`: `retryTimeout is -1s: must be 0s to 168h0m0s`,
	} {
		status, answer = call(http.MethodPost, "/eventstreams", `{"name":"other",`+body+`}`)
		require.Equal(t, http.StatusBadRequest, status, answer)
		require.Contains(t, strings.ReplaceAll(answer, `\"`, `"`), "PY10003: "+want)
		status, answer = call(http.MethodPatch, "/eventstreams/s", `{`+body+`}`)
		require.Equal(t, http.StatusBadRequest, status, answer)
		require.Contains(t, strings.ReplaceAll(answer, `\"`, `"`), "PY10003: "+want)
	}
}
