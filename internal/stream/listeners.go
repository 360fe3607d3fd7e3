package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// maxNameTries is how often a number is put behind a made-up name before its maker gives up.
	maxNameTries = 50
	// fewNames is how many numbers in a row are tried.
	fewNames = 10
)

// CreateListener adds a listener to a stream, given by id or name or, if that is empty, in the request. It starts at fromBlock;
// "latest" is resolved now. A running stream goes on from its checkpoints. Errors: store.ErrNotFound, store.ErrConflict
// for a name that is taken, *apitypes.Invalid, *ffcapi.Error for what the chain refuses.
func (m *Manager) CreateListener(ctx context.Context, streamIDOrName string, body *apitypes.Listener) (*apitypes.Listener, error) {
	if streamIDOrName == "" {
		if body.Stream == nil {
			return nil, apitypes.Invalidf("stream", "give the id of the stream", "is missing")
		}
		streamIDOrName = body.Stream.String()
	}
	kind, err := m.listenerType(body)
	if err != nil {
		return nil, err
	}
	s, err := m.find(streamIDOrName)
	if err != nil {
		return nil, err
	}
	if err := refuse(s.current()); err != nil {
		return nil, err
	}
	l := newListenerDef(s.id, kind)
	if err := applyListener(l, body); err != nil {
		return nil, err
	}
	// A chain that does not answer must hold up no other change of the stream.
	if err := m.resolve(ctx, l, l.FromBlock); err != nil {
		return nil, err
	}
	if err := checkEnd(l); err != nil {
		return nil, err
	}
	_, release, err := m.change(ctx, s.id)
	if err != nil {
		return nil, err
	}
	defer release()
	l.Created = m.opts.Now()
	l.Updated = l.Created
	if err := m.insertListener(ctx, s, l, body.Name == nil); err != nil {
		return nil, err
	}
	s.refresh(l.Seq)
	return listenerBody(l)
}

// newListenerDef is a listener of which nothing is said yet.
func newListenerDef(stream, kind string) *store.Listener {
	return &store.Listener{ID: fftypes.NewUUID().String(), StreamID: stream, Type: kind, FromBlock: apitypes.FromBlockLatest}
}

// insertListener stores a new listener. A name that was made up is made unique. The caller holds the token of the stream.
func (m *Manager) insertListener(ctx context.Context, s *stream, l *store.Listener, madeUp bool) error {
	if !madeUp {
		if err := m.opts.Store.InsertListener(ctx, l); err != nil {
			return taken(err, "listener", l.Name)
		}
		return nil
	}
	base := orElse(l.Resolved.Signature, l.Type)
	n := max(s.named[base], 1)
	for try := 1; ; try++ {
		l.Name = base
		if n > 1 {
			l.Name = fmt.Sprintf("%s-%d", base, n)
		}
		err := m.opts.Store.InsertListener(ctx, l)
		if err == nil {
			if s.named == nil {
				s.named = make(map[string]int)
			}
			s.named[base] = n + 1
		}
		if err == nil || !errors.Is(err, store.ErrConflict) || try == maxNameTries {
			return err
		}
		if n++; try > fewNames {
			n *= 2 // there are many of them
		}
	}
}

// listenerType is the type that a request asks for.
func (m *Manager) listenerType(body *apitypes.Listener) (string, error) {
	switch {
	case body.Type == nil || strings.EqualFold(*body.Type, apitypes.ListenerEvents):
		return apitypes.ListenerEvents, nil
	case strings.EqualFold(*body.Type, apitypes.ListenerBlocks):
		return apitypes.ListenerBlocks, nil
	case strings.EqualFold(*body.Type, apitypes.ListenerTransactions) && m.opts.Changes != nil:
		return apitypes.ListenerTransactions, nil
	default:
		return "", apitypes.Invalidf("type", `must be "events", "blocks" or "transactions"`, "is %q, which this server does not have", *body.Type)
	}
}

