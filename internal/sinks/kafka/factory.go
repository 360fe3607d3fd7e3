package kafka

import (
	"context"
	"errors"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type kafka.
type Factory struct {
	broker.Base[apitypes.KafkaConfig, *producer]

	env *broker.Env
}

var (
	_ sink.Factory      = (*Factory)(nil)
	_ sink.Confidential = (*Factory)(nil)
	_ sink.Prober       = (*Factory)(nil)
)

// New makes a factory.
func New(env *broker.Env) (*Factory, error) {
	if env == nil {
		return nil, errors.New("kafka: Env is required")
	}
	f := &Factory{env: env}
	f.Base = broker.NewBase(apitypes.StreamKafka, f.settings(), f.open)
	return f, nil
}

func (f *Factory) open(ctx context.Context, s sink.Stream, cfg *apitypes.KafkaConfig) (*producer, error) {
	t, err := f.texts(cfg)
	if err != nil {
		return nil, err
	}
	return &producer{
		factory: f, stream: s, cfg: cfg, texts: t, ownKey: []byte(s.ID), turn: turn.New(ctx), topics: make(map[string]*topic),
		maker: broker.Maker{Stream: s, PerMessage: cfg.PerMessage, Format: cfg.Format, Texts: t.all()},
	}, nil
}
