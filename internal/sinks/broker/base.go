package broker

import (
	"context"
	"encoding/json"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Base is what the factories of sinks for brokers have in common: sink.Factory and sink.Confidential, for sinks S that are configured by C.
type Base[C any, S sink.Sink] struct {
	kind     string
	settings *Settings[C]
	open     func(ctx context.Context, s sink.Stream, c *C) (S, error)
}

// NewBase makes the Base of a type of streams. open makes a sink of a configuration that is the sink's own, and does no I/O: a broker is connected to when there
// is something to send.
func NewBase[C any, S sink.Sink](kind string, settings *Settings[C], open func(ctx context.Context, s sink.Stream, c *C) (S, error)) Base[C, S] {
	return Base[C, S]{kind: kind, settings: settings, open: open}
}

// Type implements sink.Factory.
func (b *Base[C, S]) Type() string { return b.kind }

// Validate implements sink.Factory.
func (b *Base[C, S]) Validate(raw json.RawMessage) (json.RawMessage, error) {
	return b.settings.Validate(raw)
}

// Mask implements sink.Confidential.
func (b *Base[C, S]) Mask(raw json.RawMessage) json.RawMessage { return b.settings.Mask(raw) }

// Keep implements sink.Confidential.
func (b *Base[C, S]) Keep(raw, stored json.RawMessage) (json.RawMessage, error) {
	return b.settings.Keep(raw, stored)
}

// Open implements sink.Factory. What is stored is not checked again: what is not allowed any more is an error of each delivery, and so is shown, and gone once it
// is allowed.
func (b *Base[C, S]) Open(ctx context.Context, s sink.Stream, raw json.RawMessage) (sink.Sink, error) {
	out, err := b.Make(ctx, s, raw)
	if err != nil {
		return nil, err // and not out, which would be a sink that is there and nil
	}
	return out, nil
}

// Make is Open for those who know what they get.
func (b *Base[C, S]) Make(ctx context.Context, s sink.Stream, raw json.RawMessage) (out S, err error) {
	c, err := b.settings.Open(raw)
	if err != nil {
		return out, err
	}
	return b.open(ctx, s, &c)
}
