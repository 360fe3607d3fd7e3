package builtin

import (
	"github.com/pyralis-io/pyralis/internal/sinks/ws"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func webSocket() plugin.Sink {
	return plugin.Sink{Name: "websocket", New: func(env plugin.SinkEnv) (sink.Factory, error) {
		return ws.New(ws.Options{AckTimeout: env.AckTimeout, Origins: env.Origins, Find: env.FindStream, Log: env.Log}), nil
	}}
}
