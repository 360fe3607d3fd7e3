package txn_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func confirmed(id string, confirmations int) *apitypes.Submission {
	s := submission(id)
	s.Confirmations = &confirmations
	return s
}

// TestHashLearnedLateIsFoundWithoutAReceipt: the block passed while nobody knew what to look for, and the node that answers does not know
// the transaction yet.
func TestHashLearnedLateIsFoundWithoutAReceipt(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.late = true
	var block ffcapi.BlockRef
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		block = r.view.block(0, success("other"), success(hashOf(string(sub.Prepared.Payload))))
		return nil
	}
	r.submit(submission("a"))
	row := r.until("a", store.SubConfirmed)
	require.Equal(t, store.Succeeded, row.Status)
	require.Equal(t, block, row.Outcome.Block)
	require.Equal(t, 1, r.fake.calls("Receipt"), "it is asked first")
}

func TestHashLearnedLateAndInNoBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	r.fake.late = true
	r.fake.onSubmit = func(_ context.Context, _ *ffcapi.Submission, n int) error {
		if n == 1 {
			r.view.block(0, success("other"))
		}
		return nil
	}
	r.submit(submission("a"))
	r.untilSent(3)
	require.Equal(t, 1, r.view.found(), "what comes after the hash is known is noticed")
	r.view.block(0, success(hashOf("a#1")))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}

func TestHashKnownBeforeIsNotSearchedFor(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{"by its hash": {}, "by its nonce": {sequenced: true, fake: lateFake()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.resubmit = 20 * time.Millisecond
			r := newRig(t, s)
			r.submit(submission("a"))
			r.untilSent(2)
			require.Zero(t, r.view.found())
		})
	}
}

func lateFake() *fake {
	f := newFake()
	f.late = true
	return f
}

// TestReceiptWithConfirmationsOfItsOwn: what is final differs between transactions.
func TestReceiptWithConfirmationsOfItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	require.NoError(t, r.view.Ready(t.Context(), ""))
	early := r.view.block(0)
	late := r.view.block(0)
	r.fake.put("few#1", &ffcapi.Receipt{Block: early, Success: true})
	r.submit(confirmed("few", 1))
	require.Equal(t, store.Succeeded, r.until("few", store.SubConfirmed).Status)
	r.fake.put("many#2", &ffcapi.Receipt{Block: late, Success: true})
	r.submit(confirmed("many", 1))
	require.Eventually(t, func() bool { return r.fake.calls("Receipt") > 1 }, wait, tick)
	require.Equal(t, store.Pending, r.until("many", store.SubTracking).Status)
}

// TestHistoryShowsForks: which block went away, and which one came instead.
func TestHistoryShowsForks(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	r.view.block(0)
	gone := r.view.block(9, success(row.Hash))
	r.view.undo()
	r.view.fork()
	now := r.view.block(0, success(row.Hash))
	r.until("a", store.SubConfirmed)
	require.NotEqual(t, gone, now)
	full, err := r.Transaction(t.Context(), "a", true)
	require.NoError(t, err)
	type event struct{ Action, Block, Hash string }
	var events []event
	for _, g := range full.History {
		for _, a := range g.Actions {
			e := event{Action: a.Action}
			if a.Action == "ReceiveReceipt" || a.Action == "ReceiptRemoved" {
				require.NoError(t, json.Unmarshal(a.LastInfo, &e))
				events = append(events, e)
			}
		}
	}
	require.Equal(t, []event{
		{"ReceiveReceipt", "2", gone.Hash}, {"ReceiptRemoved", "2", gone.Hash}, {"ReceiveReceipt", "2", now.Hash},
	}, events)
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.statuses {
			if e.Sub != store.SubReceived && e.Sub != store.SubPrepared {
				return e.Sub == store.SubTracking
			}
		}
		return false
	}, wait, tick, "that it was undone is announced")
}

func TestConfirmationsAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.submit(confirmed("a", 2))
	row := r.until("a", store.SubTracking)
	none, err := r.ConfirmationRecords(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, none)
	b := r.view.block(9, success(row.Hash))
	first := r.view.block(9)
	r.view.block(9)
	r.view.block(9)
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
	records, err := r.ConfirmationRecords(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, first.Hash, records[0].BlockHash)
	require.Equal(t, b.Hash, records[0].ParentHash)
	require.EqualValues(t, first.Number, records[0].BlockNumber.Int64())
	full, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Equal(t, records[1].Confirmation, full.Confirmations[1])
	_, err = r.ConfirmationRecords(t.Context(), "unknown")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestPositionIsStoredBeforeTheFirstSubmit: what is sent after it cannot be in a block that is not read.
func TestPositionIsStoredBeforeTheFirstSubmit(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	checked := make(chan error, 1)
	r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
		_, err := r.store.Ledger(ctx, "")
		checked <- err
		return nil
	}
	r.submit(submission("a"))
	require.NoError(t, <-checked)
}

// TestFoundBlockThatIsNotFinalWaits: it may still be replaced. It is looked at again, because nothing else tells of it.
func TestFoundBlockThatIsNotFinalWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{fake: lateFake(), resubmit: 20 * time.Millisecond})
	var block ffcapi.BlockRef
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		block = r.view.block(2, success(hashOf(string(sub.Prepared.Payload))))
		return nil
	}
	r.submit(submission("a"))
	require.Eventually(t, func() bool { return r.view.found() > 1 }, wait, tick)
	row, err := r.store.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, store.Pending, row.Status)
	require.Len(t, r.fake.sends(), 1, "it is there: nothing to send")
	r.view.block(2)
	r.view.block(2)
	require.Equal(t, block, r.until("a", store.SubConfirmed).Outcome.Block)
}

// TestSearchReachesBelowAFork: blocks above the safe head may be replaced, and by one of them that holds what was sent after them.
func TestSearchReachesBelowAFork(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{fake: lateFake(), resubmit: 20 * time.Millisecond})
	require.NoError(t, r.view.Ready(t.Context(), ""))
	for range 3 {
		r.view.block(2)
	}
	var block ffcapi.BlockRef
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		r.view.undo()
		r.view.undo()
		r.view.fork()
		block = r.view.block(2, success(hashOf(string(sub.Prepared.Payload))))
		return nil
	}
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	r.view.block(2)
	r.view.block(2)
	require.EqualValues(t, 2, block.Number)
	require.Equal(t, block, r.until("a", store.SubConfirmed).Outcome.Block)
}

// unreadable is a view whose blocks cannot be read for a while.
type unreadable struct {
	*view

	fails atomic.Int32
}

func (u *unreadable) Find(ctx context.Context, ledger, hash string, above uint64) (*ffcapi.Block, int, error) {
	if u.fails.Add(-1) >= 0 {
		return nil, 0, ffcapi.Errorf(ffcapi.Timeout, "no answer")
	}
	return u.view.Find(ctx, ledger, hash, above)
}

// TestSearchThatFailedIsRepeated: blocks that could not be read may hold the transaction.
func TestSearchThatFailedIsRepeated(t *testing.T) {
	t.Parallel()
	chain := &unreadable{}
	chain.fails.Store(2)
	r := newRig(t, setup{fake: lateFake(), resubmit: 20 * time.Millisecond, stopped: true, opts: func(o *txn.Options) { o.Chain = chain }})
	chain.view = r.view
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, n int) error {
		if n == 1 {
			r.view.block(0, success(hashOf(string(sub.Prepared.Payload))))
		}
		return nil
	}
	r.start()
	r.submit(submission("a"))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}
