package lifecycle_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/lifecycle/lifecycletest"
)

// ticker is a service as most are: a Group embedded, goroutines begun in Start.
type ticker struct {
	lifecycle.Group
}

func (s *ticker) Start(ctx context.Context) error {
	if err := s.Group.Start(ctx); err != nil {
		return err
	}
	s.Go("parent", func(ctx context.Context) {
		s.Go("child", func(ctx context.Context) { <-ctx.Done() })
		<-ctx.Done()
	})
	return nil
}

func TestStress(t *testing.T) {
	t.Parallel()
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		lifecycletest.Stress(t, func() lifecycle.Service { return &lifecycle.Group{} })
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		lifecycletest.Stress(t, func() lifecycle.Service { return &ticker{} })
	})
}

func TestGroupGoOnlyWhileStarted(t *testing.T) {
	t.Parallel()
	var g lifecycle.Group
	never := func(context.Context) { t.Error("must not run") }
	require.False(t, g.Go("early", never))
	require.Error(t, g.Context().Err())

	require.NoError(t, g.Start(t.Context()))
	require.NoError(t, g.Context().Err())
	ran := make(chan struct{})
	require.True(t, g.Go("now", func(context.Context) { close(ran) }))
	<-ran

	require.NoError(t, g.Stop(t.Context()))
	require.False(t, g.Go("late", never))
	require.ErrorIs(t, context.Cause(g.Context()), lifecycle.ErrStopped)
}

func TestGroupStartRefusesDoneContext(t *testing.T) {
	t.Parallel()
	var g lifecycle.Group
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.Start(ctx), context.Canceled)
	require.NoError(t, g.Start(t.Context()), "a refused start changes nothing")
	require.NoError(t, g.Stop(t.Context()))
}

func TestGroupContextKeepsValuesAndCause(t *testing.T) {
	t.Parallel()
	type key struct{}
	var g lifecycle.Group
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	require.NoError(t, g.Start(ctx))
	cancel()

	seen := make(chan error, 1)
	began := make(chan any, 1)
	g.Go("worker", func(ctx context.Context) {
		began <- ctx.Value(key{})
		<-ctx.Done()
		seen <- context.Cause(ctx)
	})
	require.Equal(t, "v", <-began)
	require.Empty(t, seen)
	require.NoError(t, g.Stop(t.Context()))
	require.ErrorIs(t, <-seen, lifecycle.ErrStopped)
}

func TestGroupStopNamesWhatStillRuns(t *testing.T) {
	t.Parallel()
	var g lifecycle.Group
	require.NoError(t, g.Start(t.Context()))
	release := make(chan struct{})
	stubborn := func(context.Context) { <-release }
	g.Go("writer", stubborn)
	g.Go("reader", stubborn)
	g.Go("reader", stubborn)
	g.Go("polite", func(ctx context.Context) { <-ctx.Done() })

	done, cancel := context.WithCancel(t.Context())
	cancel()
	require.Eventually(t, func() bool {
		err := g.Stop(done)
		return err != nil && err.Error() == "still running: reader×2, writer: context canceled"
	}, lifecycleWait, lifecycleTick)
	require.ErrorIs(t, g.Stop(done), context.Canceled)

	close(release)
	require.NoError(t, g.Stop(t.Context()), "a later Stop waits for the same goroutines")
	require.NoError(t, g.Stop(done), "nothing runs: a context that is done does no harm")
}
