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
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func TestSimpleFailsWhatLostARace(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "MVCC_READ_CONFLICT", Retryable: true})
	row = r.until("a", store.SubFailed)
	require.Equal(t, "MVCC_READ_CONFLICT", row.Error)
	require.NotNil(t, row.Outcome)
}

// stubborn prepares afresh what lost a race.
type stubborn struct{}

func (stubborn) Decide(v policy.View) policy.Decision {
	switch {
	case v.Tx.Phase == policy.Ended && v.Outcome != nil && v.Outcome.Retryable && v.LastError == nil:
		return policy.Decision{Do: policy.Prepare}
	case v.Tx.Phase == policy.Ended && v.LastError != nil:
		return policy.Decision{Do: policy.Fail, Reason: v.LastError.Error()}
	case v.Tx.Phase == policy.Ready:
		return policy.Decision{Do: policy.Submit}
	default:
		return policy.Decision{Do: policy.Wait}
	}
}

func TestPreparedAfresh(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Policy = stubborn{} }})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "conflict", Retryable: true})
	r.untilSent(2)
	require.Eventually(t, func() bool {
		row, _ = r.store.Transaction(t.Context(), "a")
		return row.Sub == store.SubTracking && row.Attempt == 2
	}, wait, tick)
	require.Equal(t, hashOf("a#2"), row.Hash)
	r.view.block(0, success(row.Hash))
	r.until("a", store.SubConfirmed)
	attempts := r.attempts("a")
	require.Len(t, attempts, 2)
	require.False(t, attempts[0].Outcome.Success)
	require.True(t, attempts[1].Outcome.Success)

	// The simulation says at last that it cannot succeed.
	r.submit(submission("b"))
	row = r.until("b", store.SubTracking)
	r.fake.mu.Lock()
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "%s of %s by %s exists", req.Method, req.To, req.From)
	}
	r.fake.mu.Unlock()
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "conflict", Retryable: true})
	require.Equal(t, `"b" of assets by alice exists`, r.until("b", store.SubFailed).Error)
}

func TestExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.SubmitTimeout = time.Second }})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return &ffcapi.Prepared{Payload: []byte("p"), Hash: hashOf("p"), Expires: 2}, nil
	}
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return &ffcapi.Error{Kind: ffcapi.Timeout} }
	r.submit(submission("a"))
	r.view.block(0)
	r.view.block(0)
	n := len(r.fake.sends())
	r.untilSent(n + 2)
	require.Equal(t, store.Pending, r.until("a", store.SubUnknownOutcome).Status, "block 2 may hold it")
	r.view.block(0)
	row := r.until("a", store.SubFailed)
	require.Contains(t, r.attempts("a")[0].Dead, "expired")
	require.NotEmpty(t, row.Error)
}

func TestFeeIsFixedWithTheFirstSend(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	fees := make(chan string, 10)
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Fees = rising{&asked} }})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, n int) error {
		fees <- string(sub.Fee)
		if n < 3 {
			return &ffcapi.Error{Kind: ffcapi.Timeout}
		}
		return nil
	}
	r.submit(submission("a"))
	require.JSONEq(t, `"1"`, string(r.until("a", store.SubTracking).Fee))
	for range 3 {
		require.JSONEq(t, `"1"`, <-fees, "the same bytes")
	}
}

type rising struct{ n *atomic.Int64 }

func (r rising) Fee(context.Context, string) (json.RawMessage, error) {
	return fmt.Appendf(nil, `"%d"`, r.n.Add(1)), nil
}

// eager never waits.
type eager struct{ do policy.Do }

func (e eager) Decide(v policy.View) policy.Decision {
	if v.Tx.Phase == policy.Tracking {
		return policy.Decision{Do: policy.Wait}
	}
	return policy.Decision{Do: e.do, Reason: "eager"}
}

// TestBadEngine: an engine that asks for the impossible does no harm, and one that never waits does not spin.
func TestBadEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Policy = eager{policy.Submit} }})
	r.fake.onSubmit = func(_ context.Context, _ *ffcapi.Submission, n int) error {
		if n < 5 {
			return &ffcapi.Error{Kind: ffcapi.Unavailable}
		}
		return nil
	}
	began := time.Now()
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.GreaterOrEqual(t, time.Since(began), 40*time.Millisecond, "four pauses")

	for _, do := range []policy.Do{policy.Prepare, policy.Wait, policy.Reconcile, "", "nonsense"} {
		r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Policy = eager{do} }})
		r.submit(submission("a"))
		require.Eventually(t, func() bool {
			tx, err := r.store.Transaction(t.Context(), "a")
			return err == nil && !tx.Due.IsZero()
		}, wait, tick, "%q: asked again some time", do)
		require.Empty(t, r.fake.sends())
	}
}
