package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func TestFabricDoctorTellsOfABrokenConfiguration(t *testing.T) {
	t.Parallel()
	stdout, _, err := execute(t.Context(), "fabric", "doctor", "-f", write(t, "connector: fabric\nfabric: {mspID: Org1MSP, walet: x}"))
	require.ErrorIs(t, err, errBroken)
	require.Contains(t, stdout.String(), "The first broken hop is configuration")
	require.Contains(t, stdout.String(), "fabric.walet")

	stdout, _, err = execute(t.Context(), "fabric", "doctor", "--json", "-f", write(t, "{connector: fabric, fabric: {profile: nowhere.yaml, mspID: Org1MSP, channels: [c], wallet: nowhere, identity: i}}"))
	require.ErrorIs(t, err, errBroken)
	var got struct {
		OK          bool
		FirstBroken struct{ Hop, State, Detail string }
		Checks      []struct{ Hop, State string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout.String()), &got))
	require.False(t, got.OK)
	require.Equal(t, "peers", got.FirstBroken.Hop)
	require.Contains(t, got.FirstBroken.Detail, "nowhere.yaml")
	require.Len(t, got.Checks, 3)

	_, _, err = execute(t.Context(), "fabric", "doctor", "-f", write(t, "connector: devledger"))
	require.ErrorContains(t, err, "there is no Fabric network to examine")
}

func TestDiagnosisIsShort(t *testing.T) {
	t.Parallel()
	d := diagnosis{took: 1500 * time.Millisecond, checks: []plugin.Check{
		{Hop: "peers", State: plugin.CheckOK, Detail: "one", Took: 2 * time.Millisecond},
		{Peer: "p", Hop: "tls", State: plugin.CheckWarning, Detail: "soon", Fix: "renew it", Took: 3 * time.Millisecond},
		{Peer: "p", Hop: "tcp", State: plugin.CheckFailed, Detail: "no\x1b[31m answer", Fix: "start it", Took: 4 * time.Millisecond},
		{Peer: "p", Hop: "grpc", State: plugin.CheckSkipped, Detail: "after tcp"},
		{Peer: "p", Ledger: "ch1", Hop: "channel", State: plugin.CheckSkipped, Detail: "after tcp"},
		{Peer: "q", Hop: "tls", State: plugin.CheckSkipped, Detail: "after tcp"},
	}}
	var out bytes.Buffer
	require.NoError(t, d.write(&out))
	require.Equal(t, `ok       peers                2ms  one
warning  p tls                3ms  soon
                                   → renew it
FAILED   p tcp                4ms  no [31m answer
skipped  p grpc, channel ch1       after tcp
skipped  q tls                     after tcp

The first broken hop is p tcp: no [31m answer
What may help: start it
`, out.String(), "what a peer says does not command the terminal")
	d.checks = d.checks[:2]
	out.Reset()
	require.NoError(t, d.write(&out))
	require.Contains(t, out.String(), "It works: 2 hops in 1.5s, 1 with a warning")
	d.checks = d.checks[:1]
	out.Reset()
	require.NoError(t, d.write(&out))
	require.Contains(t, out.String(), "All is well: 1 hops in 1.5s")
}

func TestFabricInitSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	profile, out := filepath.Join(dir, "connection.yaml"), filepath.Join(dir, "pyralis.yaml")
	require.NoError(t, os.WriteFile(profile, []byte("organizations: {A: {mspid: AMSP, peers: []}, B: {mspid: BMSP, peers: []}}"), 0o600))
	for words, args := range map[string][]string{
		"--profile: name a connection profile":     {},
		"--peer: the peers are those of --profile": {"--profile", profile, "--peer", "grpc://x:1", "--wallet", dir},
		"--wallet: name a folder with identities":  {"--profile", profile},
		"--profile: there is no nowhere.yaml":      {"--profile", "nowhere.yaml", "--wallet", dir},
		"--msp: there is no nowhere":               {"--profile", profile, "--msp", "nowhere"},
		"--wallet: there is no identity in it":     {"--profile", profile, "--wallet", dir},
	} {
		_, _, err := execute(t.Context(), append([]string{"fabric", "init", "--out", out}, args...)...)
		require.ErrorContains(t, err, words)
	}
	_, err := os.Stat(out)
	require.ErrorIs(t, err, os.ErrNotExist, "nothing is written that does not work")

	require.NoError(t, os.WriteFile(out, []byte("mine"), 0o600))
	_, _, err = execute(t.Context(), "fabric", "init", "--out", out, "--profile", profile, "--wallet", dir)
	require.ErrorContains(t, err, "--force")
	kept, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "mine", string(kept))
}
