package node_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Bad input is refused with a code that tells the cause, and nothing of it is kept.
func TestRefusals(t *testing.T) {
	t.Parallel()
	n := start(t, config(t))
	p := newPoster(t, n)
	require.Equal(t, http.StatusAccepted, p.must(t, createBody("first")).status)
	send := func(headers, fields string) string {
		return `{"headers":{"type":"SendTransaction"` + headers + `},"from":"alice","to":"assets","method":"create","params":["x",1]` + fields + `}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"long key":      {send(`,"id":"`+strings.Repeat("k", 257)+`"`, ""), 400, "PY10003: headers.id"},
		"binary key":    {send(`,"id":"a\u0000b"`, ""), 400, "PY10003: headers.id"},
		"key with é":    {send(`,"id":"é"`, ""), 400, "PY10003: headers.id"},
		"from a number": {`{"headers":{"type":"SendTransaction"},"from":7}`, 400, "PY10003: from"},
		"nonce a word":  {send("", `,"nonce":"many"`), 400, "PY10003: nonce"},
		"nonce taken":   {send("", `,"nonce":0`), 0, "PY10"},
		"nonce too far": {send("", `,"nonce":"1000"`), 0, "PY10"},
		"nested":        {send("", `,"errors":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)), 400, "PY10002"},
		"huge":          {send("", `,"errors":["`+strings.Repeat("x", 5<<20)+`"]`), 413, "PY10010"},
		"nested, huge":  {strings.Repeat(`[`, 10<<20), 413, "PY10010"},
	} {
		a := p.must(t, c.body)
		if c.status == 0 {
			require.GreaterOrEqual(t, a.status, 400, name)
			require.Less(t, a.status, 500, name)
			require.NotEqual(t, http.StatusConflict, a.status, "a FireFly client takes 409 for accepted")
		} else {
			require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
		}
		require.Contains(t, a.body, c.code, name)
		require.Contains(t, a.body, `"submissionRejected":true`, name)
	}
	list, err := api(t, n).Transactions(t.Context(), apitypes.TransactionFilter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestTooManyPending(t *testing.T) {
	t.Parallel()
	n := start(t, config(t, "PYRALIS_TRANSACTIONS_MAXPENDING=3", "PYRALIS_DEVLEDGER_BLOCKPERIOD=1h"))
	p := newPoster(t, n)
	for i := range 3 {
		require.Equal(t, http.StatusAccepted, p.must(t, createBody(fmt.Sprintf("a%d", i))).status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+"/", strings.NewReader(createBody("b")))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	a := p.must(t, createBody("a1"))
	require.Equal(t, http.StatusAccepted, a.status, "what was accepted is answered still")
	require.True(t, a.replay)
}
