package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// errLost is shown by streams after the store may have got another owner.
var errLost = errors.New("the store was lost to another process")

// Manager keeps the streams of a node. It is a lifecycle.Service; all methods are safe for concurrent use.
type Manager struct {
	opts    Options
	sinks   map[string]sink.Factory
	budget  *budget
	journal *journal
	clock   clock
	exprs   *expr.Compiler
	group   lifecycle.Group

	declared []*declaration // used by Start only

	mu         sync.Mutex
	finalities map[string]ffcapi.Finality // guarded by mu; by ledger
	books      map[string]*blockBook      // guarded by mu; by ledger
	streams    map[string]*stream         // guarded by mu; by id
	alive      context.Context            //nolint:containedctx // guarded by mu; the lifetime of all workers
	lost       bool                       // guarded by mu
}

// New checks the options, declared streams among them, and makes a manager. It does nothing yet.
func New(opts Options) (*Manager, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	m := &Manager{
		opts: opts, sinks: make(map[string]sink.Factory), budget: newBudget(opts.MaxMemory),
		finalities: make(map[string]ffcapi.Finality), streams: make(map[string]*stream), books: make(map[string]*blockBook),
	}
	m.exprs = expr.New()
	m.journal = newJournal(opts.Changes, opts.ConnectorName, m.opts.Log)
	for _, f := range opts.Sinks {
		if _, twice := m.sinks[f.Type()]; twice {
			return nil, fmt.Errorf("stream: there are two sinks of type %q", f.Type())
		}
		m.sinks[f.Type()] = f
	}
	var err error
	if m.declared, err = m.checkDeclared(); err != nil {
		return nil, err
	}
	return m, nil
}

// Start brings the declared streams up to date, loads all streams and runs those that are not suspended. A chain or a receiver that
// cannot be reached does not keep it from starting; a declaration that cannot be carried out does, and then nothing is changed.
func (m *Manager) Start(ctx context.Context) error {
	if err := m.group.Start(ctx); err != nil {
		return err
	}
	life, cancel := context.WithCancel(m.group.Context())
	m.mu.Lock()
	m.alive = life
	m.mu.Unlock()
	m.group.Go("store watch", func(ctx context.Context) {
		defer cancel()
		select {
		case <-m.opts.Lost:
			m.mu.Lock()
			m.lost = true
			m.mu.Unlock()
		case <-ctx.Done():
		}
	})
	m.group.Go("status changes", m.journal.tail)
	if err := m.load(ctx); err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(err, m.Stop(stopping))
	}
	return nil
}

// load stores what is declared, and opens and starts what is stored.
func (m *Manager) load(ctx context.Context) error {
	waiting, err := m.declare(ctx)
	if err != nil {
		return err
	}
	all, err := m.storedStreams(ctx)
	if err != nil {
		return err
	}
	for _, def := range all {
		s := m.newStream(def.ID)
		s.open(ctx, def)
		m.add(s)
		if err := s.start(); err != nil {
			return err
		}
	}
	for _, l := range waiting {
		s, err := m.find(l.want.StreamID)
		if err != nil {
			return err
		}
		s.awaits(l.want.Name, l.wait)
		m.opts.Log.WithError(l.wait).WithField("stream", s.current().Name).WithField("listener", l.want.Name).Warn("The declared listener waits for the chain")
	}
	if len(waiting) > 0 {
		m.group.Go("declared listeners", func(context.Context) { m.settle(m.life(), waiting) })
	}
	return nil
}

// Stop ends all runs and closes all sinks.
func (m *Manager) Stop(ctx context.Context) error {
	errs := []error{m.group.Stop(ctx)}
	var closing sync.WaitGroup
	var mu sync.Mutex
	for _, s := range m.all() {
		closing.Go(func() {
			if err := s.close(ctx, sinks{main: true, outlet: true}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("close the sinks of stream %s: %w", s.id, err))
			}
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}

func (m *Manager) life() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alive == nil {
		return m.group.Context() // not started: already done
	}
	return m.alive
}

func (m *Manager) newStream(id string) *stream {
	return &stream{m: m, id: id, token: make(chan struct{}, 1), replay: make(chan struct{}, 1)}
}

func (m *Manager) add(s *stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[s.id] = s
}

func (m *Manager) remove(s *stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, s.id)
}

// some returns the streams in no order.
func (m *Manager) some() []*stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.streams))
}

// all returns the streams in the order of their creation.
func (m *Manager) all() []*stream {
	list := m.some()
	slices.SortFunc(list, func(a, b *stream) int { return int(a.current().Seq - b.current().Seq) })
	return list
}

// find returns a stream by id or, if no id matches, by name.
func (m *Manager) find(idOrName string) (*stream, error) {
	m.mu.Lock()
	s := m.streams[idOrName]
	m.mu.Unlock()
	if s != nil {
		return s, nil
	}
	for _, s := range m.some() {
		if s.current().Name == idOrName {
			return s, nil
		}
	}
	return nil, fmt.Errorf("stream %q: %w", idOrName, store.ErrNotFound)
}

// change finds a stream and makes the caller the only one who changes it.
func (m *Manager) change(ctx context.Context, idOrName string) (*stream, func(), error) {
	if m.group.Context().Err() != nil {
		return nil, nil, apitypes.ErrStopping
	}
	s, err := m.find(idOrName)
	if err != nil {
		return nil, nil, err
	}
	release, err := s.acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, release, nil
}

// restart discards the run of a stream, makes a change to what is stored, and begins a new run, from the durable checkpoint, whether
// the change was made or failed. What is sent may be acknowledged before, for a short time. The caller holds the token.
func (s *stream) restart(ctx context.Context, change func() error) error {
	s.drain(ctx)
	if err := s.stop(ctx); err != nil {
		return err
	}
	return errors.Join(change(), s.start())
}

func (m *Manager) openSink(ctx context.Context, def *store.Stream, kind string, cfg json.RawMessage) (sink.Sink, error) {
	f, ok := m.sinks[kind]
	if !ok {
		return nil, fmt.Errorf("this binary has no sink of type %q", kind)
	}
	out, err := f.Open(ctx, sink.Stream{ID: def.ID, Name: def.Name}, cfg)
	if err != nil {
		return nil, err // whatever it says out is
	}
	return out, nil
}
