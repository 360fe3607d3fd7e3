package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
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
	_, _, err = execute(t.Context(), "fabric", "doctor")
	require.ErrorContains(t, err, "there is no pyralis.yaml here")
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
		"--tls-ca: who issued the certificates":    {"--profile", profile, "--wallet", dir, "--tls-ca", profile},
		"--client-cert: give both":                 {"--profile", profile, "--wallet", dir, "--client-key", profile},
		"--client-key: there is no nowhere":        {"--profile", profile, "--wallet", dir, "--client-cert", profile, "--client-key", "nowhere"},
		"--msp (" + dir + "/signcerts): no such":   {"--peer", "grpcs://h:1", "--msp", dir, "--msp-id", "A", "--channel", "c"},
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

// selfSigned writes a certificate and its key.
func selfSigned(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}

func TestFabricInitWritesWhatIsGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(elem ...string) string { return filepath.Join(append([]string{dir}, elem...)...) }
	for name, msp := range map[string]string{"User1@org1": in("users", "User1@org1", "msp"), "app": in("app")} {
		cert, key := filepath.Join(msp, "signcerts", "cert.pem"), filepath.Join(msp, "keystore", "priv_sk")
		selfSigned(t, cert, key)
		out := in(name + ".yaml")
		args := []string{
			"fabric", "init", "--msp", msp, "--peer", "grpcs://peer0.org1:7051", "--tls-ca", cert, "--client-cert", cert, "--client-key", key,
			"--msp-id", "Org1MSP", "--channel", "ch1", "--channel", "ch2", "--out", out,
		}
		stdout, _, err := execute(t.Context(), args...)
		require.NoError(t, err)
		require.Contains(t, stdout.String(), "fabric doctor -f "+out)
		require.Contains(t, stdout.String(), "tx submit --id my-first --from "+name+" --to ch1/CHAINCODE")
		cfg, err := config.Load(config.LoadOptions{File: out})
		require.NoError(t, err)
		require.Equal(t, config.ConnectorFabric, cfg.Connector)
		require.Equal(t, []string{"ch1", "ch2"}, cfg.Fabric.Channels)
		require.Equal(t, name, cfg.Fabric.Identity, "the user of the folder")
		require.Equal(t, cert, cfg.Fabric.TLS.ClientCertificate)
		require.Equal(t, key, cfg.Fabric.TLS.ClientKey)
		_, _, err = execute(t.Context(), "config", "check", "-f", out)
		require.NoError(t, err)

		_, _, err = execute(t.Context(), args...)
		require.ErrorContains(t, err, "--force")
		_, _, err = execute(t.Context(), append(args, "--force", "--channel", "ch3")...)
		require.NoError(t, err)
		cfg, err = config.Load(config.LoadOptions{File: out})
		require.NoError(t, err)
		require.Equal(t, []string{"ch1", "ch2", "ch3"}, cfg.Fabric.Channels)
	}
}
