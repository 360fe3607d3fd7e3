package fabric

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// What a listener can get of what matches.
const (
	payloadFull     = "full"     // the default
	payloadFiltered = "filtered" // ids, names and codes, but nothing that chaincodes or clients wrote
)

// listenerOptions are the options of a listener as a user writes them.
type listenerOptions struct {
	Payload        string `json:"payload"`
	IncludeInvalid bool   `json:"includeInvalid"`
}

// resolved is what the core stores of a listener. It is the same for listeners that match the same, however they are written.
type resolved struct {
	Filters        []filter `json:"filters"`
	Filtered       bool     `json:"filtered,omitempty"`
	IncludeInvalid bool     `json:"includeInvalid,omitempty"`
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
	return slices.CompactFunc(out, sameFilter), nil
}

// parseOptions reads the options of a listener.
func parseOptions(raw json.RawMessage) (o listenerOptions, err error) {
	if err := strictJSON("options", raw, &o); err != nil {
		return o, err
	}
	if o.Payload != "" && o.Payload != payloadFull && o.Payload != payloadFiltered {
		return o, invalid("options.payload", "%q is neither %q nor %q", o.Payload, payloadFull, payloadFiltered)
	}
	return o, nil
}

// Listener implements ffcapi.Connector.
func (c *Connector) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	filters, err := c.parseFilters(spec.Filters)
	if err != nil {
		return nil, err
	}
	options, err := parseOptions(spec.Options)
	if err != nil {
		return nil, err
	}
	out := &ffcapi.Listener{Ledger: filters[0].Channel}
	if out.Start, err = c.startOf(ctx, out.Ledger, spec.FromBlock); err != nil {
		return nil, err
	}
	if out.Resolved, err = json.Marshal(resolved{filters, options.Payload == payloadFiltered, options.IncludeInvalid}); err != nil {
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
