package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
)

const patience = 20 * time.Second

// output collects what a command prints while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// execute runs a command to its end.
func execute(ctx context.Context, args ...string) (stdout, stderr *output, err error) {
	stdout, stderr = &output{}, &output{}
	err = executeTo(ctx, stdout, stderr, args...)
	return stdout, stderr, err
}

func executeTo(ctx context.Context, stdout, stderr *output, args ...string) error {
	root := newRoot(builtin.Plugins())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func write(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pyralis.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return path
}

func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	for file, args := range map[string][]string{"config.md": {"config", "docs"}, "openapi.yaml": {"openapi"}} {
		have, err := os.ReadFile(filepath.Join("..", "..", file))
		require.NoError(t, err)
		stdout, stderr, err := execute(t.Context(), args...)
		require.NoError(t, err)
		require.Equal(t, string(have), stdout.String(), "%s is stale: run make generate", file)
		require.Empty(t, stderr.String())
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	fine := write(t, "api: {port: 5010}")
	stdout, _, err := execute(t.Context(), "config", "check", "-f", fine)
	require.NoError(t, err)
	require.Equal(t, fine+" is fine\n", stdout.String())

	for want, yaml := range map[string]string{
		"pyralis.yaml:1: api.prot: is no configuration key; the closest is api.port": "api: {prot: 80}",
		`connector: "ethereum" must be one of devledger, fabric`:                     "connector: ethereum",
		`transactions.policy: "patient" must be one of fabric, simple`:               "transactions: {policy: patient}",
		`fabric.mspID: must be set with "connector: fabric"`:                         "connector: fabric",
	} {
		stdout, _, err := execute(t.Context(), "config", "check", "-f", write(t, yaml))
		require.ErrorContains(t, err, want)
		require.Empty(t, stdout.String())
	}
	_, _, err = execute(t.Context(), "config", "check", "-f", filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "no such file")
	_, _, err = execute(t.Context(), "config", "check", "-f", write(t, "streams:\n  - name: a\n    listeners: [{name: l, fromBlok: 1}]"))
	require.EqualError(t, err, `streams[0].listeners[0].fromBlok is not a field of a listener: the closest is "fromBlock"`)
}

func TestVersion(t *testing.T) { //nolint:paralleltest // it changes what the linker sets
	stdout, _, err := execute(t.Context(), "version")
	require.NoError(t, err)
	require.NotEmpty(t, strings.TrimSpace(stdout.String()))
	before := Version
	Version = "v1.2.3"
	defer func() { Version = before }()
	stdout, _, err = execute(t.Context(), "version")
	require.NoError(t, err)
	require.Equal(t, "v1.2.3\n", stdout.String())
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`unknown command "rum"`:          {"rum"},
		"unknown flag: --prot":           {"dev", "--prot", "80"},
		"accepts 1 arg(s), received 0":   {"listen"},
		"unknown command \"x\"":          {"version", "x"},
		"nowhere.yaml: cannot be read":   {"run", "-f", "nowhere.yaml"},
		"api.port: 70000 must be from 0": {"dev", "--port", "70000"},
	} {
		stdout, _, err := execute(t.Context(), args...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.Empty(t, stdout.String())
	}
}

// dev runs a development node until the returned function is called, and returns where its API is.
func dev(t *testing.T, dir string, flags ...string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, stderr := &output{}, &output{}
	ended := make(chan error, 1)
	go func() {
		ended <- executeTo(ctx, stdout, stderr, append([]string{"dev", "--data", dir, "--port", "0"}, flags...)...)
	}()
	stop = func() {
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(cancel)
	require.Eventually(t, func() bool { return strings.Contains(stdout.String(), "history=true") || len(ended) > 0 }, patience, 5*time.Millisecond)
	_, rest, found := strings.Cut(stdout.String(), "Pyralis is ready at ")
	require.True(t, found, "%s", stdout)
	url, _, _ = strings.Cut(rest, " ")
	require.Contains(t, stdout.String(), "listen assets --url "+url, "a port of one's own is part of the command")
	return url, stop
}

func TestDevAndListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, stop := dev(t, dir)
	c := client.New(url)
	defer c.Close()
	_, _, err := c.Submit(t.Context(), &client.Invocation{ID: "my-first", From: "alice", To: "assets", Method: "create", Params: []any{"car-1", 1}})
	require.NoError(t, err)
	stdout, stderr, err := execute(t.Context(), "listen", "assets", "--url", url, "--count", "1")
	require.NoError(t, err)
	require.Contains(t, stderr.String(), "Listening to assets")
	require.Equal(t, 1, strings.Count(stdout.String(), "\n"))
	require.Contains(t, stdout.String(), `"signature":"AssetCreated"`)
	name, kind, from := "outcomes", apitypes.ListenerTransactions, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	_, err = c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name})
	require.NoError(t, err)
	_, err = c.CreateListener(t.Context(), name, &apitypes.Listener{Type: &kind, FromBlock: &from})
	require.NoError(t, err)
	stdout, _, err = execute(t.Context(), "listen", "outcomes", "--url", url, "--count", "1")
	require.NoError(t, err)
	require.Contains(t, stdout.String(), `{"id":"my-first","eventId":"devledger:transactions:`)
	_, _, err = execute(t.Context(), "listen", "nothing", "--url", url)
	require.True(t, client.IsNotFound(err), "%v", err)
	stop()

	url, stop = dev(t, dir) // the sample stream is there already
	again := client.New(url)
	defer again.Close()
	tx, err := again.Transaction(t.Context(), "my-first", false)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status)
	streams, err := again.Streams(t.Context(), 10, "")
	require.NoError(t, err)
	require.Len(t, streams, 2)
	stop()

	url, stop = dev(t, dir, "--fresh")
	fresh := client.New(url)
	defer fresh.Close()
	_, err = fresh.Transaction(t.Context(), "my-first", false)
	require.True(t, client.IsNotFound(err), "%v", err)
	stop()
}

// A listener that was told to end has nothing to complain about.
func TestListenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url, stop := dev(t, t.TempDir())
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, stderr := &output{}, &output{}
	ended := make(chan error, 1)
	go func() { ended <- executeTo(ctx, stdout, stderr, "listen", "assets", "--url", url) }()
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "Listening") }, patience, 5*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Empty(t, stdout.String())
}

// Nothing will ever come of a stream that is gone.
func TestListenEndsWithItsStream(t *testing.T) {
	t.Parallel()
	url, stop := dev(t, t.TempDir())
	defer stop()
	_, _, err := execute(t.Context(), "listen", "assets", "--url", url, "--window", "5000")
	require.ErrorContains(t, err, "window is 5000")
	stderr := &output{}
	ended := make(chan error, 1)
	go func() { ended <- executeTo(t.Context(), &output{}, stderr, "listen", "assets", "--url", url) }()
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "Listening") }, patience, 5*time.Millisecond)
	c := client.New(url)
	defer c.Close()
	require.NoError(t, c.DeleteStream(t.Context(), "assets"))
	select {
	case err := <-ended:
		require.ErrorIs(t, err, client.ErrUnlistened)
		require.ErrorContains(t, err, "stream assets")
	case <-time.After(patience):
		require.FailNow(t, "it goes on")
	}
}
