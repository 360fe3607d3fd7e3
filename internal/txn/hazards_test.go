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

// TestClaimedBeforeTheFirstByte: when bytes can be out, the store says so.
func TestClaimedBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	for _, seq := range []bool{true, false} {
		r := newRig(t, setup{sequenced: seq})
		checked := make(chan error, 1)
		r.fake.onSubmit = func(ctx context.Context, _ *ffcapi.Submission, _ int) error {
			attempts, err := r.store.Attempts(ctx, "a")
			if err == nil && (attempts[0].State != store.AttemptSubmitting || attempts[0].Open != 1 || attempts[0].Claim != r.store.Fence().Generation) {
				err = fmt.Errorf("the store holds %+v", attempts[0])
			}
			checked <- err
			return nil
		}
		r.submit(submission("a"))
		require.NoError(t, <-checked)
		r.until("a", store.SubTracking)
	}
}

// slowClaims is a store that takes its time over a claim.
type slowClaims struct {
	store.Store

	stored chan struct{}
}

func (s *slowClaims) Update(ctx context.Context, f store.Fence, u *store.TxUpdate) error {
	<-s.stored
	return s.Store.Update(ctx, f, u)
}

// TestASlowClaimIsWaitedFor: however long it takes to store it, no byte leaves before.
func TestASlowClaimIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := slowClaims{stored: make(chan struct{})}
	r := newRig(t, setup{opts: func(o *txn.Options) { s.Store, o.Store = o.Store, &s }})
	r.submit(submission("a"))
	require.Never(t, func() bool { return len(r.fake.sends()) > 0 }, 200*time.Millisecond, tick)
	close(s.stored)
	r.untilSent(1)
}

// TestOpenFateIsNeitherReplacedNorGivenUp: an answer that may mean that bytes left is followed by the same bytes until it is
// settled, whatever other answers come.
func TestOpenFateIsNeitherReplacedNorGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, n int) error {
		switch n {
		case 1:
			return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe}
		case 2:
			return &ffcapi.Error{Kind: ffcapi.Unauthorized, Sent: ffcapi.SentNo, Message: "not you"}
		case 3:
			return context.DeadlineExceeded
		case 4:
			return &ffcapi.Error{Kind: ffcapi.RateLimited, Sent: ffcapi.SentNo}
		default:
			return &ffcapi.Error{Kind: ffcapi.KnownTransaction, Sent: ffcapi.SentYes, Hash: hashOf(string(sub.Prepared.Payload))}
		}
	}
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	sends := r.fake.sends()
	require.Len(t, sends, 5)
	for _, s := range sends {
		require.Equal(t, "a#1", s.payload)
	}
	require.Equal(t, 1, r.fake.calls("Prepare"))
	require.Empty(t, row.Error, "an error that is overcome is not shown")
	r.view.block(0, success(row.Hash))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}

func TestFinalRefusalOfWhatNeverLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Unauthorized, Sent: ffcapi.SentNo, Message: "not you", Stage: "submit"}
	}
	r.submit(submission("a"))
	row := r.until("a", store.SubFailed)
	require.Equal(t, store.Failed, row.Status)
	require.Equal(t, "submit: not you", row.Error)
	require.Len(t, r.fake.sends(), 1)
	require.Equal(t, store.AttemptDone, r.attempts("a")[0].State)
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.statuses) == 1 && r.statuses[0].Status == store.Failed
	}, wait, tick)
}

// TestNonceIsNotAbandoned: what holds a nonce stays until the nonce is used, and holds up what comes after it, and only that.
func TestNonceIsNotAbandoned(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	var broke atomic.Bool
	broke.Store(true)
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if broke.Load() && sub.From == "alice" && *sub.Nonce == 0 {
			return &ffcapi.Error{Kind: ffcapi.InsufficientFunds, Sent: ffcapi.SentNo, Message: "broke"}
		}
		return nil
	}
	r.submit(submission("a0"))
	r.submit(submission("a1"))
	r.submit(from("bob", "b0"))
	r.until("b0", store.SubTracking)
	r.untilSent(5)
	tx, err := r.Transaction(t.Context(), "a0", false)
	require.NoError(t, err)
	require.Equal(t, "Pending", tx.Status)
	require.Equal(t, "broke", tx.ErrorMessage)
	require.Equal(t, "broke", tx.Progress.Message)
	for _, s := range r.fake.sends() {
		require.Zero(t, s.nonce, "1 waits for 0")
	}
	broke.Store(false)
	r.until("a0", store.SubTracking)
	r.until("a1", store.SubTracking)
}

