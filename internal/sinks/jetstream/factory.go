package jetstream

import (
	"context"
	"errors"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/turn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Factory makes the sinks of type jetstream.
type Factory struct {
	broker.Base[apitypes.JetStreamConfig, *out]

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
	f.Base = broker.NewBase(apitypes.StreamJetStream, &f.settings, f.open)
	return f, nil
}

func (f *Factory) open(ctx context.Context, s sink.Stream, cfg *apitypes.JetStreamConfig) (*out, error) {
	subject, err := f.subject(cfg)
	if err != nil {
		return nil, err
	}
	return &out{
		factory: f, stream: s, cfg: *cfg, turn: turn.New(ctx),
		maker: broker.Maker{Stream: s, PerMessage: cfg.PerMessage, Format: cfg.Format, Texts: []*broker.Text{subject}},
	}, nil
}
