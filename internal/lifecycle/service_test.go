package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
)

const (
	lifecycleWait = 5 * time.Second
	lifecycleTick = time.Millisecond
)

var errBoom = errors.New("boom")

// recorder writes down who was started and stopped, in order.
type recorder struct {
	log       *[]string
	name      string
	failStart error
	failStop  error
}

func (r recorder) Start(context.Context) error {
	*r.log = append(*r.log, "+"+r.name)
	return r.failStart
}

func (r recorder) Stop(ctx context.Context) error {
	*r.log = append(*r.log, "-"+r.name)
	return errors.Join(r.failStop, ctx.Err())
}

func TestStartAllThenStopAllInReverse(t *testing.T) {
	t.Parallel()
	var log []string
	services := []lifecycle.Named{
		{Name: "a", Service: recorder{log: &log, name: "a"}},
		{Name: "b", Service: recorder{log: &log, name: "b"}},
		{Name: "c", Service: recorder{log: &log, name: "c"}},
	}
	require.NoError(t, lifecycle.StartAll(t.Context(), services...))
	require.NoError(t, lifecycle.StopAll(t.Context(), services...))
	require.Equal(t, []string{"+a", "+b", "+c", "-c", "-b", "-a"}, log)
}

func TestStartAllRollsBack(t *testing.T) {
	t.Parallel()
	var log []string
	errStop := errors.New("will not stop")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what failed may be the caller's context: the rollback has its own
	err := lifecycle.StartAll(ctx,
		lifecycle.Named{Name: "a", Service: recorder{log: &log, name: "a", failStop: errStop}},
		lifecycle.Named{Name: "b", Service: recorder{log: &log, name: "b", failStart: errBoom}},
		lifecycle.Named{Name: "c", Service: recorder{log: &log, name: "c"}},
	)
	require.ErrorIs(t, err, errBoom)
	require.ErrorIs(t, err, errStop)
	require.NotErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "start b: boom\nstop a: will not stop")
	require.Equal(t, []string{"+a", "+b", "-b", "-a"}, log)
}

func TestStopAllTellsEveryone(t *testing.T) {
	t.Parallel()
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := lifecycle.StopAll(ctx,
		lifecycle.Named{Name: "a", Service: recorder{log: &log, name: "a"}},
		lifecycle.Named{Name: "b", Service: recorder{log: &log, name: "b", failStop: errBoom}},
	)
	require.ErrorIs(t, err, errBoom)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"-b", "-a"}, log)
}
