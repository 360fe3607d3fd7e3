package node

import (
	"context"
	"fmt"
	"io"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// Diagnose has the configured connector look for what lies in the way to its chain. No node needs to run, and none is started.
func Diagnose(ctx context.Context, cfg *config.Config, plugins *plugin.Registry, q plugin.Question) ([]plugin.Check, error) {
	p, err := plugins.Connector(cfg.Connector)
	if err != nil {
		return nil, err
	}
	if p.Diagnose == nil {
		return nil, fmt.Errorf("connector: %q has no way to look for what is wrong with it", p.Name)
	}
	env, err := connectorEnv(cfg, p.Name)
	if err != nil {
		return nil, err
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	env.Log = logrus.NewEntry(silent)
	return p.Diagnose(ctx, env, q), nil
}
