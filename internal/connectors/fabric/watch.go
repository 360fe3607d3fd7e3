package fabric

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errSilent is why calls to a peer are cut off.
var errSilent = errors.New("the peer gives no sign of life")

// watch notices that a peer is gone without a word: while calls and streams are under way and the peer has said nothing for half of silence, it is
// probed, and when that is not answered in the other half, they are cut off. HTTP/2 pings would do as well, but peers forbid them more often
// than once a minute.
type watch struct {
	silence time.Duration
	probe   func(context.Context) error
	lost    func() // is told when the peer was silent
	tick    func() // is called now and then while something is under way

	heard atomic.Int64 // when it gave the last sign of life, in nanoseconds since epoch

	mu      sync.Mutex
	calls   map[*context.CancelCauseFunc]struct{} // guarded by mu: under way
	timer   *time.Timer                           // guarded by mu: set while there are calls
	turn    int                                   // guarded by mu: counts timers
	stopped bool                                  // guarded by mu
	probes  sync.WaitGroup
}

// epoch is from when on signs of life are counted. It has a monotonic clock: the other one may be set.
var epoch = time.Now()

// begin counts a call, until end. end may be called more than once.
func (w *watch) begin(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	key := &cancel
	w.mu.Lock()
	if len(w.calls) == 0 {
		w.calls = map[*context.CancelCauseFunc]struct{}{}
		w.alive()
		w.arm(w.silence / 2)
	}
	w.calls[key] = struct{}{}
	w.mu.Unlock()
	return ctx, func() {
		w.mu.Lock()
		delete(w.calls, key)
		if len(w.calls) == 0 {
			w.disarm()
		}
		w.mu.Unlock()
		cancel(nil)
	}
}

// alive notes a sign of life.
func (w *watch) alive() { w.heard.Store(int64(time.Since(epoch))) }

// quiet is how long ago it gave one.
func (w *watch) quiet() time.Duration { return time.Since(epoch) - time.Duration(w.heard.Load()) }

// arm looks after the peer in a while; mu is held.
func (w *watch) arm(in time.Duration) {
	w.disarm()
	if w.stopped {
		return
	}
	w.probes.Add(1)
	w.turn++
	turn := w.turn
	w.timer = time.AfterFunc(in, func() {
		defer w.probes.Done()
		w.look(turn)
	})
}

// disarm ends the looking; mu is held.
func (w *watch) disarm() {
	if w.timer != nil && w.timer.Stop() {
		w.probes.Done()
	}
	w.timer = nil
}

// look probes the peer if it has been silent. turn is that of the timer that asks for it.
func (w *watch) look(turn int) {
	w.tick()
	wait := w.silence/2 - w.quiet()
	var err error
	if wait <= 0 {
		ctx, cancel := context.WithTimeout(context.Background(), w.silence/2)
		if err = w.probe(ctx); err == nil {
			w.alive()
		}
		cancel()
		wait = w.silence / 2
	}
	w.mu.Lock()
	if w.timer == nil || w.turn != turn { // all that was under way has ended, and what is now has its own timer
		w.mu.Unlock()
		return
	}
	if err == nil || w.quiet() < w.silence/2 { // it may have spoken while it was probed
		w.arm(wait)
		w.mu.Unlock()
		return
	}
	calls := w.calls
	w.calls, w.timer = nil, nil
	w.mu.Unlock()
	w.lost() // before the calls end, so that none of them asks this peer again
	for cancel := range calls {
		(*cancel)(errSilent)
	}
}

// stop ends the looking for good, and waits for a probe that is under way.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	w.disarm()
	w.mu.Unlock()
	w.probes.Wait()
}
