package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// fixes are what may help, by the setting that is to blame.
var fixes = map[string]string{
	"brokers":     "give brokers that can be reached from here",
	"tls":         "set tls as the brokers have it",
	"sasl":        "give what the brokers log in with",
	"topic":       "give a topic that is there and may be written to, or set createTopic",
	"partition":   "give a partition that the topic has",
	"createTopic": "have the topic created as the cluster allows it, or by somebody who may",
}

// Probe implements sink.Prober: it connects, logs in, and looks whether a topic that is the same for all messages is there and takes some.
func (f *Factory) Probe(ctx context.Context, s sink.Stream, raw json.RawMessage) error {
	cfg, err := f.settings().Open(raw)
	if err != nil {
		return err
	}
	p, err := f.open(ctx, s, &cfg)
	if err != nil {
		return err
	}
	defer p.disconnect()
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(*cfg.RequestTimeout), errTimeout)
	defer cancel()
	if p.client, err = f.connect(&cfg); err != nil {
		return err
	}
	if err := p.try(ctx); err != nil {
		return p.client.blame(ctx, err)
	}
	return nil
}

func (p *producer) try(ctx context.Context) error {
	if _, err := p.client.admin.BrokerMetadata(ctx); err != nil {
		return err
	}
	if err := p.client.id(ctx); err != nil {
		return err
	}
	name, fixed := p.texts.topic.Fixed()
	if !fixed {
		return nil
	}
	r := kgo.Record{Topic: name}
	if text, fixed := p.texts.partition.Fixed(); fixed && text != "" {
		r.Partition = number(text)
	}
	err := p.know(ctx, &r)
	if _, known := p.topics[name]; known && err != nil {
		return &fieldError{"partition", err}
	}
	return err
}

// blame makes an error one of the setting at fault.
func (c *client) blame(ctx context.Context, err error) error {
	var inv *apitypes.Invalid
	if errors.As(err, &inv) {
		return inv
	}
	err = c.problem(ctx, err)
	field := fieldOf(err, "brokers")
	if field == "" { // a reference that cannot be resolved names its field
		return err
	}
	return apitypes.Invalidf(field, fixes[field], "cannot be used: %s", err)
}
