package kafka

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type kafka.
type Factory struct{ env *broker.Env }

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
	return &Factory{env: env}, nil
}

// Type implements sink.Factory.
func (f *Factory) Type() string { return apitypes.StreamKafka }

// Validate implements sink.Factory.
func (f *Factory) Validate(cfg json.RawMessage) (json.RawMessage, error) {
	return f.settings().Validate(cfg)
}

// Mask implements sink.Confidential.
func (f *Factory) Mask(cfg json.RawMessage) json.RawMessage { return f.settings().Mask(cfg) }

// Keep implements sink.Confidential.
func (f *Factory) Keep(cfg, stored json.RawMessage) (json.RawMessage, error) {
	return f.settings().Keep(cfg, stored)
}

// Open implements sink.Factory. Brokers are connected to when there is something to send. What is stored is not checked again: what is not
// allowed any more is an error of each delivery, and so is shown, and gone once it is allowed.
func (f *Factory) Open(ctx context.Context, s sink.Stream, raw json.RawMessage) (sink.Sink, error) {
	cfg, err := f.settings().Open(raw)
	if err != nil {
		return nil, err
	}
	p, err := f.open(ctx, s, &cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (f *Factory) open(ctx context.Context, s sink.Stream, cfg *apitypes.KafkaConfig) (*producer, error) {
	t, err := f.texts(cfg)
	if err != nil {
		return nil, err
	}
	p := &producer{
		factory: f, stream: s, cfg: cfg, texts: t, ownKey: []byte(s.ID), slot: make(chan struct{}, 1), topics: make(map[string]*topic),
		maker: broker.Maker{Stream: s, PerMessage: cfg.PerMessage, Format: cfg.Format, Texts: t.all()},
	}
	p.life, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return p, nil
}
