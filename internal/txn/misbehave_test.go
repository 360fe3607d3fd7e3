package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// engineFunc is a policy engine in one function.
type engineFunc func(v policy.View) policy.Decision

func (f engineFunc) Decide(v policy.View) policy.Decision { return f(v) }

// TestEngineThatAlwaysPrepares keeps no worker, whether preparing works or not, and does not hold up the stop.
func TestEngineThatAlwaysPrepares(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{true, false} {
		t.Run(fmt.Sprint(works), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{opts: func(o *txn.Options) {
				o.Policy = engineFunc(func(v policy.View) policy.Decision {
					if v.Tx.ID == "a" {
						return policy.Decision{Do: policy.Prepare}
					}
					return policy.Decision{Do: policy.Submit}
				})
				o.Workers = 1
			}})
			var fail atomic.Bool
			r.fake.onPrepare = func(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
				if fail.Load() && string(req.Method) == `"a"` {
					return nil, &ffcapi.Error{Kind: ffcapi.Unavailable}
				}
				return &ffcapi.Prepared{Payload: req.Method, Hash: hashOf(string(req.Method))}, ctx.Err()
			}
			r.submit(submission("a"))
			fail.Store(!works)
			require.Eventually(t, func() bool { return r.fake.calls("Prepare") >= 2 }, wait, tick)
			r.submit(submission("b"))
			r.untilSent(1)
			require.Less(t, r.fake.calls("Prepare"), 100)
		})
	}
}

// TestEngineThatPanics delays the transaction it panics over, and nothing else.
func TestEngineThatPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			if v.Tx.ID == "a" {
				panic("no idea")
			}
			return policy.Decision{Do: policy.Submit}
		})
	}})
	r.submit(submission("a"))
	r.submit(submission("b"))
	r.untilSent(1)
	require.Eventually(t, func() bool {
		tx, err := r.store.Transaction(t.Context(), "a")
		return err == nil && tx.Due.After(time.Now())
	}, wait, tick, "it is asked again")
}

// TestEngineThatWaitsForThePast is not asked all the time.
func TestEngineThatWaitsForThePast(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	began := time.Now()
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			asked.Add(1)
			return policy.Decision{Do: policy.Wait, Until: v.Now.Add(-time.Hour)}
		})
	}})
	r.submit(submission("a"))
	require.Eventually(t, func() bool { return asked.Load() >= 30 }, wait, tick)
	n := asked.Load()
	require.LessOrEqual(t, n, int64(time.Since(began)/(10*time.Millisecond))+2)
}

// TestEngineWithoutJSON: what an engine remembers and offers is shown to users, so it has to be JSON.
func TestEngineWithoutJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.Policy = engineFunc(func(policy.View) policy.Decision {
			return policy.Decision{Do: policy.Submit, State: []byte("{"), Fee: []byte("much")}
		})
	}})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	tx, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	_, err = json.Marshal(tx)
	require.NoError(t, err)
	require.Nil(t, tx.PolicyInfo)
	require.Nil(t, tx.GasPrice)
}

// TestConnectorThatPanics costs only what it panics over, in a batch and behind the answer, too.
func TestConnectorThatPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		if string(req.Method) == `"bad"` {
			panic("prepare")
		}
		return &ffcapi.Prepared{Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, nil
	}
	r.fake.onSubmit = func(_ context.Context, _ *ffcapi.Submission, n int) error {
		if n == 1 {
			panic("submit")
		}
		return nil
	}
	r.fake.onReceipt = func(context.Context, *ffcapi.ReceiptQuery) error { panic("receipt") }
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("bad"), submission("good")})
	require.Equal(t, ffcapi.Internal, ffcapi.KindOf(answers[0].Err))
	require.NoError(t, answers[1].Err)
	r.until("good", store.SubTracking)
	require.Equal(t, 2, r.attempts("good")[0].Sends)
	require.GreaterOrEqual(t, r.attempts("good")[0].Open, 1, "what panicked may have sent it")
}
