package builtin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func fabricConnector() plugin.Connector {
	return plugin.Connector{Name: "fabric", New: func(ctx context.Context, env plugin.Env) (ffcapi.Connector, error) {
		var cfg fabric.Config
		if err := json.Unmarshal(env.Config, &cfg); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return fabric.New(ctx, cfg, fabric.Options{Log: env.Log})
	}}
}
