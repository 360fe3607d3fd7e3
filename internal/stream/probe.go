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

// unknown are the receivers of a stream that are to be tried: those that none of the others has, if the stream is to run and their sinks can do that.
func (m *Manager) unknown(def *store.Stream, known ...*store.Stream) sinks {
	if def.Suspended {
		return sinks{}
	}
	var which sinks
	_, which.main = m.sinks[def.Type].(sink.Prober)
	if def.DeadLetter != nil {
		_, which.outlet = m.sinks[def.DeadLetter.Type].(sink.Prober)
	}
	for _, k := range known {
		which.main = which.main && (def.Type != k.Type || !bytes.Equal(def.Sink, k.Sink))
		which.outlet = which.outlet && !sameOutlet(def, k)
	}
	return which
}

// probe tries the receivers of a stream that is to run, as far as they are others than those of streams that are known.
func (m *Manager) probe(ctx context.Context, def *store.Stream, known ...*store.Stream) error {
	which := m.unknown(def, known...)
	if which.main {
		if err := m.try(ctx, def, def.Type, def.Sink); err != nil {
			return within(def.Type, err)
		}
	}
	if which.outlet {
		o := def.DeadLetter
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
