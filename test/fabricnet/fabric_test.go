//go:build fabric

package fabricnet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start brings a network up and takes it down with the test.
func start(t *testing.T, o Options) *Network {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Log = t.Logf
	n, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	require.NoError(t, n.Start(t.Context()))
	return n
}

// pids returns the processes of a running network.
func pids(n *Network) []int {
	var out []int
	for name := range n.Nodes() {
		out = append(out, n.PID(name))
	}
	return out
}

func TestFabricSubmitKillRecover(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{Orgs: 2}), t.Context()
	require.Len(t, n.Nodes(), 4)
	require.NoError(t, n.Invoke(ctx, "create", "a", `{"c":"red"}`))
	for organisation := 1; organisation <= 2; organisation++ {
		require.Eventually(t, func() bool { // the peer that did not wait for the commit may be a moment behind
			out, err := n.Query(ctx, organisation, "read", "a")
			return err == nil && out == `{"id":"a","value":{"c":"red"},"owner":"Org1MSP/Admin@org1.test"}`
		}, 10*time.Second, 50*time.Millisecond)
	}
	require.ErrorContains(t, n.Invoke(ctx, "fail", "on purpose"), "on purpose")
	_, err := n.Query(ctx, 1, "read", "b")
	require.ErrorContains(t, err, "asset b not found")

	require.ErrorContains(t, n.StartNode(ctx, NodePeer2), "is running")
	for _, node := range []string{NodePeer2, NodeChaincode, NodeOrderer} {
		pid := n.PID(node)
		require.NoError(t, n.KillNode(node))
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		require.False(t, n.Nodes()[node])
		require.Error(t, n.Invoke(ctx, "create", "x-"+node, "1"), "both organisations, the chaincode and the orderer are needed")
		require.NoError(t, n.StartNode(ctx, node))
		require.NoError(t, n.WaitReady(ctx), node)
	}
	require.NoError(t, n.StopNode(NodePeer1))
	require.NoError(t, n.StopNode(NodePeer1), "stopping a node that is down is fine")
	require.NoError(t, n.StartNode(ctx, NodePeer1))
	require.NoError(t, n.WaitReady(ctx))
	require.NoError(t, n.Invoke(ctx, "transfer", "a", "Org2MSP/bob"))

	all := pids(n)
	require.NoError(t, n.Stop())
	for _, pid := range all {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	}
	require.NoError(t, n.Stop())
}

func TestFabricTwoPeersOfAnOrganisation(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{Orgs: 2, PeersPerOrg: 2}), t.Context()
	require.Len(t, n.Nodes(), 6)
	has := func(node, id string) func() bool {
		return func() bool {
			_, err := n.PeerOn(ctx, node, "chaincode", "query", "-C", Channel, "-n", Chaincode, "-c", `{"Args":["read","`+id+`"]}`)
			return err == nil
		}
	}
	require.NoError(t, n.Invoke(ctx, "create", "a", "1"))
	second := PeerNode(2, 1)
	for _, node := range []string{NodePeer1, PeerNode(1, 1), NodePeer2, second} {
		require.Eventually(t, has(node, "a"), 30*time.Second, 50*time.Millisecond, node)
	}
	require.NoError(t, n.KillNode(second))
	require.False(t, n.Nodes()[second])
	require.NoError(t, n.Invoke(ctx, "create", "b", "1"), "one peer of each organisation is enough")
	require.NoError(t, n.StartNode(ctx, second))
	require.NoError(t, n.WaitReady(ctx))
	require.Eventually(t, has(second, "b"), 30*time.Second, 50*time.Millisecond, "what it missed, it fetches")

	require.NoError(t, n.Stop())
	require.NoError(t, n.Start(ctx))
	require.Len(t, n.Nodes(), 6)
	require.True(t, has(PeerNode(1, 1), "b")())
}

// TestFabricProxies dials a peer as a client of the connection profile does.
func TestFabricProxies(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{Proxy: true}), t.Context()
	p, err := n.peer(NodePeer1)
	require.NoError(t, err)
	shake := func(limit time.Duration) error {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: limit}, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
		conn, err := d.DialContext(ctx, "tcp", address(p.Ports.Proxy))
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	require.NoError(t, shake(30*time.Second))
	require.NoError(t, n.Cut(NodePeer1))
	require.Error(t, shake(30*time.Second))
	require.NoError(t, n.Silence(NodePeer1))
	require.ErrorIs(t, shake(300*time.Millisecond), context.DeadlineExceeded)
	require.NoError(t, n.Delay(NodePeer1, 50*time.Millisecond))
	require.NoError(t, shake(30*time.Second))
	require.NoError(t, n.Heal(NodePeer1))
	require.NoError(t, shake(30*time.Second))
	require.ErrorContains(t, n.Heal(NodeOrderer), "no proxy")
	require.NoError(t, n.Invoke(ctx, "create", "a", "1"), "nobody else goes through a proxy")

	require.NoError(t, n.Stop())
	require.Error(t, shake(30*time.Second))
	require.NoError(t, n.Start(ctx))
	require.NoError(t, shake(30*time.Second), "on the same port, which is in the profile")
}

