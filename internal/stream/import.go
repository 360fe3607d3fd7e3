package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// ImportOptions say how streams of another server are taken over.
type ImportOptions struct {
	Resume bool // those that run there run here, too; else all are suspended, so that nobody gets events from both
	DryRun bool // nothing is written
}

// importing is one import under way.
type importing struct {
	m       *Manager
	o       ImportOptions
	stored  []*store.Stream
	entries []apitypes.ImportEntry
	writes  []func(ctx context.Context) error
}

// Import takes over the streams of another server with their ids, times, settings and positions. The manager must not have been started. All
// is looked at before anything is written, and a chain that cannot be reached is an error. A second import of the same changes nothing:
// streams that are here stay as they are, and a listener that is here only follows its old place for as long as it has delivered nothing
// and was not changed here. The entries tell what became of each stream and listener.
func (m *Manager) Import(ctx context.Context, streams []*apitypes.MovedStream, o ImportOptions) ([]apitypes.ImportEntry, error) {
	im := &importing{m: m, o: o, entries: []apitypes.ImportEntry{}}
	var err error
	if im.stored, err = m.storedStreams(ctx); err != nil {
		return nil, err
	}
	for _, s := range streams {
		if err := im.stream(ctx, s); err != nil {
			return nil, err
		}
	}
	if o.DryRun {
		return im.entries, nil
	}
	for _, write := range im.writes {
		if err := write(ctx); err != nil {
			return nil, fmt.Errorf("the import ended halfway, and goes on when it is repeated: %w", err)
		}
	}
	return im.entries, nil
}

func (im *importing) add(e apitypes.ImportEntry, action string, notes ...string) {
	if e.Action = action; action == apitypes.ImportSkipped {
		e.Notes = nil // about what it would have become
	}
	e.Notes = slices.Concat(e.Notes, notes)
	im.entries = append(im.entries, e)
}

// stream plans what becomes of a stream and its listeners.
func (im *importing) stream(ctx context.Context, s *apitypes.MovedStream) error {
	e := apitypes.ImportEntry{Stream: *s.Name, ID: s.ID.String(), Notes: s.Notes}
	i := slices.IndexFunc(im.stored, func(st *store.Stream) bool { return st.ID == e.ID || st.Name == e.Stream })
	var known []*store.Listener
	switch {
	case i >= 0 && im.stored[i].ID != e.ID:
		im.skipAll(e, s, fmt.Sprintf("its name is taken by stream %s", im.stored[i].ID))
		return nil
	case i < 0 && slices.ContainsFunc(im.m.declared, func(c *declaration) bool { return c.def.Name == e.Stream }):
		im.skipAll(e, s, "the configuration declares a stream of its name")
		return nil
	case i >= 0:
		var err error
		if known, err = im.m.storedListeners(ctx, e.ID); err != nil {
			return err
		}
		e.Notes = nil
		im.add(e, apitypes.ImportUnchanged)
	default:
		def, err := im.m.newStreamDef(&s.EventStream)
		if err != nil {
			im.skipAll(e, s, err.Error())
			return nil
		}
		def.ID = e.ID
		def.Created, def.Updated = timeOf(s.Created, def.Created), timeOf(s.Updated, def.Updated)
		def.Suspended = def.Suspended || !im.o.Resume
		im.stored = append(im.stored, def)
		im.writes = append(im.writes, func(ctx context.Context) error { return im.m.opts.Store.InsertStream(ctx, def) })
		im.add(e, apitypes.ImportCreated)
	}
	for _, l := range s.Listeners {
		made, err := im.listener(ctx, e, l, known)
		if err != nil {
			return err
		}
		if made != nil {
			known = append(known, made)
		}
	}
	return nil
}

func (im *importing) skipAll(e apitypes.ImportEntry, s *apitypes.MovedStream, why string) {
	im.add(e, apitypes.ImportSkipped, why)
	for _, l := range s.Listeners {
		im.add(entryOf(e, l), apitypes.ImportSkipped, "its stream is not taken over")
	}
}

func entryOf(stream apitypes.ImportEntry, l *apitypes.MovedListener) apitypes.ImportEntry {
	e := apitypes.ImportEntry{Stream: stream.Stream, ID: l.ID.String(), Listener: l.ID.String(), Notes: l.Notes}
	if l.Name != nil && *l.Name != "" {
		e.Listener = *l.Name
	}
	return e
}

