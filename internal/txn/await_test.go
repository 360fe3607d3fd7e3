package txn_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// reads counts what is read of transactions.
type reads struct {
	store.Store

	transactions, histories atomic.Int64
}

func (s *reads) Transaction(ctx context.Context, id string) (*store.Tx, error) {
	tx, err := s.Store.Transaction(ctx, id)
	s.transactions.Add(1)
	return tx, err
}

func (s *reads) History(ctx context.Context, id string) ([]store.History, error) {
	s.histories.Add(1)
	return s.Store.History(ctx, id)
}

func counting(s *reads, most int) func(*txn.Options) {
	return func(o *txn.Options) {
		s.Store = o.Store
		o.Store, o.MaxWaiting = s, most
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	_, err := r.Await(t.Context(), "a", false, time.Hour)
	require.ErrorIs(t, err, store.ErrNotFound, "at once")
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	tx, err := r.Await(t.Context(), "a", false, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, "Pending", tx.Status, "as it is when the time is up")

	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = r.Await(gone, "a", false, time.Hour)
	require.ErrorIs(t, err, context.Canceled)

	r.view.block(0, success(hashOf("a#1")))
	r.until("a", store.SubConfirmed)
	tx, err = r.Await(t.Context(), "a", true, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", tx.Status, "it has ended already")
	require.NotEmpty(t, tx.History)
}

// However many wait for a transaction, its end is read once for all of them, and its steps on the way are not read at all.
func TestManyAwaitOne(t *testing.T) {
	t.Parallel()
	const clients = 1000
	var s reads
	r := newRig(t, setup{opts: counting(&s, clients)})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	before := s.transactions.Load()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			tx, err := r.Await(t.Context(), "a", i%2 == 0, time.Hour)
			require.NoError(t, err)
			require.Equal(t, "Succeeded", tx.Status)
			require.NotNil(t, tx.Receipt)
			require.Equal(t, i%2 == 0, tx.History != nil)
		})
	}
	require.Eventually(t, func() bool { return s.transactions.Load() == before+clients }, wait, tick, "each reads once when it comes")
	_, err := r.Await(t.Context(), "a", false, time.Hour)
	require.ErrorIs(t, err, apitypes.ErrTooManyWaiting)

	r.view.block(0, success(hashOf("a#1")))
	wg.Wait()
	require.LessOrEqual(t, s.transactions.Load(), before+clients+2, "and not again")
	require.EqualValues(t, 1, s.histories.Load())
	_, err = r.Await(t.Context(), "a", false, time.Hour)
	require.NoError(t, err, "there is room again")
}

func TestWaitingEndsWithTheServer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*rig){"waits": func(r *rig) { r.EndWaits(); r.EndWaits() }, "service": (*rig).stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s reads
			r := newRig(t, setup{opts: counting(&s, 10)})
			r.submit(submission("a"))
			r.until("a", store.SubTracking)
			before := s.transactions.Load()
			answer := make(chan *apitypes.TransactionWithStatus, 1)
			go func() {
				tx, err := r.Await(t.Context(), "a", false, time.Hour)
				require.NoError(t, err)
				answer <- tx
			}()
			require.Eventually(t, func() bool { return s.transactions.Load() > before }, wait, tick)
			end(r)
			require.Equal(t, "Pending", (<-answer).Status, "as it is")
			tx, err := r.Await(t.Context(), "a", false, time.Hour)
			require.NoError(t, err)
			require.Equal(t, "Pending", tx.Status, "who comes now does not wait")
		})
	}
}
