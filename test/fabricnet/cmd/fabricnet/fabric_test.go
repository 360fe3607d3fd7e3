//go:build fabric

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFabricUpStatusDown(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() { // whatever fails above, nothing stays behind
		out, err := runCommand(t, "down", "--dir", dir)
		require.NoError(t, err, out)
	})
	ok := func(args ...string) string {
		t.Helper()
		out, err := runCommand(t, append(args, "--dir", dir)...)
		require.NoError(t, err, out)
		return out
	}
	require.Contains(t, ok("up", "--orgs", "2"), "network is up")
	require.Contains(t, ok("up", "--orgs", "2"), "already running")
	require.Regexp(t, `peer0\.org2 +\d+ running`, ok("status"))
	c := command{dir: dir}
	r, err := c.readReport()
	require.NoError(t, err)
	require.Len(t, r.Nodes, 4)
	for _, file := range []string{"connection.yaml", "pyralis.yaml", "wallet/user1/key.pem", "wallet/user2/mspid"} {
		_, err := os.Stat(filepath.Join(dir, file))
		require.NoError(t, err)
	}
	require.Contains(t, ok("down"), "network is down")
	for _, pid := range r.Nodes {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "process %d", pid)
	}
	_, err = runCommand(t, "status", "--dir", dir)
	require.Error(t, err)

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "pyralis-data"), 0o755))
	require.Contains(t, ok("up", "--orgs", "2"), "network is up", "a second start goes on with the old ledger")
	_, err = os.Stat(filepath.Join(dir, "pyralis-data"))
	require.NoError(t, err, "the data belongs to that ledger")
	ok("down")
	require.Contains(t, ok("up", "--orgs", "1", "--fresh"), "network is up")
	_, err = os.Stat(filepath.Join(dir, "pyralis-data"))
	require.ErrorIs(t, err, os.ErrNotExist, "data of another ledger would be of no use")
}
