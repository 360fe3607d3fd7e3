package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// stream is a stream in this process. What it is, is in the store; what it does, is here.
type stream struct {
	m     *Manager
	id    string
	token chan struct{}  // held by whoever changes the stream
	named map[string]int // guarded by token; the number behind the next name that is made up, by what stands before it
	stats stats
	trail trail
	// replay tells the run that there may be dead letters to be replayed.
	replay chan struct{}

	mu     sync.Mutex
	def    *store.Stream // guarded by mu; replaced, never changed
	sink   sink.Sink     // guarded by mu; nil if it could not be opened
	outlet sink.Sink     // guarded by mu; where dead letters go besides the store; nil: nowhere
	worker *worker       // guarded by mu; nil while the stream does not run
	broken error         // guarded by mu; why the stream cannot run
	gone   bool          // guarded by mu; deleted

	pending map[string]string // guarded by mu; declared listeners that are not in place, with the reason

	added     int64     // guarded by mu; the newest listener that was made since the last start, 0 if none
	refreshed time.Time // guarded by mu; when the last restart for new listeners began
}

// worker runs a stream until it is stopped.
type worker struct {
	cancel context.CancelFunc
	ended  chan struct{}
	run    atomic.Pointer[run] // nil between runs
	failed atomic.Pointer[finalError]
	rests  atomic.Bool // nothing new is sent any more
	left   bool        // guarded by stream.mu; nobody waits any more for it to end, so it is followed by another worker
}

// stats are counted since the process started.
type stats struct {
	delivered, redelivered, deadLettered, rewinds, resets atomic.Uint64
	mute                                                  atomic.Bool // a change has waited in vain for an acknowledgement, and none has come since

	mu     sync.Mutex
	last   error     // guarded by mu
	lastAt time.Time // guarded by mu
}

func (s *stats) fail(err error, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.lastAt = err, at
}

func (s *stats) lastError() (at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastAt, s.last
}

// acquire makes the caller the only one who changes the stream, until it calls release.
func (s *stream) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s.token <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = func() { <-s.token }
	if s.isGone() {
		release()
		return nil, fmt.Errorf("stream %s: %w", s.id, store.ErrNotFound)
	}
	return release, nil
}

func (s *stream) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// current is the stream as it is stored.
func (s *stream) current() *store.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.def
}

// open makes the sinks that are not open: a change leaves those alone that it does not concern. The caller holds the token, or nobody else knows
// the stream yet.
func (s *stream) open(ctx context.Context, def *store.Stream) {
	s.mu.Lock()
	main, outlet := s.sink, s.outlet
	s.mu.Unlock()
	var err error
	if main == nil {
		main, err = s.m.openSink(ctx, def, def.Type, def.Sink)
	}
	if o := def.DeadLetter; o != nil && outlet == nil && err == nil {
		if outlet, err = s.m.openSink(ctx, def, o.Type, o.Config); err != nil {
			err = fmt.Errorf("deadLetter: %w", err)
		}
	}
	s.mu.Lock()
	s.def, s.sink, s.outlet, s.broken = def, main, outlet, err
	s.mu.Unlock()
	if err != nil { // without one of them the stream does not run, and the other is not to look as if it did
		s.closeSoon(ctx, sinks{main: true, outlet: true}, stopTimeout)
	}
}

// sinks are some of the sinks of a stream.
type sinks struct{ main, outlet bool }

// outdated are the sinks that a change has opened again. What could not be opened is tried again.
func (s *stream) outdated(old, def *store.Stream) sinks {
	s.mu.Lock()
	defer s.mu.Unlock()
	renamed := old.Name != def.Name
	return sinks{
		main:   renamed || s.sink == nil || old.Type != def.Type || !bytes.Equal(old.Sink, def.Sink),
		outlet: renamed || s.outlet == nil && def.DeadLetter != nil || !sameOutlet(old, def),
	}
}

// close ends some of the sinks. The caller holds the token and has stopped the worker.
func (s *stream) close(ctx context.Context, which sinks) error {
	var open []sink.Sink
	take := func(one *sink.Sink, really bool) {
		if really && *one != nil {
			open = append(open, *one)
			*one = nil
		}
	}
	s.mu.Lock()
	take(&s.sink, which.main)
	take(&s.outlet, which.outlet)
	s.mu.Unlock()
	var errs []error
	for _, one := range open {
		errs = append(errs, one.Close(ctx))
	}
	return errors.Join(errs...)
}

// closeSoon ends sinks for a change, which happens however they end. The caller holds the token and has stopped the worker.
func (s *stream) closeSoon(ctx context.Context, which sinks, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.close(ctx, which); err != nil {
		s.m.opts.Log.WithError(err).WithField("stream", s.id).Warn("A sink of the stream did not end as it should")
	}
}

