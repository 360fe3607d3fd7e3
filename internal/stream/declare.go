package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

// resolveTimeout is how long the start waits for a chain that does not answer about declared listeners, all of them together.
const resolveTimeout = 5 * time.Second

// declare brings what is stored in step with what is declared, before any stream runs. It writes nothing if something is wrong with a
// declaration. It returns the listeners that wait for the chain, which is no reason not to start.
//
// No position moves. What is no longer declared is not deleted: somebody may have taken it out by mistake, or to put it back later. A
// stream is suspended, a listener is left out of the runs, and both go on where they were once they are declared again.
func (m *Manager) declare(ctx context.Context) ([]*declaredListener, error) {
	stored, err := m.storedStreams(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.matchDeclared(ctx, stored); err != nil {
		return nil, err
	}
	if err := m.resolveDeclared(ctx); err != nil {
		return nil, err
	}
	for _, def := range stored {
		if def.Declared && !def.Undeclared && !slices.ContainsFunc(m.declared, func(c *declaration) bool { return c.def.ID == def.ID }) {
			if err := m.undeclare(ctx, *def); err != nil {
				return nil, err
			}
		}
	}
	var waiting []*declaredListener
	for _, c := range m.declared {
		if err := m.storeDeclared(ctx, c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.path, err)
		}
		for _, l := range c.listeners {
			if l.wait != nil {
				waiting = append(waiting, l)
			}
		}
	}
	return waiting, nil
}

func (m *Manager) storedStreams(ctx context.Context) ([]*store.Stream, error) {
	var all []*store.Stream
	for after := int64(0); ; {
		page, err := m.opts.Store.Streams(ctx, after, listPage)
		if err != nil {
			return nil, fmt.Errorf("load streams: %w", err)
		}
		all = append(all, page...)
		if len(page) < listPage {
			return all, nil
		}
		after = page[len(page)-1].Seq
	}
}

// matchDeclared finds what is stored of the declared streams and listeners.
func (m *Manager) matchDeclared(ctx context.Context, stored []*store.Stream) error {
	named := make(map[string]*store.Stream, len(stored))
	for _, def := range stored {
		named[def.Name] = def
	}
	var errs []error
	for _, c := range m.declared {
		old := named[c.def.Name]
		if old == nil {
			continue
		}
		if err := c.match(old); err != nil {
			errs = append(errs, err)
			continue
		}
		listeners, err := m.storedListeners(ctx, old.ID)
		if err != nil {
			return err
		}
		errs = append(errs, c.matchListeners(listeners))
	}
	return errors.Join(errs...)
}

