package txn_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// slowStore keeps what a node has answered from being stored until release is closed.
type slowStore struct {
	store.Store
	release chan struct{}
	waits   atomic.Int64
}

func (s *slowStore) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	if u.Tx.Sub == store.SubTracking || u.Tx.Error != "" {
		s.waits.Add(1)
		<-s.release
	}
	return s.Store.Update(ctx, f, u)
}

// TestNextOnesLeaveWhileAnswersAreStored: what a node has taken keeps its signer's next ones waiting for nothing.
func TestNextOnesLeaveWhileAnswersAreStored(t *testing.T) {
	t.Parallel()
	slow := &slowStore{release: make(chan struct{})}
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { slow.Store, o.Store = o.Store, slow }})
	const n = 5
	for i := range n {
		r.submit(submission(fmt.Sprint("a", i)))
		r.untilSent(i + 1)
	}
	close(slow.release)
	for i := range n {
		r.until(fmt.Sprint("a", i), store.SubTracking)
	}
	for i, s := range r.fake.sends() {
		require.EqualValues(t, i, s.nonce)
	}
}

// TestNextOnesWaitForARefusedOne: as long as it is not stored what became of it, nothing after it leaves.
func TestNextOnesWaitForARefusedOne(t *testing.T) {
	t.Parallel()
	slow := &slowStore{release: make(chan struct{})}
	fake := newFake()
	var refused atomic.Bool
	fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		if refused.CompareAndSwap(false, true) {
			return refusal("broke")
		}
		return nil
	}
	r := newRig(t, setup{sequenced: true, fake: fake, opts: func(o *txn.Options) { slow.Store, o.Store = o.Store, slow }})
	r.submit(submission("a0"))
	require.Eventually(t, func() bool { return slow.waits.Load() == 1 }, wait, tick)
	r.submit(submission("a1"))
	r.until("a1", store.SubReceived)
	require.Never(t, func() bool { return len(r.fake.sends()) > 1 }, 300*time.Millisecond, tick)
	close(slow.release)
	r.until("a1", store.SubTracking)
	var order []uint64
	for _, s := range r.fake.sends() {
		order = append(order, s.nonce)
	}
	require.Equal(t, []uint64{0, 0, 1}, order)
}
