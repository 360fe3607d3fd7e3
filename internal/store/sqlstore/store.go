package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/store"
)

// leaseName is the lease of the single owner of the whole store.
const leaseName = "store"

// Options are what both dialects have in common.
type Options struct {
	// Now is the clock for stored times; nil is time.Now.
	Now func() time.Time
	// Log is where trouble that has no caller is reported; nil is the standard logger.
	Log *logrus.Entry
	// Linger is how long the writer waits for callers that were there a moment ago, so that they share a commit. 0 is 300 µs, less than
	// 0 none.
	Linger time.Duration
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
}

const defaultLinger = 300 * time.Microsecond

// Store implements store.Store.
type Store struct {
	opts      Options
	dialect   dialect
	dir       string // of SQLite's file; "": a server has the data
	fence     store.Fence
	writer    *writer
	memory    *memory // of the writer; nil: it reads everything
	reader    *reader
	hot       hotReader          // nil: all reads go to reader
	efforts   []int              // of a search; the last one is the most that it looks at
	texts     func([]string) any // the argument of a list
	ints      func([]int64) any
	translate func(error) error
	broken    func(error) bool // whether a read met a connection that was broken before
	bg        lifecycle.Group
	release   func() error // gives everything back but the writer's session and the read pool

	lost     chan struct{}
	loseOnce sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed and replaced; under mu

	closeOnce sync.Once
	closeErr  error
}

var _ store.Store = (*Store)(nil)

func newStore(o Options, d dialect) *Store {
	return &Store{opts: o, dialect: d, efforts: efforts, lost: make(chan struct{}), changed: make(chan struct{})}
}

// Fence implements store.Store.
func (s *Store) Fence() store.Fence { return s.fence }

// Lost implements store.Store.
func (s *Store) Lost() <-chan struct{} { return s.lost }

func (s *Store) lose() { s.loseOnce.Do(func() { close(s.lost) }) }

// Changed implements store.StatusLog.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Ping implements store.Store. After a write that found no space it tries another one.
func (s *Store) Ping(ctx context.Context) error {
	if _, err := s.readInt(ctx, readPing); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	select {
	case <-s.lost:
		return fmt.Errorf("ping: %w", store.ErrFenced)
	default:
	}
	if !s.writer.full.Load() {
		return nil
	}
	if err := room(s.dir); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if err := s.writer.submit(ctx, classOther, nil, &probeCmd{}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	s.writer.full.Store(false)
	return nil
}

// probeCmd writes something that changes nothing.
type probeCmd struct{}

func (*probeCmd) scope() string { return "" }
func (*probeCmd) load(*group)   {}
func (*probeCmd) plan(g *group) error {
	g.session.exec(sqlTouchLease, 1, g.now, leaseName)
	return nil
}

// Close implements io.Closer: it waits for the group being written, answers the rest with an error, and gives the ownership up.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		errs := []error{s.bg.Stop(context.Background())}
		if s.reader != nil {
			errs = append(errs, s.reader.db.Close())
		}
		if s.hot != nil {
			errs = append(errs, s.hot.close())
		}
		if s.writer != nil {
			errs = append(errs, s.writer.session.close())
		}
		s.closeErr = errors.Join(append(errs, s.release())...)
	})
	return s.closeErr
}

// start runs what works in the background.
func (s *Store) start(ctx context.Context, session session, watch func(ctx context.Context, lost func())) error {
	if err := s.bg.Start(ctx); err != nil {
		return err
	}
	s.writer = newWriter(session, s.memory, s.opts.Now, s.opts.Linger, s.wake)
	s.bg.Go("writer", s.writer.run)
	s.bg.Go("owner", func(ctx context.Context) {
		watch(ctx, func() {
			s.opts.Log.Error("The store may be in the hands of another process")
			s.lose()
		})
	})
	return nil
}
