package fabric

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
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

// filter is one filter of a listener, as it is stored. Event is a name, an expression between slashes, or "" for all events.
type filter struct {
	Channel   string `json:"channel"`
	Chaincode string `json:"chaincode"`
	Event     string `json:"event,omitempty"`
}

// resolved is what the core stores of a listener.
type resolved struct {
	Filters []filter `json:"filters"`
}

// rawFilter is a filter as a user writes it. Event may be FireFly's description of an event, of which the name counts.
type rawFilter struct {
	Channel   string          `json:"channel"`
	Chaincode string          `json:"chaincode"`
	Event     json.RawMessage `json:"event"`
}

// parseFilter reads one filter. channel is meant where it names none.
func parseFilter(field string, raw json.RawMessage, channel string) (filter, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return filter{}, invalid(field, "it is empty")
	}
	var r rawFilter
	if err := strictJSON(field, raw, &r); err != nil {
		return filter{}, err
	}
	f := filter{Channel: r.Channel, Chaincode: r.Chaincode}
	if f.Channel == "" {
		f.Channel = channel
	}
	if f.Chaincode == "" {
		return f, invalid(field+".chaincode", "it must be set")
	}
	if len(r.Event) > 0 && string(r.Event) != "null" {
		name, err := eventName(field, r.Event)
		if err != nil {
			return f, err
		}
		f.Event = name
	}
	if _, err := f.matcher(); err != nil {
		return f, invalid(field+".event", "%s is no regular expression: %v", f.Event, err)
	}
	return f, nil
}

func eventName(field string, raw json.RawMessage) (string, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
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

// matcher returns what decides about the name of an event.
func (f filter) matcher() (func(name string) bool, error) {
	switch {
	case f.Event == "":
		return func(string) bool { return true }, nil
	case len(f.Event) > 1 && strings.HasPrefix(f.Event, "/") && strings.HasSuffix(f.Event, "/"):
		re, err := regexp.Compile(f.Event[1 : len(f.Event)-1])
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	default:
		return func(name string) bool { return name == f.Event }, nil
	}
}

// signature is the filter as people read it.
func (f filter) signature() string {
	if f.Event == "" {
		return f.Chaincode + ":*"
	}
	return f.Chaincode + ":" + f.Event
}

func compareFilters(a, b filter) int {
	return slices.Compare([]string{a.Channel, a.Chaincode, a.Event}, []string{b.Channel, b.Chaincode, b.Event})
}

// parseFilters reads filters, which must all be for one channel, into their canonical order.
func (c *Connector) parseFilters(raws []json.RawMessage) ([]filter, error) {
	if len(raws) == 0 {
		return nil, invalid("filters", `there is none: e.g. {"channel":"mychannel","chaincode":"mycode","event":"MyEvent"}`)
	}
	var out []filter
	for i, raw := range raws {
		field := fmt.Sprintf("filters[%d]", i)
		f, err := parseFilter(field, raw, c.cfg.Channels[0])
		if err != nil {
			return nil, err
		}
		if c.channel(f.Channel) != nil {
			return nil, invalid(field+".channel", "there is no channel %q: fabric.channels has %q", f.Channel, c.cfg.Channels)
		}
		if i > 0 && f.Channel != out[0].Channel {
			return nil, invalid(field+".channel", "%q is not the channel of the first filter, %q: make two listeners", f.Channel, out[0].Channel)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, compareFilters)
	return slices.Compact(out), nil
}

// Listener implements ffcapi.Connector.
func (c *Connector) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	filters, err := c.parseFilters(spec.Filters)
	if err != nil {
		return nil, err
	}
	if err := strictJSON("options", spec.Options, &struct{}{}); err != nil {
		return nil, err
	}
	out := &ffcapi.Listener{Ledger: filters[0].Channel}
	if out.Start, err = c.startOf(ctx, out.Ledger, spec.FromBlock); err != nil {
		return nil, err
	}
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

// startOf resolves fromBlock.
func (c *Connector) startOf(ctx context.Context, ledger, from string) (at ffcapi.Cursor, err error) {
	switch from {
	case fromEarliest:
		return ffcapi.Cursor{}, nil
	case fromLatest, "":
		err := c.visit(ctx, c.cfg.Timeouts.Evaluate, ledger, func(ctx context.Context, n *node, s *signer) error {
			info, e := n.chainInfo(ctx, s, ledger)
			if e != nil {
				return e
			}
			at = ffcapi.BlockStart(info.head.Number + 1)
			return nil
		})
		return at, err
	}
	number, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return at, invalid("fromBlock", "%q is none of %q, %q and a block number", from, fromEarliest, fromLatest)
	}
	return ffcapi.BlockStart(number), nil
}
