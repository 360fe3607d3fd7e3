package fabricnet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func testPorts(orgs, peersPerOrg int) *ports {
	p := noPorts(Options{Orgs: orgs, PeersPerOrg: peersPerOrg})
	for i, f := range p.fields() {
		*f = 15000 + i
	}
	return p
}

func testOptions(t *testing.T, orgs int) Options {
	t.Helper()
	o, err := Options{Dir: t.TempDir(), Orgs: orgs}.withDefaults()
	require.NoError(t, err)
	return o
}

func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]any{}
	require.NoError(t, yaml.Unmarshal(b, &out), "%s", b)
	return out
}

// at walks into nested maps.
func at(t *testing.T, m any, keys ...string) any {
	t.Helper()
	for _, k := range keys {
		require.IsType(t, map[string]any{}, m, k)
		require.Contains(t, m, k)
		m = m.(map[string]any)[k]
	}
	return m
}

func TestChannelConfiguration(t *testing.T) {
	t.Parallel()
	for orgs := 1; orgs <= 2; orgs++ {
		o := testOptions(t, orgs)
		o.BatchTimeout, o.MaxMessageCount = 1500*time.Millisecond, 7
		o.Channels = []ChannelOptions{{Name: "slow", BatchTimeout: 5 * time.Second}}
		l, p := layout{o.Dir}, testPorts(orgs, 1)
		require.NoError(t, l.writeConfig(o, p))

		c := readYAML(t, filepath.Join(l.config(), "configtx.yaml"))
		require.Len(t, c["Organizations"], 1+orgs)
		require.Len(t, c["Profiles"], 2)
		slow := at(t, c, "Profiles", "slow", "Orderer")
		require.Equal(t, "5s", at(t, slow, "BatchTimeout"))
		require.Equal(t, 500, at(t, slow, "BatchSize", "MaxMessageCount"))
		profile := at(t, c, "Profiles", Channel)
		require.Len(t, at(t, profile, "Application", "Organizations"), orgs)
		require.Equal(t, "1.5s", at(t, profile, "Orderer", "BatchTimeout"))
		require.Equal(t, 7, at(t, profile, "Orderer", "BatchSize", "MaxMessageCount"))
		for i, g := range at(t, profile, "Application", "Organizations").([]any) {
			require.Equal(t, l.org(i+1, nil).MSPDir, at(t, g, "MSPDir"))
			anchors := at(t, g, "AnchorPeers").([]any)
			require.Equal(t, p.Orgs[i][0].Peer, at(t, anchors[0], "Port"), "organisations meet through anchor peers only")
		}
		for _, part := range []any{profile, at(t, profile, "Orderer"), at(t, profile, "Application")} {
			require.Contains(t, at(t, part, "Policies"), "Readers")
			require.NotEmpty(t, at(t, part, "Capabilities"))
		}
		require.Len(t, readYAML(t, filepath.Join(l.config(), "crypto-config.yaml"))["PeerOrgs"], orgs)
	}
}

func TestNodeConfiguration(t *testing.T) {
	t.Parallel()
	o := testOptions(t, 2)
	o.PeersPerOrg, o.Limits.Gateway = 2, 7
	l, p := layout{filepath.Join(o.Dir, `odd "name": x`)}, testPorts(2, 2)
	require.NoError(t, l.writeConfig(o, p))

	listeners := map[any]bool{}
	folders := map[string]bool{}
	for i, node := range []string{NodePeer1, "peer1.org1", NodePeer2, "peer1.org2"} {
		c := readYAML(t, filepath.Join(l.config(), node, "core.yaml"))
		g := l.peers(p)[i]
		require.Equal(t, node, g.Node)
		folders[g.DataDir] = true
		for _, key := range []string{"listenAddress", "chaincodeListenAddress"} {
			listeners[at(t, c, "peer", key)] = true
		}
		listeners[at(t, c, "operations", "listenAddress")] = true
		require.Equal(t, g.DataDir, at(t, c, "peer", "fileSystemPath"))
		require.Equal(t, g.Org.MSPID, at(t, c, "peer", "localMspId"))
		family := []any{address(g.Org.Peers[0].Ports.Peer), address(g.Org.Peers[1].Ports.Peer)}
		require.Equal(t, family, at(t, c, "peer", "gossip", "bootstrap"), "peers of one organisation know each other")
		require.Empty(t, at(t, c, "vm", "endpoint"), "Docker is not used")
		limits := at(t, c, "peer", "limits", "concurrency")
		require.Equal(t, map[string]any{"gatewayService": 7, "endorserService": 2500, "deliverService": 2500}, limits)
		builders := at(t, c, "chaincode", "externalBuilders").([]any)
		require.Equal(t, l.builder(), at(t, builders[0], "path"))
	}
	require.Len(t, listeners, 12, "every listener has a port of its own")
	require.Len(t, folders, 4, "every peer has data of its own")
	for _, o := range readYAML(t, filepath.Join(l.config(), "crypto-config.yaml"))["PeerOrgs"].([]any) {
		require.Equal(t, 2, at(t, o, "Template", "Count"))
	}
	for a := range listeners {
		require.Regexp(t, `^127\.0\.0\.1:\d+$`, a, "loopback only")
	}
	c := readYAML(t, filepath.Join(l.config(), NodeOrderer, "orderer.yaml"))
	require.Equal(t, "127.0.0.1", at(t, c, "General", "ListenAddress"))
	require.Equal(t, p.Orderer, at(t, c, "General", "ListenPort"))

	for _, script := range []string{"detect", "build", "release"} {
		info, err := os.Stat(filepath.Join(l.builder(), "bin", script))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), script)
	}
}

