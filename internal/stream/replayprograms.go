package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

// evaluated applies the programs of listeners, as they are now, to dead letters for which they had no answer when these were set aside. It
// returns those from the first one on that can go together. None are ready if the first one is to be passed over; it is alone, with the reason,
// if there is still no answer.
func (r *run) evaluated(ctx context.Context, letters []*store.DeadLetter) (ready []*store.DeadLetter, poison, err error) {
	for i, l := range letters {
		after, keep, fault := r.evaluate(ctx, l)
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case fault != nil && i == 0:
			return letters[:1], fault, nil
		case fault != nil || !keep:
			return ready, nil, nil //nolint:nilerr // its turn comes when it is the first
		}
		ready = append(ready, after)
	}
	return ready, nil, nil
}

// evaluate returns a dead letter as it is to be delivered.
func (r *run) evaluate(ctx context.Context, l *store.DeadLetter) (after *store.DeadLetter, keep bool, err error) {
	i := slices.IndexFunc(r.listeners, func(o *store.Listener) bool { return o.ID == l.Listener })
	if l.Kind != store.LetterExpression || i < 0 || r.reader.programs[i] == nil {
		return l, true, nil
	}
	keep, out, err := r.reader.programs[i].apply(ctx, l.Payload)
	if err != nil {
		return nil, false, fmt.Errorf("listener %q: %w", r.listeners[i].Name, err)
	}
	changed := *l
	if out != nil {
		if changed.Payload, err = withData(l.Payload, out); err != nil {
			return nil, false, fmt.Errorf("event %s: %w", l.Event, err)
		}
	}
	return &changed, keep, nil
}

// withData puts other data into an encoded event, or adds them.
func withData(event, data []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(event))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	start, end := -1, bytes.LastIndexByte(event, '}')
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if name == "data" { // the last one is the event's own
			end = int(d.InputOffset())
			start = end - len(value)
		}
	}
	if start < 0 {
		return slices.Concat(event[:end], []byte(`,"data":`), data, event[end:]), nil
	}
	return slices.Concat(event[:start], data, event[end:]), nil
}

// passed says that a dead letter is to be delivered to nobody.
func (d *delivery) passed(l *store.DeadLetter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replayed = append(d.replayed, l)
}
