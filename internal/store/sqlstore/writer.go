package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// class orders commands of a group and bounds how many of a kind it takes, so that a flood of one kind cannot starve another.
type class int

const (
	classAccept class = iota
	classOutcome
	classCheckpoint
	classOther
	classes // how many there are
)

// classLimit is how many commands of a class one group takes; queueLength how many may wait.
var (
	classLimit  = [classes]int{256, 128, 128, 32}
	queueLength = [classes]int{4096, 4096, 4096, 512}
)

// minOutcomes is how many of classOutcome a group takes at least.
const minOutcomes = 8

// maxTries is how often a group is tried that the database interrupts.
const maxTries = 5

var errClosed = fmt.Errorf("store is closed: %w", store.ErrUnavailable)

// The states of a job: its caller may leave as long as it waits.
const (
	jobWaiting int32 = iota
	jobTaken
	jobLeft
)

// job is a command on its way.
type job struct {
	cmd   command
	fence *store.Fence // nil: not written for an engine
	err   error        // belongs to the writer until done is closed
	state atomic.Int32
	done  chan struct{}
}

// writer makes groups of what waits and carries them out. Everything but submit belongs to its goroutine.
type writer struct {
	session session
	memory  *memory // nil: nothing is remembered
	now     func() time.Time
	linger  time.Duration
	logged  func() // called after a commit that wrote to the status log

	queues  [classes]chan *job
	stopped chan struct{} // closed when the goroutine has ended
	full    atomic.Bool   // a group found no space; Ping finds out when there is some again: a small write proves nothing

	buckets [classes][]*job
	taken   int // jobs in buckets
	target  int // how many jobs are expected at once, from the group before
}

func newWriter(s session, m *memory, now func() time.Time, linger time.Duration, logged func()) *writer {
	w := &writer{session: s, memory: m, now: now, linger: linger, logged: logged, stopped: make(chan struct{})}
	for c := range w.queues {
		w.queues[c] = make(chan *job, queueLength[c])
	}
	return w
}

// submit hands a command in and waits for its answer. A caller whose context ends leaves only while the command still waits: once it
// is being carried out, the answer is near and says what became of it.
func (w *writer) submit(ctx context.Context, c class, fence *store.Fence, cmd command) error {
	j, err := w.hand(ctx, c, fence, cmd)
	if err != nil {
		return err
	}
	return w.answer(ctx, j)
}

// hand hands a command in. What one caller hands in stays in order.
func (w *writer) hand(ctx context.Context, c class, fence *store.Fence, cmd command) (*job, error) {
	j := &job{cmd: cmd, fence: fence, done: make(chan struct{})}
	select {
	case w.queues[c] <- j:
		return j, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-w.stopped:
		return nil, errClosed
	}
}

// answer waits for the answer to a command that was handed in.
func (w *writer) answer(ctx context.Context, j *job) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaiting, jobLeft) {
			return context.Cause(ctx)
		}
	case <-w.stopped:
	}
	select {
	case <-j.done:
		return j.err
	case <-w.stopped:
	}
	select {
	case <-j.done:
		return j.err
	default:
		return errClosed
	}
}

// run is the writer's goroutine.
func (w *writer) run(ctx context.Context) {
	defer close(w.stopped)
	w.session.attach(ctx)
	for w.collect(ctx) {
		jobs := make([]*job, 0, w.taken)
		for c := range w.buckets {
			jobs = append(jobs, w.buckets[c]...)
			clear(w.buckets[c])
			w.buckets[c] = w.buckets[c][:0]
		}
		w.taken = 0
		w.carryOut(jobs)
		w.session.idle()
		w.target = len(jobs)
		for _, q := range w.queues {
			w.target += len(q)
		}
	}
}

// collect waits for work and takes what is there. When the group before had company, those callers are about to come back: it lingers
// for them, because one fsync for all is cheaper than one for the first and another for the rest.
func (w *writer) collect(ctx context.Context) bool {
	for w.taken == 0 { // a caller may have left before its job was taken
		if !w.takeOne(ctx, nil) {
			return false
		}
		w.drain()
	}
	if w.taken >= w.target || w.linger <= 0 {
		return true
	}
	timer := time.NewTimer(w.linger)
	defer timer.Stop()
	for w.taken < w.target && !w.crowded() && w.takeOne(ctx, timer.C) {
		w.drain()
	}
	return true
}

// takeOne waits for one job. It reports false when ctx or the timer ended first.
func (w *writer) takeOne(ctx context.Context, timer <-chan time.Time) bool {
	outcomes := w.queues[classOutcome]
	if len(w.buckets[classOutcome]) >= w.room(classOutcome) {
		outcomes = nil
	}
	select {
	case j := <-w.queues[classAccept]:
		w.take(classAccept, j)
	case j := <-outcomes:
		w.take(classOutcome, j)
	case j := <-w.queues[classCheckpoint]:
		w.take(classCheckpoint, j)
	case j := <-w.queues[classOther]:
		w.take(classOther, j)
	case <-timer:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func (w *writer) drain() {
	for c, q := range w.queues {
		for len(w.buckets[c]) < w.room(class(c)) && len(q) > 0 {
			w.take(class(c), <-q)
		}
	}
}

// room is how many commands of a class this group takes. What sends and ends transactions gets a quarter of a group that accepts some: a
// burst is accepted first, and sent a little later.
func (w *writer) room(c class) int {
	if accepts := len(w.buckets[classAccept]); c == classOutcome && accepts > 0 {
		return min(max(minOutcomes, accepts/3), classLimit[c])
	}
	return classLimit[c]
}

// crowded reports whether somebody waits for whom this group has no room.
func (w *writer) crowded() bool {
	for c, q := range w.queues {
		n := len(w.buckets[c])
		if n >= classLimit[c] || len(q) > 0 && n >= w.room(class(c)) {
			return true
		}
	}
	return false
}

func (w *writer) take(c class, j *job) {
	if j.state.CompareAndSwap(jobWaiting, jobTaken) {
		w.buckets[c] = append(w.buckets[c], j)
		w.taken++
	}
}

// carryOut answers the jobs. When the group fails, its halves are tried apart, in order, so that a command that the database refuses
// fails alone.
func (w *writer) carryOut(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	err := w.try(jobs)
	if err != nil && w.memory.forget() && !errors.Is(err, store.ErrUnavailable) { // it may be what was wrong
		err = w.try(jobs)
	}
	for n := 1; n < maxTries && errors.Is(err, errAgain); n++ {
		err = w.try(jobs)
	}
	if err != nil && len(jobs) > 1 && !errors.Is(err, store.ErrUnavailable) {
		w.carryOut(jobs[:len(jobs)/2])
		w.carryOut(jobs[len(jobs)/2:])
		return
	}
	for _, j := range jobs {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

func (w *writer) try(jobs []*job) error {
	g := newGroup(w.session, w.memory, toMicros(w.now()))
	w.session.begin()
	err := g.run(jobs)
	if err == nil {
		err = w.session.commit()
	}
	if err != nil {
		w.session.rollback()
		err = w.session.translate(err)
		if errors.Is(err, store.ErrFull) {
			w.full.Store(true)
		}
		return err
	}
	w.memory.learn(g)
	if g.logged {
		w.logged()
	}
	return nil
}
