package api

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	// The rig's requests take 30 s, and a minute at most.
	for _, c := range []struct {
		wait, header string
		want, within time.Duration
	}{
		{"10s", "", 10 * time.Second, 40 * time.Second},
		{"10", "", 10 * time.Second, 40 * time.Second},
		{"50s", "", 50 * time.Second, time.Minute},
		{"1h", "", 59 * time.Second, time.Minute},
		{"10s", "Request-Timeout: 8s", 7 * time.Second, 8 * time.Second},
		{"10s", "Request-Timeout: 2s", 1500 * time.Millisecond, 2 * time.Second},
		{"10ms", "Request-Timeout: 2s", 10 * time.Millisecond, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig()
			headers := []string{}
			if c.header != "" {
				headers = append(headers, c.header)
			}
			w := g.do(t, "GET /transactions/a?wait="+c.wait, "", headers...)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.Equal(t, c.want, g.tx.asked, c)
			require.Equal(t, c.within, g.tx.within, c)
		})
	}
	for _, bad := range []string{"", "soon", "-1s"} {
		w := newRig().do(t, "GET /transactions/a?wait="+bad, "")
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "PY10006: query parameter wait is")
	}
	g := newRig()
	w := g.do(t, "GET /transactions/a?wait=0", "")
	require.Equal(t, http.StatusNotFound, w.Code, "no waiting")
	require.Nil(t, g.tx.asked)

	g.tx.err = apitypes.ErrTooManyWaiting
	w = g.do(t, "GET /transactions/a?wait=1s", "")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Contains(t, w.Body.String(), "PY10130")
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}
