package stream

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// applyOutlet checks where dead letters are to go, and overwrites what the request says. null takes it away.
func (m *Manager) applyOutlet(def *store.Stream, raw json.RawMessage) error {
	const field, fix = "deadLetter", `give {"type": "kafka", "kafka": {…}}, or null for none`
	if !isSet(raw) {
		if len(raw) > 0 {
			def.DeadLetter = nil
		}
		return nil
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return apitypes.Invalidf(field, fix, "must be an object")
	}
	old := def.DeadLetter
	if old == nil {
		old = new(store.SinkConfig)
	}
	next := &store.SinkConfig{Type: old.Type}
	if t, ok := given["type"]; ok && json.Unmarshal(t, &next.Type) != nil {
		return apitypes.Invalidf(field+".type", "must be text", "is something else")
	}
	next.Type = strings.ToLower(next.Type)
	f := m.sinks[next.Type]
	if f == nil || next.Type == apitypes.StreamWebSocket {
		kinds := slices.DeleteFunc(slices.Sorted(maps.Keys(m.sinks)), func(kind string) bool { return kind == apitypes.StreamWebSocket })
		return apitypes.Invalidf(field+".type", "must be one of "+strings.Join(kinds, ", "), "is %q", next.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if name != "type" && name != next.Type {
			return apitypes.Invalidf(field+"."+name, "leave it out; dead letters of this stream go to "+next.Type, "is not a field here")
		}
	}
	cfg, stored := given[next.Type], json.RawMessage(nil)
	if next.Type == old.Type {
		stored = old.Config
	}
	if !isSet(cfg) {
		cfg = stored
	}
	var err error
	if next.Config, err = valid(f, cfg, stored); err != nil {
		return within(field, within(next.Type, err))
	}
	def.DeadLetter = next
	return nil
}

// shownOutlet is where dead letters go, as it may be shown.
func (m *Manager) shownOutlet(def *store.Stream) json.RawMessage {
	o := def.DeadLetter
	if o == nil {
		return nil
	}
	body := map[string]any{"type": o.Type}
	if cfg := m.masked(o.Type, o.Config); isSet(cfg) {
		body[o.Type] = cfg
	}
	shown, err := json.Marshal(body)
	if err != nil { // what was stored is JSON
		return nil
	}
	return shown
}

// sameOutlet says whether dead letters of both go to the same place.
func sameOutlet(a, b *store.Stream) bool {
	if a.DeadLetter == nil || b.DeadLetter == nil {
		return a.DeadLetter == b.DeadLetter
	}
	return a.DeadLetter.Type == b.DeadLetter.Type && bytes.Equal(a.DeadLetter.Config, b.DeadLetter.Config)
}
