package builtin

import (
	"encoding/json"

	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func webSocket() plugin.Sink {
	return plugin.Sink{Name: "websocket", New: func(env plugin.SinkEnv) (sink.Factory, error) {
		var cfg ws.Config
		if err := json.Unmarshal(env.Config, &cfg); err != nil {
			return nil, err
		}
		return ws.New(ws.Options{
			AckTimeout: env.AckTimeout, PingInterval: cfg.PingInterval, WriteTimeout: cfg.WriteTimeout, ReadLimit: cfg.MaxMessageSize,
			MaxConnections: cfg.MaxConnections, MaxTopics: cfg.MaxStreams, Origins: env.Origins, Find: env.FindStream, Log: env.Log,
		}), nil
	}}
}
