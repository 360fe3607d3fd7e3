//go:build e2e && fabric

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// clinic is a Fabric network, and configurations for it with one thing wrong each.
type clinic struct {
	t       *testing.T
	net     *fabricnet.Network
	profile string // the good one
	dir     string
}

// finding is what the doctor prints about a hop.
type finding struct{ Peer, Channel, Hop, State, Detail, Fix string }

type report struct {
	OK          bool
	FirstBroken finding
	Checks      []finding
}

// config writes a configuration with a profile in which something was replaced, and another wallet if one is given.
func (c *clinic) config(wallet string, replace ...string) string {
	c.t.Helper()
	dir, err := os.MkdirTemp(c.dir, "")
	require.NoError(c.t, err)
	text := strings.NewReplacer(replace...).Replace(c.profile)
	if len(replace) > 0 {
		require.NotEqual(c.t, c.profile, text, "%q is in the profile", replace[0])
	}
	profile := filepath.Join(dir, "connection.yaml")
	require.NoError(c.t, os.WriteFile(profile, []byte(text), 0o600))
	if wallet == "" {
		wallet = c.net.Wallet()
	}
	b, err := json.Marshal(map[string]any{"connector": "fabric", "fabric": map[string]any{
		"profile": profile, "mspID": "Org1MSP", "channels": []string{"ch1"}, "wallet": wallet, "identity": "user1",
	}})
	require.NoError(c.t, err)
	file := filepath.Join(dir, "pyralis.yaml")
	require.NoError(c.t, os.WriteFile(file, b, 0o600))
	return file
}

// ask runs the doctor, which has 10 s.
func (c *clinic) ask(file string, flags ...string) (r report) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, server.Binary(), append([]string{"fabric", "doctor", "--json", "-f", file}, flags...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(c.t, ctx.Err(), "%s", out.String())
	require.NoError(c.t, json.Unmarshal(out.Bytes(), &r), "%s%s", out.String(), errs.String())
	var exit *exec.ExitError
	require.Equal(c.t, r.OK, err == nil)
	if err != nil {
		require.ErrorAs(c.t, err, &exit)
		require.Equal(c.t, 1, exit.ExitCode())
	}
	return r
}

// broken expects the doctor to name a hop.
func (c *clinic) broken(file, hop, words string, flags ...string) {
	c.t.Helper()
	r := c.ask(file, flags...)
	require.False(c.t, r.OK)
	require.Equal(c.t, hop, r.FirstBroken.Hop, "%+v", r.FirstBroken)
	require.Contains(c.t, r.FirstBroken.Detail+" / "+r.FirstBroken.Fix, words)
	require.NotEmpty(c.t, r.FirstBroken.Fix)
	if hop != "identity" {
		require.Equal(c.t, "peer0.org1.test", r.FirstBroken.Peer)
	}
	c.t.Logf("%s: %s; %s", hop, r.FirstBroken.Detail, r.FirstBroken.Fix)
}

