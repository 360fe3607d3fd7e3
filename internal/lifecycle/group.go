package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// errNotStarted is the cancel cause of the context that a Group shows before Start.
var errNotStarted = errors.New("not started")

// Group owns the goroutines of one service; embed it, or keep it in a field and call it from Start and Stop. The zero value is
// ready. A Group alone is a Service.
type Group struct {
	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the lifetime of the goroutines, which is what a Group is
	cancel  context.CancelCauseFunc
	stopped bool
	running map[string]int // goroutines not yet returned, by name
	idle    chan struct{}  // closed when stopped and nothing runs; made by the first Stop
}

// Start lets Go run goroutines from now on. Their context has the values of ctx, but ends with Stop only.
func (g *Group) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stopped:
		return ErrStopped
	case g.cancel != nil:
		return ErrStarted
	}
	g.ctx, g.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	g.running = make(map[string]int)
	return nil
}

// Go runs fn in a goroutine of the group and reports whether it did: before Start and after Stop it does nothing and returns
// false. fn must return soon after its context is done; the cause is then ErrStopped. Goroutines may share a name. fn may
// call Go, but not Stop, which would wait for itself.
func (g *Group) Go(name string, fn func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || g.cancel == nil {
		return false
	}
	g.running[name]++
	ctx := g.ctx
	go func() {
		defer g.ended(name)
		fn(ctx)
	}()
	return true
}

// Context is the context that the goroutines get: for work that another's goroutine does in the service's name. It is already
// done before Start.
func (g *Group) Context() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx != nil {
		return g.ctx
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errNotStarted)
	return ctx
}

// Stop cancels the goroutines with ErrStopped and waits for them. When ctx ends first, the error wraps ctx's and names those
// that still run.
func (g *Group) Stop(ctx context.Context) error {
	idle := g.beginStop()
	select {
	case <-idle:
		return nil
	default:
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("still running: %s: %w", strings.Join(g.names(), ", "), ctx.Err())
	}
}

// beginStop cancels, and returns the channel that closes when the last goroutine has returned.
func (g *Group) beginStop() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return g.idle
	}
	g.stopped = true
	g.idle = make(chan struct{})
	if g.cancel != nil {
		g.cancel(ErrStopped)
	}
	if len(g.running) == 0 {
		close(g.idle)
	}
	return g.idle
}

func (g *Group) ended(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[name]--; g.running[name] == 0 {
		delete(g.running, name)
	}
	if g.stopped && len(g.running) == 0 {
		close(g.idle)
	}
}

// names lists what still runs, sorted, with "×n" behind names that run more than once.
func (g *Group) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := slices.Sorted(maps.Keys(g.running))
	for i, name := range names {
		if n := g.running[name]; n > 1 {
			names[i] = fmt.Sprintf("%s×%d", name, n)
		}
	}
	return names
}
