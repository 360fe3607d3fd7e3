//go:build e2e && fabric

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// TestKillFabric is the kill test on a real Fabric network.
func TestKillFabric(t *testing.T) {
	net := startFabric(t, fabricnet.Options{Orgs: 2})
	r := &killRun{
		t: t,
		p: server.New(t, fabricEnv(net,
			"PYRALIS_STORE_SQLITE_PATH="+t.TempDir(), "PYRALIS_LOG_LEVEL=info", "PYRALIS_POLICIES_FABRIC_RESUBMITINTERVAL=2s"), "run"),
		to: "ch1/assets", from: func(int) string { return "user1" },
		filters: `{"channel":"ch1","chaincode":"assets","event":"AssetCreated"}`,
		kills:   server.Int(t, "E2E_KILLS", 20), clients: 10, interval: 50 * time.Millisecond,
	}
	r.run()
}

// TestReadmeFabric runs the README's words about Fabric.
func TestReadmeFabric(t *testing.T) {
	dir := cloneTree(t)
	sh := shell{t: t, dir: dir}
	blocks := readme(t, dir)["On Hyperledger Fabric"]
	require.Len(t, blocks, 2)
	sh.run("make build")
	up, run, found := strings.Cut(blocks[0], "\n")
	require.True(t, found)
	sh.run(up)
	defer sh.run("make fabric-down")
	server, stop := sh.background(run)
	defer stop()
	require.Eventually(t, func() bool { return strings.Contains(server(), "is ready") }, time.Minute, 50*time.Millisecond, "%s", lateText{server})
	require.Contains(t, sh.run(blocks[1]), `"id":"on-fabric"`)
	require.Eventually(t, func() bool {
		return strings.Contains(sh.run("curl -s http://127.0.0.1:5008/transactions/on-fabric"), `"status":"Succeeded"`)
	}, 30*time.Second, 200*time.Millisecond)
}
