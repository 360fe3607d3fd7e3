package jetstream

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type jetstream.
type Factory struct {
	env      *broker.Env
	settings broker.Settings[apitypes.JetStreamConfig]
}

var (
	_ sink.Factory      = (*Factory)(nil)
	_ sink.Confidential = (*Factory)(nil)
	_ sink.Prober       = (*Factory)(nil)
)

// New makes a factory.
func New(env *broker.Env) (*Factory, error) {
	if env == nil {
		return nil, errors.New("jetstream: Env is required")
	}
	f := &Factory{env: env}
	f.settings = f.newSettings()
	return f, nil
}

// Type implements sink.Factory.
func (f *Factory) Type() string { return apitypes.StreamJetStream }

// Validate implements sink.Factory.
func (f *Factory) Validate(raw json.RawMessage) (json.RawMessage, error) {
	return f.settings.Validate(raw)
}

// Mask implements sink.Confidential.
func (f *Factory) Mask(raw json.RawMessage) json.RawMessage { return f.settings.Mask(raw) }

// Keep implements sink.Confidential.
func (f *Factory) Keep(raw, stored json.RawMessage) (json.RawMessage, error) {
	return f.settings.Keep(raw, stored)
}

// Open implements sink.Factory. The first Send connects.
func (f *Factory) Open(ctx context.Context, s sink.Stream, raw json.RawMessage) (sink.Sink, error) {
	out, err := f.open(ctx, s, raw)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (f *Factory) open(ctx context.Context, s sink.Stream, raw json.RawMessage) (*out, error) {
	cfg, err := f.settings.Open(raw)
	if err != nil {
		return nil, err
	}
	subject, err := f.subject(&cfg)
	if err != nil {
		return nil, err
	}
	o := &out{
		factory: f, stream: s, cfg: cfg, slot: make(chan struct{}, 1),
		maker: broker.Maker{Stream: s, PerMessage: cfg.PerMessage, Format: cfg.Format, Texts: []*broker.Text{subject}},
	}
	o.life, o.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return o, nil
}