func TestProfileAndWallet(t *testing.T) {
	t.Parallel()
	l, p := layout{t.TempDir()}, testPorts(2, 2)
	for _, g := range l.orgs(p) {
		require.NoError(t, writeFile(g.TLSCA, []byte("-----BEGIN-----\nca of "+g.Name+"\n-----END-----\n"), 0o644))
		require.NoError(t, writeFile(g.User.Cert, []byte("cert of "+g.Name), 0o644))
		require.NoError(t, writeFile(g.User.Key, []byte("key of "+g.Name), 0o600))
	}
	require.NoError(t, l.writeProfile(testOptions(t, 2), p, "", ""))
	require.NoError(t, l.writeWallet(p))

	c := readYAML(t, l.profile())
	require.Equal(t, "Org2MSP", at(t, c, "organizations", "Org2", "mspid"))
	require.Equal(t, []any{"peer0.org2.test", "peer1.org2.test"}, at(t, c, "organizations", "Org2", "peers"))
	require.Len(t, at(t, c, "channels", Channel, "peers"), 4)
	require.Len(t, at(t, c, "peers"), 4)
	for i, host := range []string{"peer0.org2.test", "peer1.org2.test"} {
		peer := at(t, c, "peers", host)
		require.Equal(t, "grpcs://"+address(p.Orgs[1][i].Peer), at(t, peer, "url"))
		require.Equal(t, "-----BEGIN-----\nca of Org2\n-----END-----\n", at(t, peer, "tlsCACerts", "pem"))
		require.Equal(t, host, at(t, peer, "grpcOptions", "ssl-target-name-override"))
	}

	require.NoError(t, l.writeProfile(Options{Proxy: true, Channels: []ChannelOptions{{Name: "slow"}}}, p, "peer0.org1", "peer1.org2"))
	c = readYAML(t, l.profile())
	require.Len(t, at(t, c, "channels", "slow", "peers"), 3)
	require.Equal(t, []any{"peer1.org1.test"}, at(t, c, "organizations", "Org1", "peers"), "one is hidden")
	require.Equal(t, []any{"peer1.org2.test", "peer0.org2.test"}, at(t, c, "organizations", "Org2", "peers"), "one is put first")
	require.Len(t, at(t, c, "peers"), 3)
	peers := at(t, c, "peers")
	require.Equal(t, "grpcs://"+address(p.Orgs[0][1].Proxy), at(t, peers, "peer1.org1.test", "url"), "clients come through the proxies")

	for file, want := range map[string]string{"cert.pem": "cert of Org2", "key.pem": "key of Org2", "mspid": "Org2MSP\n"} {
		b, err := os.ReadFile(filepath.Join(l.wallet(), "user2", file))
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	info, err := os.Stat(filepath.Join(l.wallet(), "user1", "key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestChaincodePackage(t *testing.T) {
	t.Parallel()
	a, id, err := packageChaincode("127.0.0.1:15003")
	require.NoError(t, err)
	sum := sha256.Sum256(a)
	require.Equal(t, "assets_1:"+hex.EncodeToString(sum[:]), id)
	again, _, err := packageChaincode("127.0.0.1:15003")
	require.NoError(t, err)
	require.Equal(t, a, again, "all peers must see one package")
	_, other, err := packageChaincode("127.0.0.1:15004")
	require.NoError(t, err)
	require.NotEqual(t, id, other, "the address is part of the package")

	outer := untar(t, a)
	require.JSONEq(t, `{"type":"ccaas","label":"assets_1"}`, string(outer["metadata.json"]))
	inner := untar(t, outer["code.tar.gz"])
	require.JSONEq(t, `{"address":"127.0.0.1:15003","dial_timeout":"10s","tls_required":false}`, string(inner["connection.json"]))
}

func untar(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	out := map[string][]byte{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out[h.Name], err = io.ReadAll(tr)
		require.NoError(t, err)
	}
}
