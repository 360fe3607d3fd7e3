package builtin

import (
	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func webSocket() plugin.Sink {
	return plugin.Sink{Name: "websocket", New: func(env plugin.SinkEnv) (sink.Factory, error) {
		return ws.New(ws.Options{AckTimeout: env.AckTimeout, Origins: env.Origins, Exists: env.StreamExists, Log: env.Log}), nil
	}}
}
