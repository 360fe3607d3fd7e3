package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asCommand makes the test binary behave as the command: up starts itself again.
const asCommand = "FABRICNET_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	for want, args := range map[string][]string{
		`unknown command "sideways"`:      {"sideways"},
		`unexpected argument "now"`:       {"up", "now"},
		"flag provided but not defined":   {"up", "--organisations", "2"},
		"no network is running in " + dir: {"status", "--dir", dir},
	} {
		require.ErrorContains(t, run(t.Context(), args, &bytes.Buffer{}), want)
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"down", "--dir", dir}, &out), "down is what was asked for")
	require.Contains(t, out.String(), "no network is running")
	_, err := os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "asking creates nothing")
}

func TestDownWaitsForAReport(t *testing.T) {
	t.Parallel()
	c := command{dir: t.TempDir(), out: &bytes.Buffer{}}
	f, held, err := lockFile(c.lockPath())
	require.NoError(t, err)
	require.False(t, held)
	defer f.Close()
	up, err := c.running()
	require.NoError(t, err)
	require.True(t, up)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, c.down(ctx), "has not reported", "nobody to signal is not a success")
}

// runCommand runs the test binary as the command.
func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestUpRefusesBadOptions(t *testing.T) {
	t.Parallel()
	out, err := runCommand(t, "up", "--dir", t.TempDir(), "--orgs", "3")
	require.Error(t, err)
	require.Contains(t, out, "Orgs is 3, want 1 or 2")
}
