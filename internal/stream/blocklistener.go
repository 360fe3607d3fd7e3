package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// resolveBlocks checks a listener of type blocks and says where it starts.
func (m *Manager) resolveBlocks(ctx context.Context, l *store.Listener, from string) error {
	if len(l.Filters) > 0 {
		return apitypes.Invalidf("filters", "leave them out", "have no meaning for a listener of type %q: it delivers every block", l.Type)
	}
	ledger, err := blockLedger(l.Options)
	if err != nil {
		return err
	}
	ctx, cancel := call(ctx)
	defer cancel()
	info, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Ledger, error) { return m.opts.Connector.Ledger(ctx, ledger) })
	switch {
	case ffcapi.KindOf(err) == ffcapi.NotFound:
		return apitypes.Invalidf("options", `name the ledger whose blocks are wanted, e.g. {"ledger":"mychannel"}`, "name no ledger that is there: %v", err)
	case err != nil:
		return fmt.Errorf("ledger %q: %w", ledger, err)
	}
	l.Resolved = ffcapi.Listener{Ledger: ledger, Key: strings.TrimSpace(apitypes.ListenerBlocks + " " + ledger)}
	l.Resolved.Start, err = m.blocksFrom(ctx, ledger, info.Head.Number, from)
	return err
}

// blockLedger is the ledger that the options of a listener of type blocks name.
func blockLedger(options json.RawMessage) (string, error) {
	const fix = `give {"ledger":"mychannel"}, or leave them out where the chain has one ledger`
	if !isSet(options) {
		return "", nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(options, &members); err != nil {
		return "", apitypes.Invalidf("options", fix, "are %s", options)
	}
	var ledger string
	for name, value := range members {
		if name != "ledger" {
			return "", apitypes.Invalidf("options."+name, fix, "is not known")
		}
		if err := json.Unmarshal(value, &ledger); err != nil {
			return "", apitypes.Invalidf("options.ledger", fix, "is %s", value)
		}
	}
	return ledger, nil
}

// blocksFrom turns fromBlock into a position. The earliest block is the first that the node has.
func (m *Manager) blocksFrom(ctx context.Context, ledger string, head uint64, from string) (ffcapi.Cursor, error) {
	switch {
	case strings.EqualFold(from, apitypes.FromBlockLatest):
		return ffcapi.BlockStart(head + 1), nil
	case strings.EqualFold(from, apitypes.FromBlockEarliest):
		_, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Block, error) { return m.opts.Connector.Block(ctx, ledger, 0) })
		switch {
		case ffcapi.KindOf(err) == ffcapi.Pruned:
			return ffcapi.BlockStart(ffcapi.AsError(err).FirstBlock), nil
		case err != nil:
			return ffcapi.Cursor{}, fmt.Errorf("block 0 of ledger %q: %w", ledger, err)
		}
		return ffcapi.Cursor{}, nil
	}
	n, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		at, bad := ffcapi.ParseCursor(from)
		if bad != nil || at != ffcapi.BlockStart(at.Block) {
			return ffcapi.Cursor{}, apitypes.Invalidf("fromBlock", `give "earliest", "latest" or a block number`, "is %q", from)
		}
		n = at.Block
	}
	return ffcapi.BlockStart(n), nil
}