// TestFabricDoctor breaks the way to a real network in one place after the other. Each time the doctor names it within 10 s.
func TestFabricDoctor(t *testing.T) {
	n, ctx := startFabric(t, fabricnet.Options{Orgs: 2}), t.Context()
	profile, err := os.ReadFile(n.Profile())
	require.NoError(t, err)
	c := &clinic{t: t, net: n, profile: string(profile), dir: t.TempDir()}
	good := c.config("")

	height := func() string {
		for _, check := range c.ask(good).Checks {
			if check.Hop == "channel" {
				return check.Detail
			}
		}
		return ""
	}
	before := height()
	var r report
	require.Eventually(t, func() bool { r = c.ask(good, "--chaincode", "assets"); return r.OK }, time.Minute, time.Second) // gossip takes a moment to find endorsers
	for _, check := range r.Checks {
		require.Equal(t, "ok", check.State, "%+v", check)
	}
	require.Equal(t, before, height(), "nothing that the doctor does gets into a block")

	_, address, found := strings.Cut(c.profile, "url: grpcs://")
	require.True(t, found)
	address, _, _ = strings.Cut(address, "\n")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	closed := closedPort(t)

	c.broken(c.config("", address, closed), "tcp", "nothing listens at "+closed)
	c.broken(c.config("", address, "no-such-host.invalid:"+port), "dns", "no-such-host.invalid")
	c.broken(c.config("", "grpcs://"+address, "grpc://"+address), "grpc", "grpcs://")
	c.broken(c.config("", certificateOf(t, c.profile, 0), certificateOf(t, c.profile, 1)), "tls", "not trusted")
	c.broken(good, "channel", "has joined ch1", "--channel", "nowhere")
	c.broken(good, "chaincode", "the channel has assets", "--chaincode", "ghost")
	c.broken(good, "identity", "user1", "--identity", "nobody")

	wallet := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(wallet, "user1"), os.DirFS(filepath.Join(n.Wallet(), "user2"))))
	require.NoError(t, os.WriteFile(filepath.Join(wallet, "user1", "mspid"), []byte("Org1MSP"), 0o600))
	c.broken(c.config(wallet), "msp", "ca.org2.test")
	require.NoError(t, n.AddExpiredIdentity(1, "old"))
	c.broken(good, "identity", "expired", "--identity", "old")

	require.NoError(t, n.Signal(fabricnet.NodePeer1, syscall.SIGSTOP))
	c.broken(good, "tls", "says nothing")
	require.NoError(t, n.Signal(fabricnet.NodePeer1, syscall.SIGCONT))
	require.NoError(t, n.Signal(fabricnet.NodeChaincode, syscall.SIGSTOP))
	c.broken(good, "execute", "assets does not answer", "--chaincode", "assets")
	require.NoError(t, n.Signal(fabricnet.NodeChaincode, syscall.SIGCONT))
	require.NoError(t, n.KillNode(fabricnet.NodeOrderer))
	c.broken(good, "orderer", "reaches no orderer")

	require.NoError(t, n.ServeCertificate(ctx, fabricnet.NodePeer1, fabricnet.OtherHost))
	c.broken(good, "tls", "elsewhere.test")
	require.NoError(t, n.ServeCertificate(ctx, fabricnet.NodePeer1, fabricnet.Expired))
	c.broken(good, "tls", "expired on")
}

// closedPort is an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

// certificateOf is the text of one of the certificates in a profile.
func certificateOf(t *testing.T, profile string, index int) string {
	t.Helper()
	const begin = "-----BEGIN CERTIFICATE-----"
	parts := strings.Split(profile, begin)
	require.Greater(t, len(parts), index+1)
	body, _, found := strings.Cut(parts[index+1], "-----END")
	require.True(t, found)
	return begin + body
}

// TestFabricInit sets Pyralis up for a real network in both ways, and submits a transaction with what was written.
func TestFabricInit(t *testing.T) {
	n := startFabric(t, fabricnet.Options{})
	profile, err := os.ReadFile(n.Profile())
	require.NoError(t, err)
	_, address, found := strings.Cut(string(profile), "url: ")
	require.True(t, found)
	address, _, _ = strings.Cut(address, "\n")
	msp := filepath.Dir(filepath.Dir(n.User(1).Cert))

	for name, flags := range map[string][]string{
		"profile":    {"--profile", n.Profile(), "--wallet", n.Wallet()},
		"MSP folder": {"--msp", msp, "--peer", address},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			command := func(args ...string) (string, error) {
				cmd := exec.CommandContext(t.Context(), server.Binary(), args...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			out, err := command(append([]string{"fabric", "init"}, flags...)...)
			require.NoError(t, err, "%s", out)
			require.Contains(t, out, "fabric doctor")
			out, err = command(append([]string{"fabric", "init"}, flags...)...)
			require.Error(t, err)
			require.Contains(t, out, "--force")
			out, err = command("fabric", "doctor")
			require.NoError(t, err, "%s", out)

			file, err := os.ReadFile(filepath.Join(dir, "pyralis.yaml"))
			require.NoError(t, err)
			require.Contains(t, string(file), `mspID: "Org1MSP"`)
			require.Contains(t, string(file), `channels: ["ch1"]`)
			p := server.New(t, []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()}, "run", "-f", filepath.Join(dir, "pyralis.yaml"))
			p.Start()
			identity := "user1"
			if name != "profile" {
				identity = filepath.Base(filepath.Dir(msp))
			}
			id := strings.ReplaceAll(name, " ", "-")
			out, err = command("tx", "submit", "--url", p.URL, "--id", id, "--from", identity, "--to", "ch1/assets", "--method", "create", "--param", id, "--param", "{}", "--wait", "60s")
			require.NoError(t, err, "%s", out)
		})
	}
}
