package builtin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func devLedger() plugin.Connector {
	return plugin.Connector{Name: "devledger", New: func(_ context.Context, env plugin.Env) (ffcapi.Connector, error) {
		cfg := devledger.DefaultConfig()
		if err := json.Unmarshal(env.Config, &cfg); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return devledger.New(cfg, devledger.Options{Dir: env.Dir, Log: env.Log})
	}}
}
