package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func fabricConnector() plugin.Connector {
	return plugin.Connector{
		Name: "fabric",
		New: func(ctx context.Context, env plugin.Env) (ffcapi.Connector, error) {
			cfg, err := fabricConfig(env)
			if err != nil {
				return nil, err
			}
			c, err := fabric.New(ctx, cfg, fabric.Options{Log: env.Log})
			if err != nil {
				return nil, err
			}
			return c, measureFabric(c, env)
		},
		Diagnose: diagnoseFabric,
		Complete: completeFabric,
	}
}

// measureFabric hands over what a connector measures, which is of no use if that cannot be.
func measureFabric(c *fabric.Connector, env plugin.Env) error {
	if env.Measure == nil {
		return nil
	}
	for _, m := range c.Metrics() {
		if err := env.Measure(plugin.Metric(m)); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return nil
}

func fabricConfig(env plugin.Env) (cfg fabric.Config, err error) {
	if err := json.Unmarshal(env.Config, &cfg); err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

func diagnoseFabric(ctx context.Context, env plugin.Env, q plugin.Question) []plugin.Check {
	cfg, err := fabricConfig(env)
	if err != nil {
		return []plugin.Check{{Hop: "configuration", State: plugin.CheckFailed, Detail: err.Error()}}
	}
	var out []plugin.Check
	for _, c := range fabric.Diagnose(ctx, cfg, fabric.Question{Channel: q.Ledger, Chaincode: q.Contract, Identity: q.Signer}) {
		out = append(out, plugin.Check{Peer: c.Peer, Ledger: c.Channel, Hop: c.Hop, State: c.State, Detail: c.Detail, Fix: c.Fix, Took: c.Took})
	}
	return out
}

func completeFabric(ctx context.Context, env plugin.Env) (json.RawMessage, error) {
	cfg, err := fabricConfig(env)
	if err != nil {
		return nil, err
	}
	if cfg, err = fabric.Complete(ctx, cfg); err != nil {
		return nil, err
	}
	return json.Marshal(cfg)
}
