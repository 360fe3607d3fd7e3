package txn_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func TestBatchReplayOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.finish("a")
	r.retain(2*time.Hour, nil)
	r.untilGone("a")
	answers := r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("a"), submission("b")})
	require.NoError(t, answers[0].Err)
	require.True(t, answers[0].Replay)
	require.Equal(t, "Succeeded", answers[0].Transaction.Status)
	require.NoError(t, answers[1].Err)
}

// hasty sends whenever it may.
type hasty struct{}

func (hasty) Decide(v policy.View) policy.Decision {
	soon := v.Now.Add(10 * time.Millisecond)
	switch {
	case v.Tx.Phase == policy.Tracking:
		return policy.Decision{Do: policy.Wait}
	case v.LastError != nil && v.LastError.Kind == ffcapi.NonceTooLow:
		return policy.Decision{Do: policy.Reconcile, Until: soon}
	default:
		return policy.Decision{Do: policy.Submit, Until: soon}
	}
}

// refuseBoth answers sends with the nonces 0 and 1: the first with an error, the second with a refusal for as long as refuse is set.
func refuseBoth(first ffcapi.Error, refuse *atomic.Bool) func(context.Context, *ffcapi.Submission, int) error {
	return func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		switch {
		case *sub.Nonce == 0:
			err := first
			return &err
		case *sub.Nonce == 1 && refuse.Load():
			return refusal("broke")
		default:
			return nil
		}
	}
}

// requireBehind waits until a transaction is sent with nonce 2, and checks that it went behind the one with nonce 1.
func (r *rig) requireBehind(id string) {
	r.t.Helper()
	require.EqualValues(r.t, 2, *r.until(id, store.SubTracking).Nonce)
	sends := r.fake.sends()
	require.EqualValues(r.t, 2, sends[len(sends)-1].nonce)
	require.EqualValues(r.t, 1, sends[len(sends)-2].nonce, "only when the one before was taken")
}

// TestNewNonceWaitsForItsTurn: what gets another nonce goes behind those that were assigned before.
func TestNewNonceWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	refuse.Store(true)
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Policy = hasty{} }})
	r.fake.onSubmit = refuseBoth(ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo}, &refuse)
	r.submit(submission("a"))
	r.untilSent(1) // the node refuses its nonce, but does not count it as used yet
	r.submit(submission("b"))
	r.untilSent(2)
	r.fake.use("alice", 1)
	require.Eventually(t, func() bool { return len(r.attempts("a")) == 2 }, wait, tick)
	r.untilSent(len(r.fake.sends()) + 3)
	refuse.Store(false)
	r.requireBehind("a")
}

// TestChangedBehindOthers: what gets its new nonce because it is changed goes behind them, too.
func TestChangedBehindOthers(t *testing.T) {
	t.Parallel()
	var down, refuse atomic.Bool
	refuse.Store(true)
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Policy = hasty{} }})
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		if down.Load() && req.Gas == "" {
			return nil, ffcapi.Errorf(ffcapi.Unavailable, "no node answers")
		}
		return &ffcapi.Prepared{Payload: []byte(string(req.Method) + req.Gas), Hash: hashOf(string(req.Method) + req.Gas), Gas: req.Gas}, nil
	}
	r.fake.onSubmit = refuseBoth(ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe}, &refuse)
	r.submit(submission("a"))
	r.until("a", store.SubUnknownOutcome)
	r.submit(submission("b"))
	down.Store(true)
	nonce, asked := uint64(0), r.fake.calls("Prepare")
	r.view.block(0, ffcapi.TxOutcome{Hash: "stranger", From: "alice", Nonce: &nonce, Success: true})
	require.Eventually(t, func() bool { return r.fake.calls("Prepare") > asked }, wait, tick)
	gas := fftypes.NewFFBigInt(5)
	_, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{Gas: gas})
	require.NoError(t, err)
	r.untilSent(len(r.fake.sends()) + 3)
	refuse.Store(false)
	r.requireBehind("a")
}

// lateStore keeps the answer to a write that suspends back.
type lateStore struct {
	store.Store
	after func()
}

func (s *lateStore) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	err := s.Store.Update(ctx, f, u)
	if err == nil && u.Announce && u.Tx.Status == store.Suspended {
		s.after()
	}
	return err
}

// TestResumeBesideASuspend: what is stored counts, not which of the two requests is answered last.
func TestResumeBesideASuspend(t *testing.T) {
	t.Parallel()
	late := &lateStore{}
	r, refuse := stopping(t, setup{sequenced: true, opts: func(o *txn.Options) { late.Store, o.Store = o.Store, late }})
	r.submit(submission("a"))
	r.untilSent(1)
	late.after = func() {
		_, err := r.ResumeTransaction(t.Context(), "a")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			n := len(r.statuses)
			return n >= 2 && r.statuses[n-1].Status == store.Pending && r.Consumed() >= r.statuses[n-1].Seq
		}, wait, tick)
		r.untilSent(len(r.fake.sends()) + 1)
	}
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	refuse.Store(false)
	r.until("a", store.SubTracking)
}
