package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// A disk that is full is answered with 503 and shown by the readiness; what was accepted before is kept, and what comes when there is
// room again is accepted.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("pyralis-test", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("a small file system cannot be mounted: run as root (%s)", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 8<<20), 0o600))
	n := start(t, config(t, "PYRALIS_STORE_SQLITE_PATH="+dir, "PYRALIS_DEVLEDGER_DURABLE=false", "PYRALIS_DEVLEDGER_BLOCKPERIOD=1h"))
	p := newPoster(t, n)
	large := strings.Repeat("x", 100<<10)
	post := func(id string) answer {
		return p.must(t, fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":"alice","to":"assets","method":"create","params":[%q,%q]}`, id, id, large))
	}
	var accepted []string
	var refused answer
	for i := range 200 {
		id := fmt.Sprintf("a%d", i)
		if refused = post(id); refused.status != http.StatusAccepted {
			break
		}
		accepted = append(accepted, id)
	}
	require.NotEmpty(t, accepted)
	require.Equal(t, http.StatusServiceUnavailable, refused.status, refused.body)
	require.Contains(t, refused.body, "PY10107")
	require.Contains(t, refused.body, `"submissionRejected":false`)
	status, body := get(t, n.URL()+"/status/ready")
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Contains(t, body, `"ready":false`)
	status, _ = get(t, n.URL()+"/status/live")
	require.Equal(t, http.StatusOK, status, "a restart would not help")

	require.NoError(t, os.Remove(ballast))
	require.Eventually(t, func() bool { return post("later").status == http.StatusAccepted }, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		ready, _ := n.Ready(context.WithoutCancel(t.Context()))
		return ready
	}, patience, 20*time.Millisecond)
	for i, id := range append(accepted, "later") {
		_, body := get(t, n.URL()+"/transactions/"+id)
		var tx apitypes.Transaction
		require.NoError(t, json.Unmarshal([]byte(body), &tx))
		require.Equal(t, id, tx.ID, "nothing is lost")
		require.EqualValues(t, i, tx.Nonce.Int64(), "no nonce is skipped")
	}
}
