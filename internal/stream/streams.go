package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// defaultPage is how many streams or listeners a list holds when nobody says.
const defaultPage = 50

// CreateStream makes a stream and, unless it is suspended, runs it. Errors: *apitypes.Invalid, store.ErrConflict for a name that
// is taken.
func (m *Manager) CreateStream(ctx context.Context, body *apitypes.EventStream) (*apitypes.EventStream, error) {
	if m.group.Context().Err() != nil {
		return nil, apitypes.ErrStopping
	}
	def, err := m.newStreamDef(body)
	if err != nil {
		return nil, err
	}
	if err := m.free(def); err != nil {
		return nil, err
	}
	if err := m.probe(ctx, def, new(store.Stream)); err != nil {
		return nil, err
	}
	s := m.newStream(def.ID)
	release, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := m.opts.Store.InsertStream(ctx, def); err != nil {
		return nil, taken(err, "stream", def.Name)
	}
	s.open(context.WithoutCancel(ctx), def)
	m.add(s)
	if err := s.start(); err != nil {
		return nil, err
	}
	return m.streamBody(def)
}

// UpdateStream changes what the request names. It takes effect at once, from the stored checkpoint, which it never moves. Errors:
// store.ErrNotFound, store.ErrConflict for a name that is taken, *apitypes.Invalid.
func (m *Manager) UpdateStream(ctx context.Context, idOrName string, body *apitypes.EventStream) (*apitypes.EventStream, error) {
	var tried store.Stream // whose receivers have answered
	for {
		def, err := m.updateTried(ctx, &idOrName, body, &tried)
		var first *untried
		switch {
		case err == nil:
			return m.streamBody(def)
		case !errors.As(err, &first):
			return nil, err
		}
		if err := m.probe(ctx, first.def, first.old, &tried); err != nil {
			return nil, err
		}
		tried = *first.def
	}
}

// untried says that the receivers of a stream, as a request would have it, are to be tried before it is changed. That takes time, in which nobody else is
// to wait for the stream; whoever changes it meanwhile makes the request be applied to something else, and other receivers may have to be tried then.
type untried struct{ def, old *store.Stream }

func (u *untried) Error() string {
	return fmt.Sprintf("the receivers of stream %q are to be tried first", u.def.Name)
}

// updateTried changes a stream, unless it would get receivers by that which were not tried: that is an *untried. What was a name becomes the id, which
// outlives a renaming.
func (m *Manager) updateTried(ctx context.Context, idOrName *string, body *apitypes.EventStream, tried *store.Stream) (*store.Stream, error) {
	s, release, err := m.change(ctx, *idOrName)
	if err != nil {
		return nil, err
	}
	defer release()
	*idOrName = s.id
	if err := refuse(s.current()); err != nil {
		return nil, err
	}
	return s.update(ctx, func(def *store.Stream) error {
		old := *def
		if err := m.apply(def, body, false); err != nil {
			return err
		}
		if err := m.free(def); err != nil {
			return err
		}
		if m.unknown(def, &old, tried) != (sinks{}) {
			return &untried{def, &old}
		}
		return nil
	})
}

// free refuses a name that another stream has, before anything is done for the request. The store has the last word.
func (m *Manager) free(def *store.Stream) error {
	for _, s := range m.some() {
		if s.id != def.ID && s.current().Name == def.Name {
			return &nameTaken{what: "stream", name: def.Name}
		}
	}
	return nil
}

// SuspendStream stops a stream; it keeps its position. A stream that is suspended stays so.
func (m *Manager) SuspendStream(ctx context.Context, idOrName string) error {
	return m.suspend(ctx, idOrName, true)
}

// ResumeStream runs a stream again. One that has failed tries again.
func (m *Manager) ResumeStream(ctx context.Context, idOrName string) error {
	return m.suspend(ctx, idOrName, false)
}

func (m *Manager) suspend(ctx context.Context, idOrName string, suspended bool) error {
	s, release, err := m.change(ctx, idOrName)
	if err != nil {
		return err
	}
	defer release()
	if def := s.current(); !suspended && def.Undeclared {
		return &declaredError{fmt.Sprintf("stream %q is no longer in the configuration: put it back there, or delete it here", def.Name)}
	}
	if !suspended && s.failed() != nil && !s.current().Suspended {
		return s.restart(ctx, func() error {
			def := s.current()
			if s.reopens() {
				s.open(context.WithoutCancel(ctx), def)
			}
			return nil
		})
	}
	_, err = s.update(ctx, func(def *store.Stream) error {
		setSuspended(def, suspended)
		return nil
	})
	return err
}

