package fees_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/fees"
	"github.com/pyralis-io/pyralis/internal/retry"
)

// estimator is a connector that estimates fees as a test says.
type estimator struct {
	ffcapi.Connector
	asked atomic.Int64
	on    func(ctx context.Context, ledger string) (json.RawMessage, error)
}

func (e *estimator) EstimateFee(ctx context.Context, ledger string) (json.RawMessage, error) {
	e.asked.Add(1)
	return e.on(ctx, ledger)
}

func newSource(t *testing.T, e *estimator) fees.Source {
	t.Helper()
	s, err := fees.New(fees.Options{Source: fees.Connector, Connector: e, QueryInterval: 30 * time.Second, MaxAge: 10 * time.Minute})
	require.NoError(t, err)
	return s
}

// pass lets time go by.
func pass(t *testing.T, d time.Duration) { require.NoError(t, retry.Sleep(t.Context(), d)) }

func TestFixed(t *testing.T) {
	t.Parallel()
	s, err := fees.New(fees.Options{Source: fees.Fixed, Fixed: `{"maxFeePerGas":"5"}`})
	require.NoError(t, err)
	fee, err := s.Fee(t.Context(), "main")
	require.NoError(t, err)
	require.JSONEq(t, `{"maxFeePerGas":"5"}`, string(fee))
	require.NoError(t, s.Close())

	s, err = fees.New(fees.Options{Source: fees.None})
	require.NoError(t, err)
	require.Nil(t, s)
}

func TestConnectorThatKnowsNoFees(t *testing.T) {
	t.Parallel()
	var plain struct{ ffcapi.Connector }
	_, err := fees.New(fees.Options{Source: fees.Connector, Connector: plain})
	require.ErrorContains(t, err, "fees.source")
}

func TestFeeIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &estimator{}
		e.on = func(_ context.Context, ledger string) (json.RawMessage, error) {
			return json.Marshal(map[string]any{ledger: e.asked.Load()})
		}
		s := newSource(t, e)
		want := func(ledger, fee string) {
			t.Helper()
			got, err := s.Fee(t.Context(), ledger)
			require.NoError(t, err)
			require.JSONEq(t, fee, string(got))
		}
		want("a", `{"a":1}`)
		want("b", `{"b":2}`)
		pass(t, 30*time.Second-1)
		want("a", `{"a":1}`)
		pass(t, 1)
		want("a", `{"a":3}`)
	})
}

// TestOneAsks however many want to know.
func TestOneAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &estimator{on: func(context.Context, string) (json.RawMessage, error) {
			<-release
			return json.RawMessage(`7`), nil
		}}
		s := newSource(t, e)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				fee, err := s.Fee(t.Context(), "")
				if err != nil || string(fee) != "7" {
					t.Errorf("%s %v", fee, err)
				}
			})
		}
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Fee(impatient, "")
		require.ErrorIs(t, err, context.DeadlineExceeded, "nobody waits longer than he wants")
		close(release)
		wg.Wait()
		require.EqualValues(t, 1, e.asked.Load())
	})
}

// TestOneWhoLeaves does not leave the others without an answer.
func TestOneWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &estimator{}
		e.on = func(ctx context.Context, _ string) (json.RawMessage, error) {
			if e.asked.Load() == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return json.RawMessage(`7`), nil
		}
		s := newSource(t, e)
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Fee(leaving, ""); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if fee, err := s.Fee(t.Context(), ""); err != nil || string(fee) != "7" {
				t.Errorf("%s %v", fee, err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
	})
}

// TestOldFeeWhileNobodyAnswers: it is used for a while, and the question is not repeated all the time.
func TestOldFeeWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		e := &estimator{}
		e.on = func(context.Context, string) (json.RawMessage, error) {
			if e.asked.Load() == 1 {
				return json.RawMessage(`7`), nil
			}
			return nil, away
		}
		s := newSource(t, e)
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			fee, err := s.Fee(t.Context(), "")
			require.NoError(t, err)
			require.Equal(t, "7", string(fee))
			pass(t, time.Second)
		}
		require.InDelta(t, 10*60/5, e.asked.Load(), 10)
		_, err := s.Fee(t.Context(), "")
		require.ErrorIs(t, err, away)

		e.on = func(context.Context, string) (json.RawMessage, error) { return json.RawMessage(`8`), nil }
		pass(t, 5*time.Second)
		fee, err := s.Fee(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, "8", string(fee))
	})
}

// TestSlowAnswer: who has an old fee does not wait for a new one, and nobody is waited for without end.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &estimator{}
		e.on = func(ctx context.Context, _ string) (json.RawMessage, error) {
			if e.asked.Load() == 1 {
				return json.RawMessage(`7`), nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s := newSource(t, e)
		_, err := s.Fee(t.Context(), "")
		require.NoError(t, err)
		pass(t, time.Minute)
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if fee, err := s.Fee(t.Context(), ""); err != nil || string(fee) != "7" {
				t.Errorf("%s %v", fee, err)
			}
		})
		synctest.Wait()
		fee, err := s.Fee(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, "7", string(fee))
		require.Zero(t, time.Since(began))
		wg.Wait()
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestAnswerWithoutFee(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "null", "{"} {
		e := &estimator{on: func(context.Context, string) (json.RawMessage, error) { return json.RawMessage(answer), nil }}
		_, err := newSource(t, e).Fee(t.Context(), "")
		require.ErrorContains(t, err, "no fee")
	}
}

// A connector that panics is asked again later, and nobody waits for it meanwhile.
func TestConnectorThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &estimator{}
		e.on = func(context.Context, string) (json.RawMessage, error) {
			if e.asked.Load() == 1 {
				panic("no idea")
			}
			return json.RawMessage("7"), nil
		}
		s := newSource(t, e)
		for range 2 {
			_, err := s.Fee(t.Context(), "main")
			require.ErrorContains(t, err, "panicked: no idea")
		}
		pass(t, 6*time.Second)
		fee, err := s.Fee(t.Context(), "main")
		require.NoError(t, err)
		require.Equal(t, "7", string(fee))
	})
}
