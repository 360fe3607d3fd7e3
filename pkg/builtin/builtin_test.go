package builtin_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	fabricpolicy "github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/builtin"
)

func TestRegistryIsSound(t *testing.T) {
	t.Parallel()
	r := builtin.Plugins()
	require.NoError(t, r.Err())
	cfg, err := config.Load(config.LoadOptions{})
	require.NoError(t, err)
	for _, name := range []string{cfg.Connector, config.ConnectorDevLedger, config.ConnectorFabric} {
		_, err := r.Connector(name)
		require.NoError(t, err)
	}
	_, err = r.Policy(cfg.PolicyName())
	require.NoError(t, err)
	require.NotEmpty(t, r.Sinks())
}

// Every key that a file can have reaches its plug-in: none has another name there.
func TestSectionsFitTheirPlugins(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{})
	require.NoError(t, err)
	for _, c := range []struct{ section, into any }{
		{cfg.DevLedger, &devledger.Config{}}, {cfg.Fabric, &fabric.Config{}},
		{cfg.Policies.Simple, &simple.Config{}}, {cfg.Policies.Fabric, &fabricpolicy.Config{}},
		{cfg.Webhooks, &webhook.Config{}}, {cfg.WebSockets, &ws.Config{}}, {cfg.Brokers, &broker.Config{}},
	} {
		raw, err := config.JSON(c.section)
		require.NoError(t, err)
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(c.into), "%T", c.into)
	}
}

// What the configuration does not say is what the policy has by itself.
func TestDefaultsOfTheFabricPolicy(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.LoadOptions{})
	require.NoError(t, err)
	raw, err := config.JSON(cfg.Policies.Fabric)
	require.NoError(t, err)
	var got fabricpolicy.Config
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, fabricpolicy.DefaultConfig(), got)
}

// What "config check" finds fine must not be refused at the start.
func TestBoundsOfTheDevLedgerAreDeclared(t *testing.T) {
	t.Parallel()
	for key, c := range map[string]struct{ most, beyond string }{
		"devledger.blockPeriod":                  {"1h", "1h1ms"},
		"devledger.maxBlockTransactions":         {"100000", "100001"},
		"devledger.sendDelay":                    {"1m", "1m1ms"},
		"devledger.faults.drop":                  {"100", "101"},
		"devledger.faults.duplicate":             {"100", "101"},
		"devledger.faults.loseAnswers":           {"100", "101"},
		"devledger.faults.reorganiseDrop":        {"100", "101"},
		"devledger.faults.reorganiseDepth":       {"1000", "1001"},
		"devledger.synthetic.blockPeriod":        {"1h", "1h1ms"},
		"devledger.synthetic.eventsPerBlock":     {"100000", "100001"},
		"devledger.synthetic.liveEventsPerBlock": {"100000", "100001"},
	} {
		cfg, err := config.Load(config.LoadOptions{Overrides: map[string]any{key: c.most}})
		require.NoError(t, err)
		raw, err := config.JSON(cfg.DevLedger)
		require.NoError(t, err)
		made := devledger.DefaultConfig()
		require.NoError(t, json.Unmarshal(raw, &made))
		require.NoError(t, made.Validate())
		_, err = config.Load(config.LoadOptions{Overrides: map[string]any{key: c.beyond}})
		require.ErrorContains(t, err, key)
	}
}