// applyListener overwrites what the request says.
func applyListener(l *store.Listener, body *apitypes.Listener) error {
	if body.Name != nil {
		if err := checkName(*body.Name); err != nil {
			return err
		}
		l.Name = *body.Name
	}
	if body.FromBlock != nil {
		l.FromBlock = orElse(string(*body.FromBlock), apitypes.FromBlockLatest)
	}
	if err := applyEnd(l, body.ToBlock); err != nil {
		return err
	}
	switch {
	case len(body.Filters) > 0:
		l.Filters = body.Filters
	case isSet(body.Event) || isSet(body.Address):
		filter := make(map[string]json.RawMessage, 2)
		if isSet(body.Event) {
			filter["event"] = body.Event
		}
		if isSet(body.Address) {
			filter["address"] = body.Address
		}
		raw, err := json.Marshal(filter)
		if err != nil {
			return apitypes.Invalidf("event", "must be JSON", "%v", err)
		}
		l.Filters = []json.RawMessage{raw}
	}
	if isSet(body.Options) {
		l.Options = body.Options
	}
	if err := applyPrograms(l, body); err != nil {
		return err
	}
	return applyMethods(l, body.Methods)
}

// applyMethods puts methods, an alias of older clients, into the options.
func applyMethods(l *store.Listener, methods []json.RawMessage) error {
	if len(methods) == 0 {
		return nil
	}
	options := make(map[string]json.RawMessage)
	if isSet(l.Options) {
		if err := json.Unmarshal(l.Options, &options); err != nil {
			return apitypes.Invalidf("options", "must be an object", "is %s", l.Options)
		}
	}
	list, err := json.Marshal(methods)
	if err != nil {
		return apitypes.Invalidf("methods", "must be JSON", "%v", err)
	}
	options["methods"], options["signer"] = list, json.RawMessage("true")
	l.Options, err = json.Marshal(options)
	return err
}

// resolve lets the connector, or for status changes the log of them, check a listener and say where it starts.
func (m *Manager) resolve(ctx context.Context, l *store.Listener, from string) error {
	switch kindOf(l) {
	case ofChanges:
		return m.resolveChanges(ctx, l, from)
	case ofBlocks:
		return m.resolveBlocks(ctx, l, from)
	case ofEvents:
	}
	at, exact := exactly(from)
	if exact {
		from = strconv.FormatUint(at.Block, 10)
	}
	ctx, cancel := call(ctx)
	defer cancel()
	resolved, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Listener, error) {
		return m.opts.Connector.Listener(ctx, &ffcapi.ListenerSpec{Filters: l.Filters, Options: l.Options, FromBlock: from})
	})
	if err != nil {
		return err
	}
	l.Resolved = *resolved
	if exact {
		l.Resolved.Start = at
	}
	return nil
}

