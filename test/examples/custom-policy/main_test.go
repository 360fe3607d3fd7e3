package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/policy/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	t.Parallel()
	engine, err := newOfficeHours(0, 24, plugin.Env{})
	require.NoError(t, err)
	policytest.Run(t, func() policy.Engine { return engine })
}

func TestHours(t *testing.T) {
	t.Parallel()
	engine, err := newOfficeHours(8, 18, plugin.Env{})
	require.NoError(t, err)
	at := func(hour, minute int) policy.Decision {
		now := time.Date(2026, 1, 2, hour, minute, 0, 0, time.UTC)
		return engine.Decide(policy.View{Tx: policy.Tx{Phase: policy.Ready, Attempt: 1, Replaceable: true}, Now: now})
	}
	require.Equal(t, policy.Submit, at(8, 0).Do)
	require.Equal(t, policy.Submit, at(17, 59).Do)
	closed := at(18, 1)
	require.Equal(t, policy.Wait, closed.Do)
	require.Equal(t, 19, closed.Until.Hour())
	require.JSONEq(t, `{"asksAgain":"2026-01-02T19:00:00Z"}`, string(closed.State))
}

// TestBinary builds and runs the example: a transaction waits while the office is closed, and is sent when it is open.
func TestBinary(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "custom-policy")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	data := t.TempDir()

	c, stop := serve(t, binary, data, "-from", "24")
	_, _, err = c.Submit(t.Context(), &client.Invocation{ID: "a", From: "alice", To: "assets", Method: "create", Params: []any{"a", 1}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		tx, err := c.Transaction(t.Context(), "a", false)
		return err == nil && bytes.Contains(tx.PolicyInfo, []byte(`"asksAgain":"`)) && tx.Status == "Pending" && tx.FirstSubmit == nil
	}, 20*time.Second, 20*time.Millisecond)
	stop()

	c, _ = serve(t, binary, data, "-from", "0", "-to", "24")
	_, _, err = c.Submit(t.Context(), &client.Invocation{ID: "b", From: "bob", To: "assets", Method: "create", Params: []any{"b", 1}})
	require.NoError(t, err)
	tx, err := c.Await(t.Context(), "b", false, 20*time.Second)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status)
	require.JSONEq(t, `{}`, string(tx.PolicyInfo))
}

// serve starts the example and waits until it answers.
func serve(t *testing.T, binary, data string, args ...string) (c *client.Client, stop func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	require.NoError(t, l.Close())
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "PYRALIS_TRANSACTIONS_POLICY=office-hours", "PYRALIS_API_PORT="+port, "PYRALIS_STORE_SQLITE_PATH="+data)
	var log bytes.Buffer
	cmd.Stderr = &log
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		c.Close()
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), "%s", &log)
	}
	t.Cleanup(stop)
	c = client.New("http://127.0.0.1:" + port)
	require.Eventually(t, func() bool {
		_, err := c.Transaction(t.Context(), "nobody", false)
		return client.IsNotFound(err)
	}, 20*time.Second, 50*time.Millisecond)
	return c, stop
}
