package txn_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// unready is a view that has no position until it is told to have one.
type unready struct {
	*view

	stored atomic.Bool
}

func (u *unready) Ready(ctx context.Context, ledger string) error {
	if !u.stored.Load() {
		return ffcapi.Errorf(ffcapi.Unavailable, "no position is stored")
	}
	return u.view.Ready(ctx, ledger)
}

// TestNothingIsAcceptedWithoutAPosition: what is sent before a position is stored may be in a block that is never read. That somebody has asked
// for one before is not enough.
func TestNothingIsAcceptedWithoutAPosition(t *testing.T) {
	t.Parallel()
	chain := &unready{}
	r := newRig(t, setup{stopped: true, opts: func(o *txn.Options) { o.Chain = chain }})
	chain.view = r.view
	r.start()
	for range 3 {
		_, _, err := r.Submit(t.Context(), submission("a"))
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
		for _, one := range r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("b"), submission("c")}) {
			require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(one.Err))
		}
		require.Empty(t, r.fake.sends())
	}
	chain.stored.Store(true)
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	require.Len(t, r.fake.sends(), 1)
}
