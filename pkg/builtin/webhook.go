package builtin

import (
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/sinks/webhook"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func webHook() plugin.Sink {
	return plugin.Sink{Name: "webhook", New: func(env plugin.SinkEnv) (sink.Factory, error) {
		var cfg webhook.Config
		if err := json.Unmarshal(env.Config, &cfg); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return webhook.New(cfg, webhook.Options{Secrets: env.Secrets})
	}}
}