// resolveDeclared lets the connector check what is new or changed.
func (m *Manager) resolveDeclared(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var errs []error
	for _, c := range m.declared {
		for _, l := range c.listeners {
			if !l.redefined() {
				continue
			}
			// Also when the time is over: what is wrong with filters is mostly known without the chain.
			if l.wait = m.resolveListener(ctx, l); wrong(l.wait) {
				errs = append(errs, inConfig(l.path, l.wait))
			}
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) resolveListener(ctx context.Context, l *declaredListener) error {
	var err error
	if l.old == nil {
		err = m.resolve(ctx, l.want, l.want.FromBlock)
	} else {
		err = m.recheck(ctx, l.old, l.want)
	}
	if err != nil {
		return err
	}
	return checkEnd(l.want)
}

// undeclare suspends a stream that is no longer declared.
func (m *Manager) undeclare(ctx context.Context, def store.Stream) error {
	def.Undeclared = true
	if !def.Suspended {
		def.Suspended, def.SuspendedReason = true, reasonUndeclared
	}
	m.opts.Log.WithField("stream", def.Name).Warn("The stream is no longer in the configuration: it is suspended, and keeps its position")
	return m.opts.Store.UpdateStream(ctx, &def)
}

// storeDeclared stores a declared stream and those of its listeners that are resolved.
func (m *Manager) storeDeclared(ctx context.Context, c *declaration) error {
	if err := m.storeDeclaredStream(ctx, c); err != nil {
		return err
	}
	for _, l := range c.listeners {
		if l.wait == nil {
			if err := m.storeDeclaredListener(ctx, l); err != nil {
				return err
			}
		}
	}
	for _, l := range c.gone {
		gone := *l
		gone.Undeclared = true
		m.opts.Log.WithField("stream", c.def.Name).WithField("listener", l.Name).
			Warn("The listener is no longer in the configuration: nothing is delivered for it, and it keeps its position")
		if err := m.opts.Store.UpdateListener(ctx, &gone); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) storeDeclaredStream(ctx context.Context, c *declaration) error {
	switch {
	case c.old == nil:
		return m.opts.Store.InsertStream(ctx, c.def)
	case sameStream(c.old, c.def) && c.old.Undeclared == c.def.Undeclared && c.old.SuspendedReason == c.def.SuspendedReason:
		return nil
	}
	c.def.Updated = m.opts.Now()
	return m.opts.Store.UpdateStream(ctx, c.def)
}

func (m *Manager) storeDeclaredListener(ctx context.Context, l *declaredListener) error {
	now := m.opts.Now()
	switch {
	case l.old == nil:
		l.want.Created, l.want.Updated = now, now
		return m.opts.Store.InsertListener(ctx, l.want)
	case l.redefined():
		l.want.Updated = now // as a PATCH does
	case l.old.Undeclared == l.want.Undeclared && l.old.DeclaredFrom == l.want.DeclaredFrom:
		return nil
	}
	return m.opts.Store.UpdateListener(ctx, l.want)
}

// settle makes the declared listeners that waited for the chain.
func (m *Manager) settle(ctx context.Context, waiting []*declaredListener) {
	backoff := retry.Backoff{Initial: 250 * time.Millisecond, Max: 30 * time.Second, Factor: 2, Jitter: true}
	for attempt := 1; ; attempt++ {
		waiting = slices.DeleteFunc(waiting, func(l *declaredListener) bool { return l.wait == nil })
		if len(waiting) == 0 || retry.Sleep(ctx, backoff.Delay(attempt, nil)) != nil {
			return
		}
		for _, l := range waiting {
			before := fmt.Sprint(l.wait)
			l.wait = m.settleListener(ctx, l)
			if ctx.Err() != nil {
				return
			}
			log := m.opts.Log.WithField("stream", l.want.StreamID).WithField("listener", l.want.Name)
			if l.wait == nil {
				log.Info("The declared listener is in place")
			} else if l.wait.Error() != before {
				log.WithError(l.wait).Warn("The declared listener still waits for the chain")
			}
		}
	}
}

func (m *Manager) settleListener(ctx context.Context, l *declaredListener) error {
	s, err := m.find(l.want.StreamID)
	if err != nil {
		return err
	}
	err = m.resolveListener(ctx, l)
	if err == nil {
		err = m.takeIn(ctx, s, l)
	}
	s.awaits(l.want.Name, err)
	return err
}

// takeIn stores a listener that is resolved at last. A run takes a new one in soon, and a changed one by a restart.
func (m *Manager) takeIn(ctx context.Context, s *stream, l *declaredListener) error {
	release, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if l.old == nil {
		if err := m.storeDeclaredListener(ctx, l); err != nil {
			return err
		}
		s.refresh(l.want.Seq)
		return nil
	}
	return s.restart(ctx, func() error {
		now, err := m.opts.Store.Listener(ctx, l.want.ID)
		if err != nil {
			return err
		}
		l.want.FromBlock, l.want.Resolved.Start = now.FromBlock, now.Resolved.Start // it may have been reset meanwhile
		return m.storeDeclaredListener(ctx, l)
	})
}

// awaits notes for the status why a declared listener is not in place; nil: it is.
func (s *stream) awaits(listener string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.pending, listener)
		return
	}
	if s.pending == nil {
		s.pending = make(map[string]string)
	}
	s.pending[listener] = err.Error()
}

// pendingListeners are the declared listeners that are not in place.
func (s *stream) pendingListeners() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name, why := range s.pending {
		list = append(list, name+": "+why)
	}
	slices.Sort(list)
	return list
}

// onlyFrom refuses a reset of a declared listener that would change more than its position.
func onlyFrom(def *store.Stream, old, l *store.Listener) error {
	same := *l
	same.FromBlock = old.FromBlock
	if !def.Declared || sameListener(old, &same) {
		return nil
	}
	return &declaredError{fmt.Sprintf("listener %q is declared in the configuration: a reset may change its fromBlock only", old.Name)}
}