// listener plans what becomes of a listener. It returns the one that is made, if one is.
func (im *importing) listener(ctx context.Context, stream apitypes.ImportEntry, moved *apitypes.MovedListener, known []*store.Listener) (*store.Listener, error) {
	e := entryOf(stream, moved)
	if i := slices.IndexFunc(known, func(l *store.Listener) bool { return l.ID == e.ID }); i >= 0 {
		return nil, im.again(ctx, e, moved, known[i])
	}
	if _, err := im.m.opts.Store.Listener(ctx, e.ID); err == nil {
		im.add(e, apitypes.ImportSkipped, "another stream here has a listener of its id")
		return nil, nil //nolint:nilnil // none is made
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if moved.Stays != "" {
		im.add(e, apitypes.ImportSkipped, moved.Stays)
		return nil, nil //nolint:nilnil // none is made
	}
	l, err := im.define(ctx, stream.ID, moved)
	if wrong(err) {
		im.add(e, apitypes.ImportSkipped, err.Error())
		return nil, nil //nolint:nilnil // none is made
	}
	if err != nil {
		return nil, fmt.Errorf("listener %q of stream %q cannot be resolved now, and nothing is taken over: %w", e.Listener, e.Stream, err)
	}
	base := l.Name
	for i := 2; slices.ContainsFunc(known, func(o *store.Listener) bool { return o.Name == l.Name }); i++ {
		l.Name = fmt.Sprintf("%s-%d", base, i)
	}
	if l.Name != base {
		e.Notes = append(slices.Clone(e.Notes), fmt.Sprintf("it was called %q, as another listener of the stream is", base))
		e.Listener = l.Name
	}
	im.writes = append(im.writes, func(ctx context.Context) error { return im.m.opts.Store.InsertListener(ctx, l) })
	e.Position = l.Resolved.Start.String()
	im.add(e, apitypes.ImportCreated)
	return l, nil
}

// define makes a listener of a moved one. It starts where the other server was.
func (im *importing) define(ctx context.Context, stream string, moved *apitypes.MovedListener) (*store.Listener, error) {
	kind, err := im.m.listenerType(&moved.Listener)
	if err != nil {
		return nil, err
	}
	l := newListenerDef(stream, kind)
	l.ID = moved.ID.String()
	if moved.Name == nil || *moved.Name == "" { // one of blocks has no signature to be called after
		moved.Name = &kind
	}
	if err := applyListener(l, &moved.Listener); err != nil {
		return nil, err
	}
	from := l.FromBlock
	if moved.Position != nil {
		from = apitypes.FromBlockEarliest // any will do
	}
	if err := im.m.resolve(ctx, l, from); err != nil {
		return nil, err
	}
	if moved.Position != nil {
		l.Resolved.Start = placeOf(moved.Position)
	}
	l.Created = timeOf(moved.Created, im.m.opts.Now())
	l.Updated = timeOf(moved.Updated, l.Created)
	return l, nil
}

// again is about a listener that is here already.
func (im *importing) again(ctx context.Context, e apitypes.ImportEntry, moved *apitypes.MovedListener, l *store.Listener) error {
	e.Listener, e.Notes, e.Position = l.Name, nil, l.Resolved.Start.String()
	cps, err := im.m.opts.Store.Checkpoints(ctx, l.StreamID)
	if err != nil {
		return fmt.Errorf("checkpoint of listener %q: %w", l.Name, err)
	}
	updated := timeOf(moved.Updated, timeOf(moved.Created, time.Time{}))
	switch i := slices.IndexFunc(cps, func(cp store.Checkpoint) bool { return cp.Listener == l.ID }); {
	case i >= 0:
		e.Position = cps[i].Cursor.String()
		im.add(e, apitypes.ImportUnchanged, "it has been delivering here")
	case !l.Updated.Equal(updated.Truncate(time.Microsecond)) && !l.Updated.Equal(updated):
		im.add(e, apitypes.ImportUnchanged, "it was changed here")
	case moved.Stays != "" || moved.Position == nil || placeOf(moved.Position) == l.Resolved.Start:
		im.add(e, apitypes.ImportUnchanged)
	default:
		to := *l
		to.Resolved.Start = placeOf(moved.Position)
		im.writes = append(im.writes, func(ctx context.Context) error { return im.m.opts.Store.UpdateListener(ctx, &to) })
		e.Position = to.Resolved.Start.String()
		im.add(e, apitypes.ImportUpdated)
	}
	return nil
}

func placeOf(at *apitypes.ListenerCheckpoint) ffcapi.Cursor {
	return ffcapi.Cursor{Block: at.Block, Tx: at.TransactionIndex, Log: at.LogIndex}
}

func timeOf(t *fftypes.FFTime, without time.Time) time.Time {
	if t == nil {
		return without
	}
	return time.Time(*t).UTC()
}