// TestFabricPlainFunctions calls what the contract has for tests through the real shim.
func TestFabricPlainFunctions(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{}), t.Context()
	require.NoError(t, n.Invoke(ctx, "incr", "n"))
	require.NoError(t, n.Invoke(ctx, "putMany", `[{"key":"a","value":"not JSON"},{"key":"b","value":"1"},{"key":"b","delete":true}]`))
	out, err := n.Query(ctx, 1, "list")
	require.NoError(t, err)
	require.Equal(t, `["not JSON",1]`, out)

	call := func(function string, args ...string) (string, error) {
		args = append([]string{
			"chaincode", "invoke", "-C", Channel, "-n", Chaincode, "--waitForEvent", "-c", function}, args...)
		return n.Peer(ctx, 1, append(args, append(n.ordererFlags(), n.peerFlags()...)...)...)
	}
	_, err = call(`{"Args":["putTransient","a","v"]}`)
	require.ErrorContains(t, err, "there is no transient value")
	_, err = call(`{"Args":["putTransient","a","v"]}`, "--transient", `{"v":"YWJj"}`)
	require.NoError(t, err)
	out, err = n.Query(ctx, 1, "list")
	require.NoError(t, err)
	require.Equal(t, `["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",1]`, out, "SHA-256 of abc")

	require.Error(t, n.Invoke(ctx, "panic"))
	require.Eventually(t, func() bool { return !n.Nodes()[NodeChaincode] }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, n.StartNode(ctx, NodeChaincode))
	require.NoError(t, n.WaitReady(ctx))
}

func TestFabricSlowChannel(t *testing.T) {
	t.Parallel()
	n, ctx := start(t, Options{Channels: []ChannelOptions{{Name: "slow", BatchTimeout: 2 * time.Second, MaxMessageCount: 3}}}), t.Context()
	height := func() int {
		out, err := n.Peer(ctx, 1, "channel", "getinfo", "-c", "slow")
		require.NoError(t, err)
		var info struct{ Height int }
		require.NoError(t, json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &info))
		return info.Height
	}
	invoke := func(key string) error {
		args := []string{"chaincode", "invoke", "-C", "slow", "-n", Chaincode, "--waitForEvent", "-c", `{"Args":["put","` + key + `","1"]}`}
		_, err := n.Peer(ctx, 1, append(args, append(n.ordererFlags(), n.peerFlags()...)...)...)
		return err
	}
	before := height()
	began := time.Now()
	require.NoError(t, invoke("a"))
	require.GreaterOrEqual(t, time.Since(began), time.Second, "the orderer waits for more")
	require.NoError(t, each([]string{"b", "c", "d"}, invoke))
	require.Equal(t, before+2, height(), "three fill a block")
	out, err := n.Query(ctx, 1, "list")
	require.NoError(t, err)
	require.Equal(t, "[]", out, "the channels have ledgers of their own")
}

func TestFabricTwoNetworksAndRestart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a, b := start(t, Options{}), start(t, Options{})
	require.NoError(t, a.Invoke(ctx, "create", "only-a", "1"))
	_, err := b.Query(ctx, 1, "read", "only-a")
	require.ErrorContains(t, err, "not found", "the networks know nothing of each other")

	require.NoError(t, a.Stop())
	require.NoError(t, b.Invoke(ctx, "create", "still-up", "1"))
	require.NoError(t, a.Start(ctx))
	out, err := a.Query(ctx, 1, "read", "only-a")
	require.NoError(t, err, "the ledger is still there")
	require.Contains(t, out, "only-a")

	require.NoError(t, a.Stop())
	fresh := start(t, Options{Dir: a.Dir(), Fresh: true})
	_, err = fresh.Query(ctx, 1, "read", "only-a")
	require.ErrorContains(t, err, "not found")
}

// childDir makes TestFabricNetworkDiesWithItsOwner's second process known.
const childDir = "FABRICNET_TEST_CHILD_DIR"

// TestFabricNetworkDiesWithItsOwner kills a program that runs a network, and sees the network gone.
func TestFabricNetworkDiesWithItsOwner(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		n, err := New(Options{Dir: dir})
		require.NoError(t, err)
		require.NoError(t, n.Start(t.Context()))
		b, err := json.Marshal(pids(n))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pids.new"), b, 0o644))
		require.NoError(t, os.Rename(filepath.Join(dir, "pids.new"), filepath.Join(dir, "pids")))
		<-t.Context().Done() // until killed
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFabricNetworkDiesWithItsOwner$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended }) // it may have ended already
	require.Eventually(t, func() bool { return isFile(filepath.Join(dir, "pids")) }, 5*time.Minute, 50*time.Millisecond)
	b, err := os.ReadFile(filepath.Join(dir, "pids"))
	require.NoError(t, err)
	var all []int
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 3)
	for _, pid := range all {
		require.False(t, dead(pid))
	}
	require.NoError(t, cmd.Process.Kill())
	for _, pid := range all {
		require.Eventually(t, func() bool { return dead(pid) }, 10*time.Second, 10*time.Millisecond)
	}
}

// dead tells whether a process that is not a child of this one has ended; nobody may be there to reap it.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}
