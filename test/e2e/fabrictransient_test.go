//go:build e2e && fabric

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

const (
	hush   = "tell-nobody-7d1f" // what only the chaincode may see
	hush64 = "dGVsbC1ub2JvZHktN2Qx"
)

// TestFabricTransientData: what a request has as transient data reaches the chaincode, and is nowhere else to be read: not in an answer, not in the
// log, not in a file, while the transaction waits and after it has ended.
func TestFabricTransientData(t *testing.T) {
	r := newFabricRig(t, fabricnet.Options{BatchTimeout: 100 * time.Millisecond})
	for _, endorseAt := range []string{"accept", "submit"} {
		t.Run(endorseAt, func(t *testing.T) { r.transientData(t, endorseAt) })
	}
}

func (r *fabricRig) transientData(t *testing.T, endorseAt string) {
	dir := t.TempDir()
	p := server.New(t, r.env("PYRALIS_FABRIC_ENDORSEAT="+endorseAt, "PYRALIS_STORE_SQLITE_PATH="+dir, "PYRALIS_LOG_LEVEL=trace"), "run")
	p.Start()
	hidden := func(what, text string) {
		t.Helper()
		require.NotContains(t, text, hush, what)
		require.NotContains(t, text, hush64, what)
	}
	everywhere := func(id string) {
		t.Helper()
		for _, path := range []string{
			"/transactions/" + id + "?history=true", "/transactions/" + id + "/history", "/transactions/" + id + "/receipt", "/transactions?limit=10",
		} {
			_, body := get(t, p.URL+path)
			hidden(path, body)
		}
		hidden("the log", p.Log())
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Greater(t, len(files), 1)
		for _, file := range files {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			require.False(t, bytes.Contains(b, []byte(hush)) || bytes.Contains(b, []byte(hush64)), "it is in %s", file)
		}
	}
	id := "put-" + endorseAt
	body := func(id, key string) string {
		return fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":"user1","to":"ch1/assets","method":"putTransient",`+
			`"params":[%q,"secret"],"transient":{"secret":%q}}`, id, key, hush)
	}

	require.NoError(t, r.net.KillNode(fabricnet.NodeOrderer))
	status, answer := post(t, p.URL, body(id, id))
	require.Equal(t, http.StatusAccepted, status, answer)
	hidden("the answer", answer)
	require.Eventually(t, func() bool {
		_, tx := get(t, p.URL+"/transactions/"+id)
		return strings.Contains(tx, `"errorMessage"`) // it was tried
	}, endWithin, 50*time.Millisecond)
	everywhere(id)
	p.Kill()
	p.Start() // what is encrypted is found again
	require.NoError(t, r.net.StartNode(t.Context(), fabricnet.NodeOrderer))
	require.NoError(t, r.net.WaitReady(t.Context()))
	require.Eventually(t, func() bool {
		_, tx := get(t, p.URL+"/transactions/"+id)
		return strings.Contains(tx, `"status":"Succeeded"`)
	}, endWithin, 50*time.Millisecond)
	everywhere(id)
	status, answer = post(t, p.URL, body(id, id))
	require.Equal(t, http.StatusAccepted, status, "the same request is known by its hash: %s", answer)

	// One that fails cannot be retried from here.
	wrong := strings.Replace(body("wrong-"+endorseAt, "wrong"), `"secret"]`, `"other"]`, 1)
	status, answer = post(t, p.URL, wrong)
	if endorseAt == "accept" {
		require.Equal(t, http.StatusUnprocessableEntity, status, answer)
		require.Contains(t, answer, `there is no transient value \"other\"`)
		require.Contains(t, answer, `"submissionRejected":true`)
		status, _ = get(t, p.URL+"/transactions/wrong-accept")
		require.Equal(t, http.StatusNotFound, status, "there is no record")
	} else {
		require.Equal(t, http.StatusAccepted, status, answer)
		require.Eventually(t, func() bool {
			_, tx := get(t, p.URL+"/transactions/wrong-submit")
			return strings.Contains(tx, `"status":"Failed"`) && strings.Contains(tx, `there is no transient value \"other\"`)
		}, endWithin, 50*time.Millisecond)
		everywhere("wrong-submit")
		status, answer = post(t, p.URL+"/transactions/wrong-submit/retry", `{}`)
		require.Equal(t, http.StatusConflict, status, answer)
		require.Contains(t, answer, "post it anew")
	}
	p.Interrupt()
	hidden("the log", p.Log())
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	return answerOf(t, http.MethodPost, url, strings.NewReader(body))
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	return answerOf(t, http.MethodGet, url, http.NoBody)
}

func answerOf(t *testing.T, method, url string, body io.Reader) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}