// start begins to run the stream, unless it is suspended or has no sink. The caller holds the token, or nobody else knows the
// stream yet.
func (s *stream) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked()
}

func (s *stream) startLocked() error {
	s.added = 0
	if s.def.Suspended || s.sink == nil || s.worker != nil {
		return nil
	}
	w := &worker{ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(s.m.life())
	w.cancel = cancel
	def, main, outlet := s.def, s.sink, s.outlet
	if !s.m.group.Go("stream "+def.Name, func(group context.Context) {
		defer s.ended(w)
		defer cancel()
		defer context.AfterFunc(group, cancel)()
		s.work(ctx, w, def, main, outlet)
	}) {
		cancel()
		return apitypes.ErrStopping
	}
	s.worker = w
	return nil
}

// ended is the last thing a worker does. One that nobody waits for any more makes way for the next: the change that was to be
// made has failed, and the stream goes on as it was.
func (s *stream) ended(w *worker) {
	close(w.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.left || s.worker != w {
		return
	}
	s.worker = nil
	if err := s.startLocked(); err != nil {
		s.m.opts.Log.WithError(err).WithField("stream", s.id).Debug("The stream does not go on")
	}
}

// stop ends the worker and waits for it. When it takes too long the stream goes on by itself once the worker has ended. The
// caller holds the token.
func (s *stream) stop(ctx context.Context) error {
	s.mu.Lock()
	w := s.worker
	if w != nil {
		w.left = false
	}
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	w.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	select {
	case <-w.ended:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.ended:
		s.worker = nil
		return nil
	default:
		w.left = true
		return fmt.Errorf("stream %q does not stop: %w", s.def.Name, ctx.Err())
	}
}

// work does one run after the other, until ctx is done or a run says that no other can do better.
func (s *stream) work(ctx context.Context, w *worker, def *store.Stream, main, outlet sink.Sink) {
	log := s.m.opts.Log.WithField("stream", def.Name)
	backoff := retry.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Factor: 2, Jitter: true}
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := s.once(ctx, w, def, main, outlet)
		if ctx.Err() != nil {
			return
		}
		s.stats.fail(err, s.m.opts.Now())
		if errors.Is(err, errChainChanged) {
			s.m.forgetBlocks()
		}
		var left *goneError
		if errors.As(err, &left) {
			log.WithError(left).Error("The receiver wants nothing any more; the stream is suspended until it is resumed")
			w.failed.Store(&finalError{left})
			s.suspendAfter(w, left)
			return
		}
		var end *finalError
		if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound) {
			end = &finalError{fmt.Errorf("another run has taken the stream over: %w", err)}
		}
		if end != nil || errors.As(err, &end) {
			log.WithError(err).Error("The stream has failed; it can be resumed when the cause is gone")
			w.failed.Store(end)
			return
		}
		log.WithError(err).Warn("The run of the stream ended; another one begins")
		if time.Since(began) > backoff.Max {
			attempt = 1
		}
		if retry.Sleep(ctx, backoff.Delay(attempt, nil)) != nil {
			return
		}
	}
}

// suspendAfter suspends the stream whose worker is about to end, as SuspendStream does, unless somebody has changed the stream first. It does
// not wait for that, because that waits for the worker. If it cannot be stored, the stream goes on, and its receiver is asked again.
func (s *stream) suspendAfter(w *worker, cause error) {
	s.m.group.Go("suspend stream "+s.id, func(ctx context.Context) {
		release, err := s.acquire(ctx)
		if err != nil {
			return // the process ends, or the stream is deleted
		}
		defer release()
		if !s.isWorker(w) {
			return
		}
		_, err = s.update(ctx, func(def *store.Stream) error {
			def.Suspended, def.SuspendedReason = true, cause.Error()
			return nil
		})
		if err != nil {
			s.m.opts.Log.WithError(err).WithField("stream", s.id).Warn("That the stream is suspended could not be stored; it goes on")
		}
	})
}

func (s *stream) isWorker(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worker == w
}

// once does one run.
func (s *stream) once(ctx context.Context, w *worker, def *store.Stream, main, outlet sink.Sink) error {
	r, err := s.m.newRun(ctx, s, def, main, outlet)
	if err != nil {
		return err
	}
	s.mu.Lock()
	w.run.Store(r)
	rests := w.rests.Load()
	s.mu.Unlock()
	if rests {
		r.delivery.rest()
	}
	defer w.run.Store(nil)
	return r.work(ctx)
}
