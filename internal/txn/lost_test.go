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
)

// sent is how often each nonce was sent.
func (f *fake) sentByNonce() map[uint64]int {
	all := map[uint64]int{}
	for _, s := range f.sends() {
		all[s.nonce]++
	}
	return all
}

// TestBehindALostNonce: while the chain has lost the first one and refuses it, sending the others again is in vain. They wait, and go on
// once it is taken.
func TestBehindALostNonce(t *testing.T) {
	t.Parallel()
	const n = 20
	r := newRig(t, setup{sequenced: true, resubmit: 30 * time.Millisecond})
	lost := r.losing(&ffcapi.Error{Kind: ffcapi.Underpriced, Sent: ffcapi.SentNo})
	for i := range n {
		r.submit(submission(fmt.Sprintf("a%d", i)))
	}
	r.until(fmt.Sprintf("a%d", n-1), store.SubTracking)
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[n-1] > 1 }, wait, tick, "all are sent again")

	lost.Store(true)
	refused := r.fake.sentByNonce()[0]
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[0] > refused+1 }, wait, tick)
	before := r.fake.sentByNonce()
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[0] > before[0]+10 }, wait, tick, "the first one is tried on")
	after := r.fake.sentByNonce()
	for i := range uint64(n) {
		if i > 0 {
			require.LessOrEqual(t, after[i], before[i]+1, "nonce %d was sent in vain", i)
		}
	}

	lost.Store(false)
	require.Eventually(t, func() bool {
		now := r.fake.sentByNonce()
		for i := range uint64(n) {
			if now[i] <= after[i]+1 {
				return false
			}
		}
		return true
	}, wait, tick, "all are sent again")
	require.False(t, r.fake.overlapped())
}

// TestBehindALostNonceThatIsMined: once the lost one is in a block, those behind it go on, long before that block is final.
func TestBehindALostNonceThatIsMined(t *testing.T) {
	t.Parallel()
	const n = 3
	r := newRig(t, setup{sequenced: true, resubmit: 30 * time.Millisecond})
	lost := r.losing(&ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo})
	var first *store.Tx
	for i := range n {
		r.submit(submission(fmt.Sprintf("a%d", i)))
	}
	for i := range n {
		if tx := r.until(fmt.Sprintf("a%d", i), store.SubTracking); i == 0 {
			first = tx
		}
	}
	lost.Store(true)
	refused := r.fake.sentByNonce()[0]
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[0] > refused+1 }, wait, tick)
	r.view.block(100, success(first.Hash))
	before := r.fake.sentByNonce()
	require.Eventually(t, func() bool {
		now := r.fake.sentByNonce()
		return now[1] > before[1]+2 && now[2] > before[2]+2
	}, wait, tick, "they are sent again")
	require.Equal(t, store.SubTracking, r.until("a0", store.SubTracking).Sub, "it is not final")
}

// TestBehindALostNonceIsWoken: what waits for the next send of the lost one, which may be far away, goes on when that ends.
func TestBehindALostNonceIsWoken(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true, resubmit: 30 * time.Millisecond})
	lost := r.losing(&ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, RetryAfter: time.Minute})
	r.submit(submission("a0"))
	r.submit(submission("a1"))
	r.until("a1", store.SubTracking)
	first := r.until("a0", store.SubTracking)
	lost.Store(true)
	require.Eventually(t, func() bool {
		tx, err := r.store.Transaction(t.Context(), "a1")
		return err == nil && time.Until(tx.Due) > 40*time.Second
	}, wait, tick, "it waits")
	before := r.fake.sentByNonce()[1]
	r.view.block(0, success(first.Hash))
	r.until("a0", store.SubConfirmed)
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[1] > before }, 30*time.Second, tick, "it is sent again, long before that")
}

// losing has the fake refuse alice's first nonce as long as the answer is set.
func (r *rig) losing(err error) *atomic.Bool {
	lost := new(atomic.Bool)
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if lost.Load() && *sub.Nonce == 0 {
			return err
		}
		return nil
	}
	return lost
}

// TestABatchEndsWithALostNonce: those behind it in the same batch are not sent, and lose nothing by that.
func TestABatchEndsWithALostNonce(t *testing.T) {
	t.Parallel()
	const n = 20
	r := newRig(t, setup{sequenced: true, resubmit: 200 * time.Millisecond})
	var lost atomic.Bool
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if lost.Load() {
			return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}
		}
		return nil
	}
	for i := range n {
		r.submit(submission(fmt.Sprintf("a%d", i)))
	}
	r.until(fmt.Sprintf("a%d", n-1), store.SubTracking)
	lost.Store(true)
	before := len(r.fake.sends())
	first := r.fake.sentByNonce()[0]
	require.Eventually(t, func() bool { return r.fake.sentByNonce()[0] >= first+3 }, wait, tick)
	require.Less(t, len(r.fake.sends())-before, 2*n, "a node that is away is not asked for all of them each time")
	lost.Store(false)
	var outcomes []ffcapi.TxOutcome
	for i := range n {
		outcomes = append(outcomes, success(r.until(fmt.Sprintf("a%d", i), store.SubTracking).Hash))
	}
	r.view.block(0, outcomes...)
	for i := range n {
		r.until(fmt.Sprintf("a%d", i), store.SubConfirmed)
	}
}
