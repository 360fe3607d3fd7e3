package txn_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// finishing is a fake whose Prepare leaves something to be done.
type finishing struct {
	*fake
	onFinish func() error
}

func (f finishing) Finish(_ context.Context, sub *ffcapi.Submission) (*ffcapi.Prepared, error) {
	if err := f.onFinish(); err != nil {
		return nil, err
	}
	done := *sub.Prepared
	if string(done.Payload) == "done" {
		return nil, nil //nolint:nilnil // nothing is left
	}
	done.Payload = []byte("done")
	return &done, nil
}

func finishingRig(t *testing.T, onFinish func() error) *rig {
	t.Helper()
	f := newFake()
	return newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Connector = finishing{f, onFinish} }})
}

// TestWhatIsLeftIsDoneBeforeTheClaim: the bytes that are sent, now and ever after, are stored with the claim.
func TestWhatIsLeftIsDoneBeforeTheClaim(t *testing.T) {
	t.Parallel()
	var r *rig
	var failures atomic.Int64
	r = finishingRig(t, func() error {
		for _, a := range r.attempts("a") {
			require.Equal(t, store.AttemptPrepared, a.State, "a send was claimed that could not begin")
		}
		if failures.Add(1) < 4 {
			return ffcapi.Errorf(ffcapi.Unavailable, "away")
		}
		return nil
	})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.Len(t, r.fake.sends(), 1)
	require.Equal(t, "done", r.fake.sends()[0].payload)
	stored, err := r.store.Payload(t.Context(), "a", 1)
	require.NoError(t, err)
	require.Equal(t, "done", string(stored.Prepared))
	require.Equal(t, int64(4), failures.Load(), "what is complete is not asked about again")
}

// TestWhatIsRefusedBeforeTheClaimHasFailed, with the words of the refusal, and nothing was sent.
func TestWhatIsRefusedBeforeTheClaimHasFailed(t *testing.T) {
	t.Parallel()
	r := finishingRig(t, func() error { return ffcapi.Errorf(ffcapi.Reverted, "out of stock") })
	r.submit(submission("a"))
	tx := r.until("a", store.SubFailed)
	require.Contains(t, tx.Error, "out of stock")
	require.Empty(t, r.fake.sends())
	require.Equal(t, 0, r.attempts("a")[0].Sends)
}