// setSuspended is what a request to suspend or resume does. The reason of a stream that is suspended already stays.
func setSuspended(def *store.Stream, suspended bool) {
	def.Suspended = suspended
	if !suspended {
		def.SuspendedReason = ""
	}
}

// update changes the stored stream and restarts it. When nothing changes, nothing is disturbed. The caller holds the token.
func (s *stream) update(ctx context.Context, change func(def *store.Stream) error) (*store.Stream, error) {
	old := s.current()
	def := *old
	if err := change(&def); err != nil {
		return nil, err
	}
	if sameStream(old, &def) {
		return old, nil
	}
	def.Updated = s.m.opts.Now()
	err := s.restart(ctx, func() error {
		// From here on the change is carried out even if the client leaves.
		ctx := context.WithoutCancel(ctx)
		which := s.outdated(old, &def)
		if which == (sinks{}) {
			if err := s.m.opts.Store.UpdateStream(ctx, &def); err != nil {
				return fmt.Errorf("stream %q: %w", def.Name, err)
			}
			s.replace(&def)
			return nil
		}
		return s.reopen(ctx, which, old, &def)
	})
	return &def, err
}

// reopen stores a change that needs other sinks. The old ones are closed before the store gives the stream's name away, because the stream that
// takes the name opens its own at once.
func (s *stream) reopen(ctx context.Context, which sinks, old, def *store.Stream) error {
	s.closeSoon(ctx, which, stopTimeout)
	if err := s.m.opts.Store.UpdateStream(ctx, def); err != nil {
		s.open(ctx, old)
		return taken(err, "stream", def.Name)
	}
	s.open(ctx, def)
	return nil
}

// taken says in a sentence what a conflict over the name of something is.
func taken(err error, what, name string) error {
	if errors.Is(err, store.ErrConflict) {
		return &nameTaken{what: what, name: name}
	}
	return fmt.Errorf("%s %q: %w", what, name, err)
}

// nameTaken is a store.ErrConflict for those who gave the name.
type nameTaken struct{ what, name string }

func (e *nameTaken) Error() string { return fmt.Sprintf("%s name %q is taken", e.what, e.name) }
func (e *nameTaken) Unwrap() error { return store.ErrConflict }

func sameStream(a, b *store.Stream) bool {
	return bytes.Equal(a.Sink, b.Sink) && a.Name == b.Name && a.Suspended == b.Suspended && a.Type == b.Type &&
		a.ErrorHandling == b.ErrorHandling && a.BatchSize == b.BatchSize && a.BatchTimeout == b.BatchTimeout &&
		a.RetryTimeout == b.RetryTimeout && a.BlockedRetryDelay == b.BlockedRetryDelay &&
		confirmations(a) == confirmations(b) && sameOutlet(a, b)
}

// replace sets what the stream is. The caller holds the token.
func (s *stream) replace(def *store.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.def = def
}

// reopens says that the sinks could not be opened and should be tried again.
func (s *stream) reopens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink == nil
}

// failed returns why the stream does not run though it should.
func (s *stream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if s.worker != nil {
		if f := s.worker.failed.Load(); f != nil {
			return f
		}
	}
	return nil
}

// DeleteStream deletes a stream with its listeners, checkpoints and dead letters.
func (m *Manager) DeleteStream(ctx context.Context, idOrName string) error {
	s, release, err := m.change(ctx, idOrName)
	if err != nil {
		return err
	}
	defer release()
	if def := s.current(); !def.Undeclared { // what the configuration has is made again at the next start
		if err := refuse(def); err != nil {
			return err
		}
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	s.closeSoon(ctx, sinks{main: true, outlet: true}, callTimeout) // before the store gives the name away, as in reopen
	if err := m.opts.Store.DeleteStream(ctx, s.id); err != nil && !errors.Is(err, store.ErrNotFound) {
		s.open(ctx, s.current())
		return errors.Join(fmt.Errorf("delete stream %q: %w", idOrName, err), s.start())
	}
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	m.remove(s)
	return nil
}

// Stream returns a stream with its status.
func (m *Manager) Stream(ctx context.Context, idOrName string) (*apitypes.EventStreamWithStatus, error) {
	s, err := m.find(idOrName)
	if err != nil {
		return nil, err
	}
	list, err := m.withStatus(ctx, []*stream{s})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Streams lists streams in the order of their creation; after is the id of the last one of the page before.
func (m *Manager) Streams(ctx context.Context, limit int, after string) ([]*apitypes.EventStreamWithStatus, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	all := m.all()
	if after != "" {
		last, err := m.find(after)
		if err != nil {
			return nil, err
		}
		for len(all) > 0 && all[0].current().Seq <= last.current().Seq {
			all = all[1:]
		}
	}
	return m.withStatus(ctx, all[:min(limit, len(all))])
}
