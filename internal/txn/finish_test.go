package txn_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/pace"
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

// TestWhatCannotBeSentAnyMoreIsPreparedAfresh: the connector says so before anything of it has left.
func TestWhatCannotBeSentAnyMoreIsPreparedAfresh(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	r := finishingRig(t, func() error {
		if asked.Add(1) == 1 {
			return ffcapi.Errorf(ffcapi.Conflict, "the identity was renewed")
		}
		return nil
	})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	attempts := r.attempts("a")
	require.Len(t, attempts, 2)
	require.Equal(t, 0, attempts[0].Sends)
	require.Len(t, r.fake.sends(), 1)
	require.Equal(t, "done", r.fake.sends()[0].payload)
}

// TestAStopSaysNothingOfWhatIsPreparedAfresh: what it cuts short was refused by nobody.
func TestAStopSaysNothingOfWhatIsPreparedAfresh(t *testing.T) {
	t.Parallel()
	f, reg := newFake(), newRegister()
	f.onPrepare, f.onSubmit = reg.prepare, reg.submit
	c := fabric.DefaultConfig()
	c.ConflictBackoff = pace.Backoff{Initial: time.Millisecond}
	var afresh atomic.Bool
	finishes := make(chan struct{})
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) {
		o.Policy = fabric.New(c)
		o.Connector = waiting{f, func(ctx context.Context) error {
			if afresh.Load() {
				close(finishes)
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
	}})
	r.submit(changing("a", "k"))
	reg.pooled(t, 1)
	r.until("a", store.SubTracking)
	afresh.Store(true)
	reg.set(func() { reg.versions["k"]++ })
	r.view.block(0, reg.block()...)
	<-finishes
	r.stop()
	row, err := r.store.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "MVCC_READ_CONFLICT", row.Error)
}

// waiting is a fake of which Finish does nothing but what it is told.
type waiting struct {
	*fake
	onFinish func(context.Context) error
}

func (w waiting) Finish(ctx context.Context, _ *ffcapi.Submission) (*ffcapi.Prepared, error) {
	return nil, w.onFinish(ctx)
}