func TestUsedNonceIsReconciledNotResent(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.late = true
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, n int) error {
		switch {
		case *sub.Nonce > 0:
			return nil
		case n == 1:
			return &ffcapi.Error{Kind: ffcapi.Timeout}
		default:
			return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo, Hash: hashOf("a#1")}
		}
	}
	r.submit(submission("a"))
	r.submit(submission("b"))
	r.until("b", store.SubTracking)
	require.Eventually(t, func() bool { return r.fake.calls("Receipt") >= 3 }, wait, tick, "it is looked for")
	sends := 0
	for _, s := range r.fake.sends() {
		if s.nonce == 0 {
			sends++
		}
	}
	require.Equal(t, 2, sends)

	// It is on the chain, and the blocks say so.
	nonce := uint64(0)
	r.view.block(0, ffcapi.TxOutcome{Hash: hashOf("a#1"), From: "alice", Nonce: &nonce, Success: true})
	r.until("a", store.SubConfirmed)
}

// TestStaleIsSentAgain: taken by a node and never ordered. The same bytes again, for as long as it takes.
func TestStaleIsSentAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	for range 3 {
		n := len(r.fake.sends())
		r.view.block(0)
		for _, s := range r.untilSent(n + 1) {
			require.Equal(t, "a#1", s.payload)
		}
	}
	require.Equal(t, 1, r.fake.calls("Prepare"))
	require.NotZero(t, r.fake.calls("Receipt"), "and each time it is looked for first")
	full, err := r.Transaction(t.Context(), "a", true)
	require.NoError(t, err)
	var timeouts int
	for _, g := range full.History {
		for _, a := range g.Actions {
			if a.Action == "Timeout" {
				timeouts++
			}
		}
	}
	require.NotZero(t, timeouts)
	require.Equal(t, 1, r.attempts("a")[0].Number)
}

// TestReceiptCountsOnlyOnTheCanonicalChain: a node may be on another branch. What it says is taken from a final block that the
// chain view has seen, and from no other.
func TestReceiptCountsOnlyOnTheCanonicalChain(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	b := r.view.block(0) // without it: the outcome was missed
	r.fake.put("a#1", &ffcapi.Receipt{Block: ffcapi.BlockRef{Number: b.Number, Hash: "another"}, Success: true})
	r.untilSent(3)
	require.Equal(t, store.Pending, r.until("a", store.SubTracking).Status)

	r.fake.put("a#1", &ffcapi.Receipt{Block: b, Success: true, TxIndex: 4})
	row := r.until("a", store.SubConfirmed)
	require.Equal(t, b, row.Outcome.Block)
	require.EqualValues(t, 4, row.Outcome.Index)
}

func TestReceiptAboveTheSafeHeadWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	require.NoError(t, r.view.Ready(t.Context(), ""))
	b := r.view.block(5)
	r.fake.put("a#1", &ffcapi.Receipt{Block: b, Success: true})
	r.submit(submission("a"))
	require.Eventually(t, func() bool { return r.fake.calls("Receipt") > 1 }, wait, tick, "it is asked again")
	row := r.until("a", store.SubTracking)
	require.Equal(t, store.Pending, row.Status)
	require.Len(t, r.fake.sends(), 1, "it is there: nothing to send")
}

// TestHashLearnedLate: the block passed while nobody knew what to look for.
func TestHashLearnedLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.late = true
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		payload := string(sub.Prepared.Payload)
		b := r.view.block(0, success(hashOf(payload)))
		r.fake.put(payload, &ffcapi.Receipt{Block: b, Success: true})
		return nil
	}
	r.submit(submission("a"))
	row := r.until("a", store.SubConfirmed)
	require.Equal(t, hashOf("a#1"), row.Hash)
}

// TestDeepReceipt: so far below the safe head that the chain view holds no hash any more.
func TestDeepReceipt(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	b := r.view.block(0)
	r.view.block(0)
	r.view.mu.Lock()
	delete(r.view.hashes, b.Number)
	r.view.mu.Unlock()
	r.fake.put("a#1", &ffcapi.Receipt{Block: ffcapi.BlockRef{Number: b.Number, Hash: "another"}, Success: true})
	r.fake.mu.Lock()
	r.fake.onBlock = func(number uint64) (*ffcapi.Block, error) {
		return &ffcapi.Block{BlockRef: ffcapi.BlockRef{Number: number, Hash: b.Hash}}, nil
	}
	r.fake.mu.Unlock()
	calls := r.fake.calls("Receipt")
	require.Eventually(t, func() bool { return r.fake.calls("Receipt") > calls+1 }, wait, tick)
	row, err := r.store.Transaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, store.Pending, row.Status, "the node's own block has another hash")
	r.fake.put("a#1", &ffcapi.Receipt{Block: b, Success: true})
	require.Eventually(t, func() bool {
		tx, err := r.store.Transaction(t.Context(), "a")
		return err == nil && tx.Status == store.Succeeded
	}, wait, tick)
}

func TestUndoneBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	b := r.view.block(2, ffcapi.TxOutcome{Hash: row.Hash, Reason: "no"})
	rec, err := r.Receipt(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, b.Hash, rec.BlockHash, "the receipt is shown before it is final")
	require.Equal(t, store.Pending, r.until("a", store.SubTracking).Status)
	n := len(r.fake.sends())
	r.view.undo()
	_, err = r.Receipt(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	r.untilSent(n + 1)

	r.view.block(0, success(row.Hash))
	r.until("a", store.SubConfirmed)
}
