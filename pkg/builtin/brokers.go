package builtin

import (
	"encoding/json"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/jetstream"
	"github.com/pyralis-io/pyralis/internal/sinks/kafka"
	"github.com/pyralis-io/pyralis/internal/sinks/sns"
	"github.com/pyralis-io/pyralis/internal/sinks/sqs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func kafkaTopics() plugin.Sink { return toBroker(apitypes.StreamKafka, kafka.New) }

func jetStreams() plugin.Sink { return toBroker(apitypes.StreamJetStream, jetstream.New) }

func sqsQueues() plugin.Sink { return toBroker(apitypes.StreamSQS, sqs.New) }

func snsTopics() plugin.Sink { return toBroker(apitypes.StreamSNS, sns.New) }

// toBroker is a sink for a message broker. All of them have the section brokers of the configuration.
func toBroker[F sink.Factory](name string, factory func(*broker.Env) (F, error)) plugin.Sink {
	return plugin.Sink{Name: name, New: func(env plugin.SinkEnv) (sink.Factory, error) {
		var cfg broker.Config
		if err := json.Unmarshal(env.Config, &cfg); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		shared, err := broker.NewEnv(cfg, env.Secrets)
		if err != nil {
			return nil, err
		}
		return factory(shared)
	}}
}
