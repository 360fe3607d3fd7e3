package txn_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// interrupted is a place with a transaction that was suspended while its send was under way, and whose process was then killed.
func interrupted(t *testing.T, sequenced bool, expires uint64) *sqlstoretest.Place {
	t.Helper()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r := newRig(t, setup{sequenced: sequenced, place: place})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return &ffcapi.Prepared{Payload: []byte("a"), Hash: hashOf("a"), Expires: expires}, nil
	}
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r.submit(submission("a"))
	r.untilSent(1)
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	r.crash()
	return place
}

// TestSuspendedIsFoundOnTheChain after a restart, without being resumed.
func TestSuspendedIsFoundOnTheChain(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		t.Run(fmt.Sprint(sequenced), func(t *testing.T) {
			t.Parallel()
			requireFound(t, setup{place: interrupted(t, sequenced, 0), sequenced: sequenced}, "a")
		})
	}
}

// TestSuspendedIsAskedForAgain, until the chain is past what could hold it. Then it can be cancelled and changed.
func TestSuspendedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		t.Run(fmt.Sprint(sequenced), func(t *testing.T) {
			t.Parallel()
			expires := uint64(1)
			if sequenced {
				expires = 0 // what has a nonce is out until that is used
			}
			place, f := interrupted(t, sequenced, expires), newFake()
			r := newRig(t, setup{place: place, sequenced: sequenced, fake: f})
			require.Eventually(t, func() bool { return f.calls("Receipt") >= 2 }, wait, tick, "asked again")
			_, err := r.CancelTransaction(t.Context(), "a")
			require.ErrorIs(t, err, apitypes.ErrMayBeOut, "that no node has it proves nothing")
			if sequenced {
				r.submit(submission("b"))
				require.Eventually(t, func() bool { return r.show("b").BlockedBy == "a" }, wait, tick)
				require.Empty(t, f.sends())
				return
			}
			r.view.block(0)
			r.view.block(0)
			row := r.until("a", store.SubPrepared)
			require.Equal(t, store.Suspended, row.Status)
			require.Empty(t, f.sends())
			to := "other"
			_, err = r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{To: &to})
			require.NoError(t, err)
			_, err = r.CancelTransaction(t.Context(), "a")
			require.NoError(t, err)
			r.until("a", store.SubCancelled)
			require.Empty(t, f.sends())
		})
	}
}

// TestSuspendedWhileTracked: once the chain is past what could hold it, it can be changed and cancelled, without being resumed.
func TestSuspendedWhileTracked(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return &ffcapi.Prepared{Payload: []byte("a"), Hash: hashOf("a"), Expires: 1}, nil
	}
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	_, err = r.CancelTransaction(t.Context(), "a")
	require.ErrorIs(t, err, apitypes.ErrMayBeOut)
	r.view.block(0)
	r.view.block(0)
	require.Equal(t, store.Suspended, r.until("a", store.SubPrepared).Status)
	_, err = r.CancelTransaction(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, r.fake.sends(), 1)
}

// heldStore keeps a suspension from being stored until release is closed.
type heldStore struct {
	store.Store
	once             sync.Once
	reached, release chan struct{}
}

func (s *heldStore) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	if u.Tx.Status == store.Suspended {
		s.once.Do(func() { close(s.reached) })
		<-s.release
	}
	return s.Store.Update(ctx, f, u)
}

// TestSuspendedWhileItIsLookedFor: a worker takes it after the suspension began and reads it before that is stored. It does not send it
// again once the suspension was answered.
func TestSuspendedWhileItIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, sequenced := range []bool{true, false} {
		t.Run(fmt.Sprint(sequenced), func(t *testing.T) {
			t.Parallel()
			place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
			r := newRig(t, setup{sequenced: sequenced, place: place})
			r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
				<-ctx.Done()
				return ctx.Err()
			}
			r.submit(from("bob", "b"))
			r.untilSent(1)
			r.submit(submission("a"))
			r.untilSent(2)
			r.crash()

			f, held := newFake(), &heldStore{reached: make(chan struct{}), release: make(chan struct{})}
			asked, answer := make(chan string), map[string]chan struct{}{hashOf("b#1"): make(chan struct{}), hashOf("a#2"): make(chan struct{})}
			f.onReceipt = func(ctx context.Context, q *ffcapi.ReceiptQuery) error {
				select {
				case asked <- q.Hash:
				case <-answer[q.Hash]: // asked before
				}
				select {
				case <-answer[q.Hash]:
				case <-ctx.Done():
				}
				return nil
			}
			r = newRig(t, setup{sequenced: sequenced, place: place, fake: f, opts: func(o *txn.Options) {
				held.Store, o.Store, o.Workers = o.Store, held, 1
			}})
			require.Equal(t, hashOf("b#1"), <-asked, "the only worker is busy")
			suspended := make(chan error, 1)
			go func() {
				_, err := r.SuspendTransaction(context.Background(), "a")
				suspended <- err
			}()
			<-held.reached
			close(answer[hashOf("b#1")])
			require.Equal(t, hashOf("a#2"), <-asked, "it is taken, and read as not suspended")
			close(held.release)
			require.NoError(t, <-suspended)
			close(answer[hashOf("a#2")])
			r.until("a", store.SubUnknownOutcome)
			require.Eventually(t, func() bool { return f.calls("Receipt") > 2 }, wait, tick, "it is asked for again")
			for _, s := range f.sends() {
				require.NotEqual(t, "a#2", s.payload)
			}
			require.Equal(t, store.Suspended, r.until("a", store.SubUnknownOutcome).Status)
		})
	}
}

// TestSuspendedInDoubt is asked for in the process that has sent it, too.
func TestSuspendedInDoubt(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Policy = patient{} }})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe}
	}
	r.submit(submission("a"))
	r.until("a", store.SubUnknownOutcome)
	require.Zero(t, r.fake.calls("Receipt"))
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.fake.calls("Receipt") >= 2 }, wait, tick)
	r.fake.put("a#1", &ffcapi.Receipt{Block: ffcapi.BlockRef{Number: 1, Hash: "b1"}, Success: true})
	require.Equal(t, store.Suspended, r.until("a", store.SubTracking).Status, "it is in a block that is not final")
	require.Len(t, r.fake.sends(), 1)
}
