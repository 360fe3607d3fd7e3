package stream

import (
	"context"
	"slices"
	"time"
)

const (
	// defaultDrain is how long a change waits for what is sent to be acknowledged.
	defaultDrain = time.Second
	// refreshPause is the shortest time between two restarts that take in new listeners: those made meanwhile share one.
	refreshPause = 100 * time.Millisecond
	// refreshDrain is how long such a restart, which nobody waits for, waits for what is sent to be acknowledged.
	refreshDrain = 30 * time.Second
	// refreshMute is refreshDrain when a receiver was waited for in vain. It is longer than a receiver has for a batch, so that one that is
	// slow gets on however often listeners are made.
	refreshMute = 5 * time.Minute
)

// drain lets the run of a stream come to rest before it is discarded for a change, so that nothing is delivered twice for it. A receiver that
// does not answer is waited for once: until something is acknowledged again, later changes do not wait. The caller holds the token.
func (s *stream) drain(ctx context.Context) {
	s.mu.Lock()
	w := s.worker
	s.mu.Unlock()
	if w == nil || s.stats.mute.Load() {
		return
	}
	w.rests.Store(true) // a run that begins just now sees it
	if r := w.run.Load(); r != nil && !r.delivery.drain(ctx, s.m.opts.Drain) {
		s.stats.mute.Store(true)
	}
}

// drain sends nothing new, and waits until nothing that was handed to the sink is open. It says whether that is so in the end.
func (d *delivery) drain(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	d.rest()
	for {
		rests, landed := d.rests()
		if rests {
			return true
		}
		select {
		case <-landed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// rest ends the sending of batches.
func (d *delivery) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
}

// rests says that no batch is at the sink and no dead letter at the outlet, or that nobody cares any more, and what to wait for otherwise. What waits for
// a receiver, or to be sent again, is not there.
func (d *delivery) rests() (ok bool, landed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := func(f *flight) bool { return f.out && f.handed }
	return d.closed || !d.atOutlet && !slices.ContainsFunc(d.flights, out), d.landed
}

// land tells who waits for what is out that a batch is back. The caller holds mu.
func (d *delivery) land() {
	if d.draining {
		close(d.landed)
		d.landed = make(chan struct{})
	}
}

// handOver marks a flight as given to the sink, unless nothing new is sent any more.
func (d *delivery) handOver(f *flight) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.handed = !d.draining
	return f.handed
}

// refresh restarts the stream soon, so that its next run takes in a listener that was made. The listeners that are made until then share the
// restart, so that many cost no more than a few.
func (s *stream) refresh(listener int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := s.added > 0
	if s.added = listener; waits {
		return
	}
	wait := refreshPause - time.Since(s.refreshed)
	s.m.group.Go("refresh of stream "+s.def.Name, func(ctx context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		w := s.calm(ctx)
		release, err := s.acquire(ctx)
		if err != nil {
			return // deleted, or the process ends
		}
		defer release()
		if s.knowsAll() && (w == nil || !s.isWorker(w)) {
			return
		}
		if err := s.restart(ctx, func() error { return nil }); err != nil && ctx.Err() == nil {
			s.m.opts.Log.WithError(err).WithField("stream", s.id).Warn("New listeners wait until the run of the stream has ended")
		}
	})
}

// calm brings the run of a stream to rest without holding up changes. It returns the worker that sends nothing new any more and has to be
// restarted, nil if there is none.
func (s *stream) calm(ctx context.Context) *worker {
	s.mu.Lock()
	w := s.worker
	if w == nil || s.takenIn() {
		s.mu.Unlock()
		return nil
	}
	w.rests.Store(true) // with mu held, as when a run is stored: takenIn has seen it, or it sees this and sends nothing
	s.mu.Unlock()
	limit := refreshDrain
	if s.stats.mute.Load() {
		limit = refreshMute
	}
	if r := w.run.Load(); r != nil && !r.delivery.drain(ctx, limit) {
		s.stats.mute.Store(true)
	}
	return w
}

// knowsAll says whether the run has all listeners. If not, it is about to be restarted.
func (s *stream) knowsAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.takenIn() {
		s.added = 0
		return true
	}
	s.refreshed = time.Now()
	return false
}

// takenIn says whether the run has the newest listener, or another change has restarted it since. The caller holds mu.
func (s *stream) takenIn() bool {
	if s.added == 0 || s.worker == nil {
		return s.added == 0
	}
	r := s.worker.run.Load()
	return r != nil && r.newest() >= s.added
}
