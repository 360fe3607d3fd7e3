package fabric

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeProfile writes a connection profile as JSON, which is YAML, too.
func writeProfile(t testing.TB, dir string, profile any) string {
	t.Helper()
	b, err := json.Marshal(profile)
	require.NoError(t, err)
	path := filepath.Join(dir, "connection.json")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

const sampleProfile = `
name: test-network-org1
version: 1.0.0
client: {organization: Org1, connection: {timeout: {peer: {endorser: '300'}}}}
organizations:
  Org1:
    mspid: Org1MSP
    peers: [peer1.org1, peer0.org1]
    certificateAuthorities: [ca.org1]
  Org2: {mspid: Org2MSP, peers: [plain.org2]}
  Org3: {mspid: Org3MSP, peers: [ghost]}
  Org4: {mspid: Org4MSP, peers: [noCA]}
  Org5: {mspid: Org5MSP, peers: [noPort]}
  Org6: {mspid: Org6MSP, peers: [http]}
  Org7: {mspid: Org7MSP, peers: [noFile]}
  Org8: {mspid: Org8MSP, peers: [nonsense]}
peers:
  peer0.org1:
    url: grpcs://localhost:7051
    tlsCACerts:
      pem: |
PEM
    grpcOptions: {ssl-target-name-override: peer0.org1.example.com, hostnameOverride: other}
  peer1.org1:
    url: grpcs://peer1.example.com:8051
    tlsCACerts: {path: ca.pem}
  plain.org2: {url: "grpc://127.0.0.1:9051"}
  noCA: {url: "grpcs://a:1"}
  noPort: {url: "grpcs://a"}
  http: {url: "https://a:1"}
  noFile: {url: "grpcs://a:1", tlsCACerts: {path: nowhere.pem}}
  nonsense: {url: "grpcs://a:1", tlsCACerts: {pem: [x]}}
`

func TestProfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "ca", "")
	ca, err := os.ReadFile(filepath.Join(dir, "ca", certFile))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600))
	pem := "        " + strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n        ")
	path := filepath.Join(dir, "connection.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(sampleProfile, "PEM", pem, 1)), 0o600))

	peers, err := readProfile(path, "Org1MSP")
	require.NoError(t, err)
	require.Len(t, peers, 2)
	require.Equal(t, "peer1.org1", peers[0].name, "the order is the profile's")
	require.Equal(t, "peer1.example.com:8051", peers[0].address)
	require.Equal(t, "peer1.example.com", peers[0].serverName)
	require.Equal(t, "localhost:7051", peers[1].address)
	require.Equal(t, "peer0.org1.example.com", peers[1].serverName)
	for _, p := range peers {
		_, err := p.roots(t.Context())
		require.NoError(t, err)
	}

	plain, err := readProfile(path, "Org2MSP")
	require.NoError(t, err)
	require.True(t, plain[0].plain)

	for msp, want := range map[string]string{
		"Org3MSP": "there is no peers.ghost",
		"Org4MSP": "peers.noCA.tlsCACerts: pem or path",
		"Org5MSP": "peers.noPort.url",
		"Org6MSP": "must begin with grpcs://",
		"Org7MSP": "tlsCACerts.path (" + filepath.Join(dir, "nowhere.pem") + "): no such file",
		"Org8MSP": "tlsCACerts.pem: there is no certificate in it",
		"Org9MSP": "has no organisation with mspid Org9MSP: it has Org1MSP, Org2MSP",
	} {
		_, err := endpoints(t.Context(), &Config{Profile: path, MSPID: msp})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "fabric.")
		require.ErrorContains(t, err, path)
	}
	_, err = readProfile(filepath.Join(dir, "none.yaml"), "Org1MSP")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("a: [b"), 0o600))
	_, err = readProfile(path, "Org1MSP")
	require.ErrorContains(t, err, path)
}
