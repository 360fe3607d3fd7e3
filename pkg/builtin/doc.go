// Package builtin is everything that is compiled into the pyralis binary, one file per kind of plug-in. A binary of your own starts from
// Plugins and adds to it, or from an empty registry.
package builtin

import "github.com/pyralis-io/pyralis/pkg/plugin"

// Plugins returns a new registry with everything built in.
func Plugins() *plugin.Registry {
	r := new(plugin.Registry)
	r.AddConnector(devLedger())
	r.AddConnector(fabricConnector())
	r.AddPolicy(simplePolicy())
	r.AddPolicy(fabricPolicy())
	r.AddSink(webSocket())
	r.AddSink(webHook())
	r.AddSink(kafkaTopics())
	r.AddSink(jetStreams())
	r.AddSink(sqsQueues())
	r.AddSink(snsTopics())
	return r
}
