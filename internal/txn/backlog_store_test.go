package txn_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// TestBacklogOutlivesTheNodeAndTheProcess: while a signer's node is away, little of what waits is in memory; all of it is shown, counts, can be
// changed, and is sent when the node is back, once and in order, also by another process. Others do not notice.
func TestBacklogOutlivesTheNodeAndTheProcess(t *testing.T) {
	t.Parallel()
	for _, withNonces := range []bool{true, false} {
		t.Run(fmt.Sprintf("nonces=%t", withNonces), func(t *testing.T) {
			t.Parallel()
			const n = 150
			var away atomic.Bool
			away.Store(true)
			f := newFake()
			var mu sync.Mutex
			var took []string // alice's payloads and nonces, as her node took them
			f.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
				if away.Load() && sub.From == "alice" {
					return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, Message: "away"}
				}
				if sub.From == "alice" {
					mu.Lock()
					defer mu.Unlock()
					took = append(took, string(sub.Prepared.Payload))
					if withNonces {
						require.Equal(t, uint64(len(took)-1), *sub.Nonce, "ahead of its turn")
					}
				}
				return nil
			}
			place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
			begin := func() *rig {
				r := newRig(t, setup{sequenced: withNonces, fake: f, place: place, stopped: true})
				txn.KeepLittle(r.Manager)
				r.start()
				return r
			}
			r := begin()
			for i := range n {
				r.submit(from("alice", fmt.Sprintf("a%03d", i)))
			}
			for i := range n {
				r.submit(from("bob", fmt.Sprintf("b%03d", i)))
			}
			for i := range n {
				r.until(fmt.Sprintf("b%03d", i), store.SubTracking)
			}
			require.LessOrEqual(t, txn.Loaded(r.Manager), n+50, "bob's wait for their block, few of alice's are there")
			require.Eventually(t, func() bool { return r.Load().Pending == 2*n }, wait, tick)

			last := fmt.Sprintf("a%03d", n-1)
			held := fmt.Sprintf("a%03d", n-40)
			require.Eventually(t, func() bool {
				shown, err := r.Transaction(t.Context(), last, false)
				return err == nil && (!withNonces || shown.BlockedBy == "a000")
			}, wait, tick)
			_, err := r.SuspendTransaction(t.Context(), held)
			require.NoError(t, err)

			r.stop()
			require.NoError(t, r.store.Close())
			r = begin()
			require.Eventually(t, func() bool { return txn.Loaded(r.Manager) > 0 }, wait, tick)
			require.LessOrEqual(t, txn.Loaded(r.Manager), n+50)
			require.Equal(t, 2*n, r.Load().Pending)
			_, err = r.CancelTransaction(t.Context(), last)
			require.NoError(t, err)

			away.Store(false)
			for i := range n - 1 {
				id := fmt.Sprintf("a%03d", i)
				if id == held {
					require.False(t, sent(r, held))
					_, err = r.ResumeTransaction(t.Context(), held)
					require.NoError(t, err)
				}
				r.until(id, store.SubTracking)
			}
			require.False(t, withNonces && f.overlapped())
			require.Eventually(t, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(took) == n-1
			}, wait, tick)
			slices.Sort(took)
			require.Len(t, slices.Compact(took), n-1, "each once")
			require.Eventually(t, func() bool { return r.Load().Pending == 2*n-1 }, wait, tick, "the cancelled one counts no more")
		})
	}
}

// sent reports whether a node has a transaction.
func sent(r *rig, id string) bool {
	tx, err := r.store.Transaction(r.t.Context(), id)
	return err == nil && tx.Sub == store.SubTracking
}

// TestCancelledBacklogMakesRoom: what is cancelled while it is in the store does not keep new transactions out.
func TestCancelledBacklogMakesRoom(t *testing.T) {
	t.Parallel()
	const most = 100
	f := newFake()
	f.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, Message: "away"}
	}
	r := newRig(t, setup{fake: f, stopped: true, opts: func(o *txn.Options) { o.MaxPending = most }})
	txn.KeepLittle(r.Manager)
	r.start()
	for i := range most {
		r.submit(submission(fmt.Sprintf("a%03d", i)))
	}
	for i := most / 2; i < most; i++ {
		_, err := r.CancelTransaction(t.Context(), fmt.Sprintf("a%03d", i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		_, _, err := r.Submit(t.Context(), submission("late"))
		return err == nil
	}, wait, tick)
}
