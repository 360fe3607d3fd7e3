package amazon_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// endpoint is a server that answers every call that sends with body.
func endpoint(t *testing.T, tls bool, body string) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if strings.Contains(r.Header.Get("X-Amz-Target"), "GetQueueAttributes") {
			body := `{"Attributes":{}}`
			_, _ = io.WriteString(w, body)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	srv.EnableHTTP2 = tls
	if tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

// Whatever an endpoint answers, it delivers nothing, ends no process and fills no memory.
func TestAnswersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no id": `{"Successful":[{}],"Failed":[{}]}`, "null": `null`, "entries are null": `{"Successful":[null],"Failed":[null]}`, "list": `[]`, "empty": ``,
		"endless": strings.Repeat(" ", 8<<20) + `{"Successful":[{"Id":"0","MessageId":"1"}],"Failed":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, queues)
			s := r.open("http://x/1/q", fmt.Sprintf(`"endpoint":%q`, endpoint(t, false, body).URL))
			for range 2 { // the slot is free again
				require.Error(t, send(t, s, batch(1, "a")))
			}
		})
	}
}

// An endpoint may speak HTTP/2; its certificate is vouched for by what the machine's settings name.
func TestTLS(t *testing.T) {
	srv := endpoint(t, true, `{"Successful":[{"Id":"0","MessageId":"1"}],"Failed":[]}`)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	r := newRig(t, queues)
	s := r.open("http://x/1/q", fmt.Sprintf(`"endpoint":%q`, srv.URL))
	require.ErrorContains(t, send(t, s, batch(1, "a")), "certificate")
	t.Setenv("AWS_CA_BUNDLE", file)
	require.NoError(t, send(t, s, batch(1, "a")))
}
