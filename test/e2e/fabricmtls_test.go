//go:build e2e && fabric

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// TestFabricMutualTLS: a real peer wants a certificate of its clients. What is wrong with ours is said, by the doctor and by the node, and one that is renewed
// in its place is enough for transactions and their outcomes.
func TestFabricMutualTLS(t *testing.T) {
	r := newFabricRig(t, fabricnet.Options{BatchTimeout: 100 * time.Millisecond})
	require.NoError(t, r.net.RequireClientCertificate(t.Context(), fabricnet.NodePeer1))
	profile, err := os.ReadFile(r.net.Profile())
	require.NoError(t, err)
	c := &clinic{t: t, net: r.net, profile: string(profile), dir: t.TempDir()}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	place := func(certPEM, keyPEM []byte, err error) {
		t.Helper()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(key, keyPEM, 0o600))
		require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
	}
	show := func(want fabricnet.Certificate) {
		t.Helper()
		place(r.net.ClientCertificate(1, want))
	}

	// With it init finds out what it would without.
	show(fabricnet.Good)
	file := filepath.Join(dir, "pyralis.yaml")
	setUp := []string{"fabric", "init", "--profile", r.net.Profile(), "--wallet", r.net.Wallet(), "--out", file}
	out, err := exec.CommandContext(t.Context(), server.Binary(), setUp...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "--client-cert")
	out, err = exec.CommandContext(t.Context(), server.Binary(), append(setUp, "--client-cert", cert, "--client-key", key)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, check := range c.ask(file, "--chaincode", "assets").Checks {
		require.Equal(t, "ok", check.State, "%+v", check)
	}

	c.broken(c.config(""), "tls", "fabric.tls.clientCertificate")
	user := r.net.User(1)
	foreign, err := os.ReadFile(user.Cert)
	require.NoError(t, err)
	foreignKey, err := os.ReadFile(user.Key)
	place(foreign, foreignKey, err)
	c.broken(file, "tls", "the peer accepts those of")
	show(fabricnet.Expired)
	f := c.ask(file).FirstBroken
	require.Equal(t, "client certificate", f.Hop, "%+v", f)
	require.Contains(t, f.Detail, "expired on")

	p := server.New(t, []string{"PYRALIS_STORE_SQLITE_PATH=" + t.TempDir()}, "run", "-f", file)
	p.Launch()
	require.Eventually(t, func() bool { // a refusal after the handshake may be overtaken by the end of the connection
		if p.Status("/status/ready") == 0 {
			return false // it does not serve yet
		}
		status, body := get(t, p.URL+"/status/ready")
		require.Equal(t, http.StatusServiceUnavailable, status)
		return strings.Contains(body, "the client certificate (fabric.tls.clientCertificate) expired at ")
	}, endWithin, 50*time.Millisecond)
	show(fabricnet.Good)
	p.Ready()
	status, answer := post(t, p.URL, `{"headers":{"type":"SendTransaction","id":"mutual"},"from":"user1","to":"ch1/assets","method":"create","params":["mutual","1"]}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Eventually(t, func() bool {
		_, body := get(t, p.URL+"/transactions/mutual")
		var tx struct{ Status string }
		require.NoError(t, json.Unmarshal([]byte(body), &tx))
		return tx.Status == "Succeeded"
	}, endWithin, 50*time.Millisecond)
	p.Interrupt()
}
