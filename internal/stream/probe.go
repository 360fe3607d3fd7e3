package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// probeTimeout is how long a receiver may take to answer when a stream is made or changed.
const probeTimeout = 15 * time.Second

// probe tries the receivers of a stream that is to run, as far as they are others than before and their sinks can do that.
func (m *Manager) probe(ctx context.Context, def, old *store.Stream) error {
	if def.Suspended {
		return nil
	}
	if def.Type != old.Type || !bytes.Equal(def.Sink, old.Sink) {
		if err := m.try(ctx, def, def.Type, def.Sink); err != nil {
			return within(def.Type, err)
		}
	}
	if o := def.DeadLetter; o != nil && !sameOutlet(def, old) {
		return within("deadLetter", within(o.Type, m.try(ctx, def, o.Type, o.Config)))
	}
	return nil
}

// try tries one receiver.
func (m *Manager) try(ctx context.Context, def *store.Stream, kind string, cfg json.RawMessage) error {
	p, ok := m.sinks[kind].(sink.Prober)
	if !ok {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.Probe(limited, sink.Stream{ID: def.ID, Name: def.Name}, cfg)
	var inv *apitypes.Invalid
	switch {
	case err == nil || errors.As(err, &inv):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return apitypes.Invalidf("", `mend what it says, or leave the stream suspended ("suspended": true) until it can be reached`, "was tried, and failed: %s", err)
}
