package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/retry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBusy = errors.New("busy")

func TestDelayGrowsToMax(t *testing.T) {
	t.Parallel()
	b := retry.Backoff{Initial: 250 * time.Millisecond, Max: 2 * time.Second, Factor: 2}
	var got []time.Duration
	for attempt := 1; attempt <= 6; attempt++ {
		got = append(got, b.Delay(attempt, nil))
	}
	require.Equal(t, []time.Duration{
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second,
	}, got)
}

func TestDelayEdges(t *testing.T) {
	t.Parallel()
	require.Zero(t, retry.Backoff{}.Delay(10, nil))
	require.Zero(t, retry.Backoff{Initial: -time.Second, Factor: 2}.Delay(3, nil))
	require.Equal(t, time.Second, retry.Backoff{Initial: time.Second}.Delay(9, nil), "no factor: constant")
	require.Equal(t, time.Second, retry.Backoff{Initial: time.Minute, Max: time.Second}.Delay(1, nil))
	require.Greater(t, retry.Backoff{Initial: time.Hour, Factor: 10}.Delay(math.MaxInt, nil), time.Duration(math.MaxInt64/2), "saturates")
}

func TestDelayFullJitter(t *testing.T) {
	t.Parallel()
	b := retry.Backoff{Initial: time.Second, Max: time.Minute, Factor: 2, Jitter: true}
	require.Equal(t, time.Second, b.Delay(2, func() float64 { return 0.5 }))
	require.Zero(t, b.Delay(2, func() float64 { return 0 }))
	require.Less(t, b.Delay(2, nil), 2*time.Second)
}

func TestDelayStaysWithinBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := retry.Backoff{
			Initial: time.Duration(rapid.Int64().Draw(t, "initial")),
			Max:     time.Duration(rapid.Int64Min(1).Draw(t, "max")),
			Factor:  rapid.Float64Range(0, 1e9).Draw(t, "factor"),
			Jitter:  rapid.Bool().Draw(t, "jitter"),
		}
		d := b.Delay(rapid.IntRange(-1, 10_000).Draw(t, "attempt"), nil)
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, b.Max)
	})
}

func TestDoRetriesUntilItWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var attempts []int
		err := retry.Do(t.Context(), retry.Backoff{Initial: time.Second, Factor: 2, Max: 3 * time.Second}, func(_ context.Context, attempt int) error {
			attempts = append(attempts, attempt)
			if attempt < 5 {
				return errBusy
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 3, 4, 5}, attempts)
		require.Equal(t, (1+2+3+3)*time.Second, time.Since(start))
	})
}

func TestDoStopsAtPermanent(t *testing.T) {
	t.Parallel()
	calls := 0
	err := retry.Do(t.Context(), retry.Backoff{Initial: time.Hour}, func(context.Context, int) error {
		calls++
		return retry.Permanent(errBusy)
	})
	require.Equal(t, errBusy, err, "the mark is taken off")
	require.Equal(t, 1, calls)

	err = retry.Do(t.Context(), retry.Backoff{Initial: time.Hour}, func(context.Context, int) error {
		return fmt.Errorf("block 7: %w", retry.Permanent(errBusy))
	})
	require.ErrorIs(t, err, errBusy)
	require.EqualError(t, err, "block 7: busy")
	require.NoError(t, retry.Permanent(nil))
}

func TestDoHonoursContextWhileItSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errCause := errors.New("stream suspended")
		ctx, cancel := context.WithCancelCause(t.Context())
		start := time.Now()
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		err := retry.Do(ctx, retry.Backoff{Initial: time.Hour}, func(context.Context, int) error { return errBusy })
		require.ErrorIs(t, err, errCause)
		require.ErrorIs(t, err, errBusy)
		require.EqualError(t, err, "stream suspended after 1 attempts: busy")
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestDoNotCalledWithDoneContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := retry.Do(ctx, retry.Backoff{}, func(context.Context, int) error {
		t.Error("must not run")
		return nil
	})
	require.Equal(t, context.Canceled, err)

	ctx, cancel = context.WithCancel(t.Context())
	calls := 0
	err = retry.Do(ctx, retry.Backoff{}, func(context.Context, int) error {
		if calls++; calls == 3 {
			cancel()
		}
		return errBusy
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, calls, "no wait is no reason to overlook the context")
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, retry.Sleep(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, retry.Sleep(t.Context(), 0))
		require.NoError(t, retry.Sleep(t.Context(), -time.Second))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, retry.Sleep(ctx, time.Hour), context.DeadlineExceeded)
		require.Equal(t, time.Minute+time.Second, time.Since(start))
		require.ErrorIs(t, retry.Sleep(ctx, 0), context.DeadlineExceeded)
	})
}