// UpdateListener changes what the request names. It never moves the checkpoint: another fromBlock is refused, and so are filters that match
// other events, see ResetListener and CreateListener. The stream, in, may be "" for any.
func (m *Manager) UpdateListener(ctx context.Context, in, listener string, body *apitypes.Listener) (*apitypes.Listener, error) {
	if body == nil {
		body = &apitypes.Listener{}
	}
	s, old, l, release, err := m.redefine(ctx, in, listener, func(s *stream, old *store.Listener) (*store.Listener, error) {
		l, err := m.changed(old, body)
		if err == nil {
			err = refuse(s.current())
		}
		if err != nil || sameListener(old, l) {
			return l, err
		}
		if err := m.recheck(ctx, old, l); err != nil {
			return nil, err
		}
		return l, checkEnd(l)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	if sameListener(old, l) {
		return listenerBody(old)
	}
	l.Updated = m.opts.Now()
	err = s.restart(ctx, func() error {
		if err := m.opts.Store.UpdateListener(context.WithoutCancel(ctx), l); err != nil {
			return taken(err, "listener", l.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return listenerBody(l)
}

// redefine finds a listener, asks what it is to be, and makes the caller the only one who changes its stream. The stream is not held meanwhile,
// because the chain may be asked: if somebody else changes the listener first, it is asked again.
func (m *Manager) redefine(
	ctx context.Context, in, listener string, as func(s *stream, old *store.Listener) (*store.Listener, error),
) (s *stream, old, l *store.Listener, release func(), err error) {
	for {
		if s, old, err = m.locateListener(ctx, in, listener); err != nil {
			return nil, nil, nil, nil, err
		}
		if l, err = as(s, old); err != nil {
			return nil, nil, nil, nil, err
		}
		_, now, release, err := m.holdListener(ctx, s.id, old.ID)
		if err != nil {
			return nil, nil, nil, nil, err
		}
		if unchanged(old, now) {
			return s, old, l, release, nil
		}
		release()
	}
}

// unchanged says that nobody has changed a listener.
func unchanged(before, now *store.Listener) bool {
	return before.ID == now.ID && before.Updated.Equal(now.Updated) && before.Resolved.Start == now.Resolved.Start && sameListener(before, now)
}

// changed is a listener with what a request names.
func (m *Manager) changed(old *store.Listener, body *apitypes.Listener) (*store.Listener, error) {
	if kind, err := m.listenerType(body); err != nil {
		return nil, err
	} else if body.Type != nil && kind != old.Type {
		return nil, apitypes.Invalidf("type", "leave it out, or create another listener", "cannot be changed from %q", old.Type)
	}
	l := *old
	return &l, applyListener(&l, body)
}

// recheck lets the connector check a listener that changes and stays where it is.
func (m *Manager) recheck(ctx context.Context, old, l *store.Listener) error {
	if l.FromBlock != old.FromBlock {
		return apitypes.Invalidf("fromBlock", "leave it out, or POST it to the listener's /reset to deliver again from there", "cannot be changed from %q without a reset", old.FromBlock)
	}
	if err := m.resolveAgain(ctx, old, l, apitypes.FromBlockEarliest); err != nil { // any will do: the start is kept
		return err
	}
	l.Resolved.Start = old.Resolved.Start
	return nil
}

// resolveAgain lets the connector check a listener that changes, and say where it starts. Nothing changes what it matches.
func (m *Manager) resolveAgain(ctx context.Context, old, l *store.Listener, from string) error {
	if err := m.resolve(ctx, l, from); err != nil {
		return err
	}
	if l.Resolved.Key != old.Resolved.Key || l.Resolved.Ledger != old.Resolved.Ledger || l.Resolved.Signature != old.Resolved.Signature {
		return apitypes.Invalidf("filters", "create another listener for them", "match other events (%s) than before (%s)", l.Resolved.Signature, old.Resolved.Signature)
	}
	return nil
}

func sameListener(a, b *store.Listener) bool {
	return a.Name == b.Name && a.FromBlock == b.FromBlock && endOf(a) == endOf(b) && a.Where == b.Where && a.Transform == b.Transform && string(a.Options) == string(b.Options) &&
		slices.EqualFunc(a.Filters, b.Filters, func(x, y json.RawMessage) bool { return string(x) == string(y) })
}

// DeleteListener deletes a listener with its checkpoint. stream may be "" for any.
func (m *Manager) DeleteListener(ctx context.Context, stream, listener string) error {
	s, l, release, err := m.holdListener(ctx, stream, listener)
	if err != nil {
		return err
	}
	defer release()
	if !l.Undeclared {
		if err := refuse(s.current()); err != nil {
			return err
		}
	}
	return s.restart(ctx, func() error { return m.opts.Store.DeleteListener(ctx, l.ID) })
}

// holdListener finds a listener, and makes the caller the only one who changes its stream.
func (m *Manager) holdListener(ctx context.Context, stream, listener string) (*stream, *store.Listener, func(), error) {
	l, err := m.findListener(ctx, stream, listener)
	if err != nil {
		return nil, nil, nil, err
	}
	s, release, err := m.change(ctx, l.StreamID)
	if err != nil {
		return nil, nil, nil, err
	}
	if l, err = m.opts.Store.Listener(ctx, l.ID); err != nil { // it may have changed meanwhile
		release()
		return nil, nil, nil, err
	}
	return s, l, release, nil
}

// locateListener finds a listener and its stream.
func (m *Manager) locateListener(ctx context.Context, in, listener string) (*stream, *store.Listener, error) {
	l, err := m.findListener(ctx, in, listener)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.find(l.StreamID)
	return s, l, err
}

// streamID returns the id of a stream that is named by id or name; "" for "", which is any.
func (m *Manager) streamID(stream string) (string, error) {
	if stream == "" {
		return "", nil
	}
	s, err := m.find(stream)
	if err != nil {
		return "", err
	}
	return s.id, nil
}

// findListener returns a listener by id or, within a stream, by name.
func (m *Manager) findListener(ctx context.Context, stream, listener string) (*store.Listener, error) {
	in, err := m.streamID(stream)
	if err != nil {
		return nil, err
	}
	l, err := m.opts.Store.Listener(ctx, listener)
	switch {
	case err == nil && (in == "" || l.StreamID == in):
		return l, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("listener %q: %w", listener, err)
	}
	if in != "" {
		all, err := m.storedListeners(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			if l.Name == listener {
				return l, nil
			}
		}
	}
	return nil, fmt.Errorf("listener %q: %w", listener, store.ErrNotFound)
}
