package fabric

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := func() Config {
		return Config{Profile: "p", MSPID: "Org1MSP", Channels: []string{"ch1"}, Wallet: "w", Identity: "i"}
	}
	c, err := good().withDefaults()
	require.NoError(t, err)
	require.Equal(t, 4*time.Second, c.Timeouts.Silence)
	require.Equal(t, Backoff{250 * time.Millisecond, 30 * time.Second}, c.Backoff)
	for want, change := range map[string]func(*Config){
		"fabric.profile: must be set":               func(c *Config) { c.Profile = "" },
		"fabric.peers: must not be set with":        func(c *Config) { c.Peers = Peers{{}} },
		"fabric.mspID: must be set":                 func(c *Config) { c.MSPID = "" },
		"fabric.wallet: must be set":                func(c *Config) { c.Wallet = "" },
		"fabric.identity: must be set":              func(c *Config) { c.Identity = "" },
		"fabric.channels: must name":                func(c *Config) { c.Channels = nil },
		"fabric.channels: a channel":                func(c *Config) { c.Channels = []string{""} },
		"fabric.tls.clientCertificate: must be set": func(c *Config) { c.TLS.ClientKey = "k" },
		"fabric.tls.clientKey: must be set":         func(c *Config) { c.TLS.ClientCertificate = "c" },
		"fabric.timeouts.silence: -1":               func(c *Config) { c.Timeouts.Silence = -1 },
		"fabric.backoff.initial: must not be above": func(c *Config) { c.Backoff = Backoff{2, 1} },
	} {
		c := good()
		change(&c)
		_, err := c.withDefaults()
		require.ErrorContains(t, err, want)
	}
}

func TestListsAreStrict(t *testing.T) {
	t.Parallel()
	var c Config
	require.NoError(t, json.Unmarshal([]byte(`{"peers":[{"name":"a","url":"grpc://a:1"}],"identities":[{"name":"i","mspDir":"d"}]}`), &c))
	require.Equal(t, Peers{{Name: "a", URL: "grpc://a:1"}}, c.Peers)
	require.Equal(t, Identities{{Name: "i", MSPDir: "d"}}, c.Identities)
	for raw, want := range map[string]string{
		`{"peers":[{"url":"a"},{"urll":"b"}]}`: `fabric.peers[1]: unknown field "urll"`,
		`{"peers":{}}`:                         `fabric.peers: must be a list of objects`,
		`{"identities":[{"cert":"b"}]}`:        `fabric.identities[0]: unknown field "cert"`,
		`{"identities":[7]}`:                   `fabric.identities[0]: it is not a JSON object`,
	} {
		require.ErrorContains(t, json.Unmarshal([]byte(raw), &c), want)
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIdentity(t, dir, "ca", "")
	ca, _ := readPair(t, dir, "ca")
	writeFile(t, ca, dir, "msp", "tlscacerts", "tlsca.pem")
	msp := Identities{{Name: "a", MSPDir: filepath.Join(dir, "msp")}}
	got, err := endpoints(t.Context(), &Config{MSPID: "Org1MSP", Identities: msp, Peers: Peers{
		{Name: "one", URL: "grpcs://localhost:7051", TLSServerName: "peer0.org1", TLSCACert: ca},
		{URL: "grpcs://two:7051"},
		{URL: "grpc://127.0.0.1:7052"},
	}})
	require.NoError(t, err)
	require.Equal(t, "one (localhost:7051)", got[0].label())
	require.Equal(t, "peer0.org1", got[0].serverName)
	require.Equal(t, "two:7051", got[1].label())
	require.Equal(t, "two", got[1].serverName)
	require.True(t, got[2].plain)
	for i := range got[:2] {
		roots, err := got[i].roots(t.Context())
		require.NoError(t, err)
		require.Len(t, roots.Subjects(), 1) //nolint:staticcheck // it is not the pool of the system
	}

	for want, c := range map[string]Config{
		"fabric.peers[0].url: \"\" must begin":                       {Peers: Peers{{}}},
		"fabric.peers[0].url: \"https://a:1\" must begin":            {Peers: Peers{{URL: "https://a:1"}}},
		"fabric.peers[0].url: \"grpcs://a\" must be like":            {Peers: Peers{{URL: "grpcs://a"}}},
		"without anything else":                                      {Peers: Peers{{URL: "grpcs://a:1/x"}}},
		"fabric.peers[0].tlsCACert: must be set":                     {Peers: Peers{{URL: "grpcs://a:1"}}},
		"fabric.peers[1].name: a is given twice":                     {Peers: Peers{{Name: "a", URL: "grpc://a:1"}, {Name: "a", URL: "grpc://b:1"}}},
		"fabric.peers[0].url: grpc://a:1 is without TLS":             {Peers: Peers{{URL: "grpc://a:1", TLSCACert: "x"}}},
		"fabric.peers: peer a:1: tlsCACert (none.pem): no such file": {Peers: Peers{{URL: "grpcs://a:1", TLSCACert: "none.pem"}}},
		"tlsCACert: there is no certificate in it":                   {Peers: Peers{{URL: "grpcs://a:1", TLSCACert: pemBegin}}},
		"tlscacerts of mspDir (" + dir + "/tlscacerts)": {
			Peers: Peers{{URL: "grpcs://a:1"}}, Identities: Identities{{Name: "a", MSPDir: dir}},
		},
	} {
		_, err := endpoints(t.Context(), &c)
		require.ErrorContains(t, err, want)
	}
}
