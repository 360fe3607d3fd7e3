package devledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Forms of fromBlock besides a number.
const (
	fromLatest   = "latest"
	fromEarliest = "earliest"
)

const anyEvent = "*"

// filter is one filter in its resolved form, which the core stores. A filter is for asset events (Contract is set) or for the
// made-up ones (it is not).
type filter struct {
	Contract string `json:"contract,omitempty"`
	Event    string `json:"event"`
	Mod      int    `json:"mod,omitempty"` // made-up events only: those with index i where i%Mod == Rem
	Rem      int    `json:"rem,omitempty"`
}

// resolved is what the core stores of a listener.
type resolved struct {
	Filters []filter `json:"filters"`
}

func (l *ledger) parseFilters(field string, raws []json.RawMessage) ([]filter, error) {
	filters := make([]filter, 0, len(raws))
	for i, raw := range raws {
		f, err := l.parseFilter(fmt.Sprintf("%s[%d]", field, i), raw)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(filters, f) {
			filters = append(filters, f)
		}
	}
	slices.SortFunc(filters, func(a, b filter) int { return strings.Compare(a.signature(), b.signature()) })
	return filters, nil
}

// parseFilter reads a filter as a user writes it: {"contract", "event"}, or {"event":"E", "mod", "rem"}. "address" is FireFly's name
// for the contract, and an event may be FireFly's description of it, of which the name counts.
func (l *ledger) parseFilter(field string, raw json.RawMessage) (f filter, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return f, invalid(field, "it is not a JSON object")
	}
	contract := assetsContract
	for _, name := range sortedKeys(fields) {
		switch name {
		case "event", "mod", "rem":
		case "contract", "address":
			if contract, err = l.readContract(field+"."+name, fields[name]); err != nil {
				return f, err
			}
		default:
			return f, invalid(field+"."+name, "unknown field: a filter has contract (or address) and event")
		}
	}
	if f.Event, err = eventName(field, fields["event"]); err != nil {
		return f, err
	}
	if f.Event == syntheticEvent && l.chainIsSynthetic() {
		return f, f.readSynthetic(field, fields)
	}
	for _, name := range []string{"mod", "rem"} {
		if _, ok := fields[name]; ok {
			return f, invalid(field+"."+name, "it is for the event %q of a synthetic load (devledger.synthetic)", syntheticEvent)
		}
	}
	f.Contract = contract
	if f.Event != anyEvent && !slices.Contains(eventNames[noEvent+1:], f.Event) {
		return f, invalid(field+".event", "unknown event %q: the contract has %s", f.Event, strings.Join(eventNames[noEvent+1:], ", "))
	}
	return f, nil
}

// readContract reads the contract of a filter; none is the first one.
func (l *ledger) readContract(field string, raw json.RawMessage) (string, error) {
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return "", invalid(field, "it is not a string")
	}
	if name == "" {
		return assetsContract, nil
	}
	return name, l.checkContract(field, name)
}

// eventName reads the event of a filter: absent or "*" is any, an object is described by its name.
func eventName(field string, raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return anyEvent, nil
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if name == "" {
			return anyEvent, nil
		}
		return name, nil
	}
	var described struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &described); err != nil || described.Name == "" {
		return "", invalid(field+".event", `it is neither a name nor an object with a "name"`)
	}
	return described.Name, nil
}

func (f *filter) readSynthetic(field string, fields map[string]json.RawMessage) error {
	f.Mod = 1
	for name, to := range map[string]*int{"mod": &f.Mod, "rem": &f.Rem} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return invalid(field+"."+name, "it is not an integer")
			}
		}
	}
	if f.Mod < 1 || f.Mod > maxPerBlock {
		return invalid(field+".mod", "%d is not between 1 and %d", f.Mod, maxPerBlock)
	}
	if f.Rem < 0 || f.Rem >= f.Mod {
		return invalid(field+".rem", "%d is not between 0 and mod-1, %d", f.Rem, f.Mod-1)
	}
	return nil
}

// signature is the filter as people read it.
func (f filter) signature() string {
	switch {
	case f.Contract != "":
		return f.Contract + ":" + f.Event
	case f.Mod <= 1:
		return f.Event
	default:
		return fmt.Sprintf("%s [%d/%d]", f.Event, f.Rem, f.Mod)
	}
}

func (f filter) matchesAsset(contract string, e event) bool {
	return f.Contract == contract && (f.Event == anyEvent || f.Event == eventNames[e])
}

// matchesSynthetic reports whether the filter wants made-up event i of a block.
func (f filter) matchesSynthetic(i int) bool {
	return f.Contract == "" && f.Event == syntheticEvent && i%f.Mod == f.Rem
}

// Listener implements ffcapi.Connector.
func (l *ledger) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	if err := l.enter(ctx, MethodListener, ""); err != nil {
		return nil, err
	}
	if len(spec.Filters) == 0 {
		return nil, invalid("filters", `there is none: e.g. {"event":"AssetCreated"}, or {} for all events of the contract`)
	}
	filters, err := l.parseFilters("filters", spec.Filters)
	if err != nil {
		return nil, err
	}
	if err := noFields("options", spec.Options); err != nil {
		return nil, err
	}
	start, err := l.start(spec.FromBlock)
	if err != nil {
		return nil, err
	}
	out := &ffcapi.Listener{Start: start}
	if out.Resolved, err = json.Marshal(resolved{filters}); err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "filters: %w", err)
	}
	sum := sha256.Sum256(out.Resolved)
	out.Key = hex.EncodeToString(sum[:])
	names := make([]string, len(filters))
	for i, f := range filters {
		names[i] = f.signature()
	}
	out.Signature = strings.Join(names, ", ")
	return out, nil
}

// start resolves fromBlock.
func (l *ledger) start(from string) (ffcapi.Cursor, error) {
	switch from {
	case fromEarliest:
		return ffcapi.Cursor{}, nil
	case fromLatest, "":
		l.mu.RLock()
		defer l.mu.RUnlock()
		return ffcapi.BlockStart(l.visible()), nil
	}
	n, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return ffcapi.Cursor{}, invalid("fromBlock", "%q is none of %q, %q and a block number", from, fromEarliest, fromLatest)
	}
	return ffcapi.BlockStart(n), nil
}
