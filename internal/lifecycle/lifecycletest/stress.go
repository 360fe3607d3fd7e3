package lifecycletest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
)

const (
	rounds  = 20               // services made per kind of check
	callers = 4                // goroutines that call Start, and as many that call Stop
	limit   = 10 * time.Second // what the stop of anything may take
)

// Stress checks that services made by factory keep the promises of lifecycle.Service. Each call of factory must return a new
// service that is able to start; what the factory opens for it, it closes in t.Cleanup.
func Stress(t *testing.T, factory func() lifecycle.Service) {
	t.Helper()
	t.Run("stop before start", func(t *testing.T) { stopFirst(t, factory()) })
	t.Run("start twice, stop twice", func(t *testing.T) { inOrder(t, factory()) })
	t.Run("start context ends", func(t *testing.T) { outlivesStartContext(t, factory()) })
	t.Run("all at once", func(t *testing.T) {
		for range rounds {
			atOnce(t, factory())
		}
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	t.Cleanup(cancel)
	return ctx
}

func stopFirst(t *testing.T, s lifecycle.Service) {
	t.Helper()
	ctx := within(t)
	require.NoError(t, s.Stop(ctx))
	require.ErrorIs(t, s.Start(ctx), lifecycle.ErrStopped)
	require.NoError(t, s.Stop(ctx))
}

func inOrder(t *testing.T, s lifecycle.Service) {
	t.Helper()
	ctx := within(t)
	require.NoError(t, s.Start(ctx))
	require.ErrorIs(t, s.Start(ctx), lifecycle.ErrStarted)
	require.NoError(t, s.Stop(ctx))
	require.NoError(t, s.Stop(ctx))
	require.ErrorIs(t, s.Start(ctx), lifecycle.ErrStopped)
}

func outlivesStartContext(t *testing.T, s lifecycle.Service) {
	t.Helper()
	ctx := within(t)
	start, cancel := context.WithCancel(ctx)
	require.NoError(t, s.Start(start))
	cancel()
	require.ErrorIs(t, s.Start(ctx), lifecycle.ErrStarted, "the end of Start's context must not stop the service")
	require.NoError(t, s.Stop(ctx))
}

// atOnce races starts with stops. Whoever wins, the service ends up stopped, and at most one Start has succeeded.
func atOnce(t *testing.T, s lifecycle.Service) {
	t.Helper()
	ctx := within(t)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	starts, stops := make([]error, callers), make([]error, callers)
	for i := range callers {
		wg.Go(func() { <-begin; starts[i] = s.Start(ctx) })
		wg.Go(func() { <-begin; stops[i] = s.Stop(ctx) })
	}
	close(begin)
	wg.Wait()

	started := 0
	for i := range callers {
		require.NoError(t, stops[i])
		if starts[i] == nil {
			started++
		}
	}
	require.LessOrEqual(t, started, 1, "one Start at most may succeed")
	require.NoError(t, s.Stop(ctx))
	require.ErrorIs(t, s.Start(ctx), lifecycle.ErrStopped)
}
