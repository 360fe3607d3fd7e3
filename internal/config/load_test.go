package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pyralis.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLoadFile(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{File: file(t, `
# every type once
connector: fabric
api:
  port: 0
  maxBodySize: 2MB
  requestTimeout: 1500
  cors: {origins: [https://a.example.com, "http://localhost:3000"]}
monitoring:
log: {level: debug, format: , utc: true}
devledger.sequenced: false
devledger:
  blockPeriod: 30m15s
  synthetic: &s {historyBlocks: 18446744073709551615, eventBlocks: 7}
fabric:
  profile: p.yaml
  mspID: "0123"
  channels: one, two
  wallet: w
  identity: user1
`)})
	require.NoError(t, err)
	require.Equal(t, config.ConnectorFabric, cfg.Connector)
	require.Equal(t, 0, cfg.API.Port)
	require.Equal(t, config.Size(2_000_000), cfg.API.MaxBodySize)
	require.Equal(t, 1500*time.Millisecond, cfg.API.RequestTimeout, "a plain number is milliseconds")
	require.Equal(t, []string{"https://a.example.com", "http://localhost:3000"}, cfg.API.CORS.Origins)
	require.Equal(t, 6000, cfg.Monitoring.Port, "an empty section changes nothing")
	require.Equal(t, config.Log{Level: "debug", Format: config.LogText, UTC: true}, cfg.Log)
	require.False(t, cfg.DevLedger.Sequenced, "a path may be written with dots")
	require.Equal(t, 30*time.Minute+15*time.Second, cfg.DevLedger.BlockPeriod)
	require.Equal(t, uint64(1<<64-1), cfg.DevLedger.Synthetic.HistoryBlocks)
	require.Equal(t, uint64(7), cfg.DevLedger.Synthetic.EventBlocks)
	require.Equal(t, "0123", cfg.Fabric.MSPID)
	require.Equal(t, []string{"one", "two"}, cfg.Fabric.Channels)
}

// A binary may have connectors and policies that nobody here knows; what it has, it knows itself.
func TestNamesOfFurtherPlugins(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{File: file(t, "connector: mychain\ntransactions: {policy: patient}")})
	require.NoError(t, err)
	require.Equal(t, "mychain", cfg.Connector)
	require.Equal(t, "patient", cfg.Transactions.Policy)
}

// A list of objects is passed on as JSON, in the same text whatever the order of its members.
func TestLoadObjects(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{File: file(t, `
streams:
  - name: orders
    batchSize: 12345678901234567890
    listeners: &l
      - fromBlock: 2026-01-31T12:00:00Z
        filters: [{event: E, address: 0x3333333333333333333333333333333333333333}]
  - listeners: *l
    name: others
`)})
	require.NoError(t, err)
	const listeners = `"listeners":[{"filters":[{"address":"0x3333333333333333333333333333333333333333","event":"E"}],"fromBlock":"2026-01-31T12:00:00Z"}],`
	require.Len(t, cfg.Streams, 2)
	require.Equal(t, config.Objects{
		[]byte(`{"batchSize":12345678901234567890,` + listeners + `"name":"orders"}`), []byte(`{` + listeners + `"name":"others"}`),
	}, cfg.Streams)
	cfg, err = config.Load(config.LoadOptions{Env: []string{`PYRALIS_STREAMS= [{"name":"b","batchSize":12345678901234567890123}] `}})
	require.NoError(t, err)
	require.Equal(t, config.Objects{[]byte(`{"batchSize":12345678901234567890123,"name":"b"}`)}, cfg.Streams)
	cfg, err = config.Load(config.LoadOptions{Env: []string{`PYRALIS_STREAMS=`}, File: file(t, "streams: [{name: a}]")})
	require.NoError(t, err)
	require.Empty(t, cfg.Streams)
}

func TestLoadEmptyFile(t *testing.T) {
	t.Parallel()
	defaults, err := config.Load(config.LoadOptions{})
	require.NoError(t, err)
	for _, text := range []string{"", "# nothing\n", "---\n", "api: {}\n"} {
		cfg, err := config.Load(config.LoadOptions{File: file(t, text)})
		require.NoError(t, err, text)
		require.Equal(t, defaults, cfg)
	}
}

func TestLoadEnv(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{Env: []string{
		"HOME=/root", "PYRALIS=no key", "EMPTY",
		"PYRALIS_TRANSACTIONS_NONCESTATETIMEOUT=5m",
		"PYRALIS_API_PORT= 5010 ",
		"PYRALIS_API_CORS_ORIGINS=https://a.example.com, https://b.example.com",
		"PYRALIS_API_PUBLICURL=",
		"PYRALIS_DEVLEDGER_DURABLE=false",
		"PYRALIS_DEVLEDGER_SYNTHETIC_HISTORYBLOCKS=10",
		"PYRALIS_EVENTSTREAMS_MAXMEMORY=1gib",
		"PYRALIS_STORE_POSTGRES_URL=postgres://u:a=b@h/db?sslmode=disable",
	}})
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, cfg.Transactions.NonceStateTimeout)
	require.Equal(t, 5010, cfg.API.Port)
	require.Equal(t, []string{"https://a.example.com", "https://b.example.com"}, cfg.API.CORS.Origins)
	require.False(t, cfg.DevLedger.Durable)
	require.Equal(t, uint64(10), cfg.DevLedger.Synthetic.HistoryBlocks)
	require.Equal(t, config.Size(1<<30), cfg.EventStreams.MaxMemory)
	require.Equal(t, "postgres://u:a=b@h/db?sslmode=disable", cfg.Store.Postgres.URL)
}

func TestLoadLayers(t *testing.T) {
	t.Parallel()
	o := config.LoadOptions{Defaults: map[string]any{"api.port": 1, "store.sqlite.path": ".data", "api.cors.origins": []string{}}}
	port := func() int {
		t.Helper()
		cfg, err := config.Load(o)
		require.NoError(t, err)
		require.Equal(t, ".data", cfg.Store.SQLite.Path)
		return cfg.API.Port
	}
	require.Equal(t, 1, port())
	o.File = file(t, "api: {port: 2}")
	require.Equal(t, 2, port())
	o.Env = []string{"PYRALIS_API_PORT=3"}
	require.Equal(t, 3, port())
	o.Overrides = map[string]any{"api.port": "4", "devledger.blockPeriod": time.Second, "api.maxBodySize": config.Size(4096)}
	require.Equal(t, 4, port())
}

func TestLoadedConfigsAreSeparate(t *testing.T) {
	t.Parallel()
	o := config.LoadOptions{Overrides: map[string]any{"fabric.channels": []string{"a"}}}
	first, err := config.Load(o)
	require.NoError(t, err)
	first.Fabric.Channels[0] = "changed"
	first.API.Port = 1
	second, err := config.Load(o)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, second.Fabric.Channels)
	require.Equal(t, 5008, second.API.Port)
}
