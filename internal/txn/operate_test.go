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
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// refusal is a send that certainly left nothing.
func refusal(text string) error {
	return &ffcapi.Error{Kind: ffcapi.InsufficientFunds, Sent: ffcapi.SentNo, Message: text}
}

// stopping makes a rig whose fake refuses everything of alice until it is told otherwise.
func stopping(t *testing.T, s setup) (*rig, *atomic.Bool) {
	t.Helper()
	var refuse atomic.Bool
	refuse.Store(true)
	if s.fake == nil {
		s.fake = newFake()
	}
	s.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if refuse.Load() && sub.From == "alice" {
			return refusal("broke")
		}
		return nil
	}
	return newRig(t, s), &refuse
}

func (r *rig) show(id string) *apitypes.TransactionWithStatus {
	r.t.Helper()
	tx, err := r.Transaction(r.t.Context(), id, true)
	require.NoError(r.t, err)
	return tx
}

// pause suspends a transaction and waits until the send that may be under way was refused.
func (r *rig) pause(id string) {
	r.t.Helper()
	_, err := r.SuspendTransaction(r.t.Context(), id)
	require.NoError(r.t, err)
	require.Eventually(r.t, func() bool {
		all := r.attempts(id)
		return all[len(all)-1].Open == 0
	}, wait, tick)
}

// actions are the history actions of a transaction.
func (r *rig) actions(id string) map[string]int {
	r.t.Helper()
	all := map[string]int{}
	for _, g := range r.show(id).History {
		for _, a := range g.Actions {
			all[a.Action] += a.Count
		}
	}
	return all
}

// announced waits until the status log has told a status of a transaction.
func (r *rig) announced(id string, status store.TxStatus) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.statuses {
			if e.TxID == id && e.Status == status {
				return true
			}
		}
		return false
	}, wait, tick)
}

// TestSuspendedHoldsItsPlace: nothing of it is sent, later ones of its signer wait and say for what, others do not; resumed, it goes
// first.
func TestSuspendedHoldsItsPlace(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(2)
	tx, err := r.SuspendTransaction(t.Context(), "a0")
	require.NoError(t, err)
	require.Equal(t, "Suspended", tx.Status)
	r.announced("a0", store.Suspended)
	r.pause("a0") // the answer to a send under way changes it once more
	updated := r.show("a0").Updated
	r.submit(submission("a1"))
	r.submit(submission("a2"))
	refuse.Store(false)
	r.submit(from("bob", "b0"))
	r.until("b0", store.SubTracking)
	require.Eventually(t, func() bool { return r.show("a1").BlockedBy == "a0" && r.show("a2").BlockedBy == "a0" }, wait, tick)
	require.Empty(t, r.show("a0").BlockedBy)

	before := len(r.fake.sends())
	again, err := r.SuspendTransaction(t.Context(), "a0")
	require.NoError(t, err, "it can be repeated")
	require.Equal(t, updated, again.Updated)
	require.Equal(t, 1, r.actions("a0")["Suspend"])

	_, err = r.ResumeTransaction(t.Context(), "a0")
	require.NoError(t, err)
	r.until("a2", store.SubTracking)
	var order []uint64
	for _, s := range r.fake.sends()[before:] {
		order = append(order, s.nonce)
	}
	require.Equal(t, []uint64{0, 1, 2}, order)
	require.Empty(t, r.show("a1").BlockedBy)
	_, err = r.ResumeTransaction(t.Context(), "a0")
	require.NoError(t, err, "it can be repeated")
	require.Equal(t, 1, r.actions("a0")["Resume"])
}

// TestSuspendedSurvivesARestart, and holds no worker.
func TestSuspendedSurvivesARestart(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	r, _ := stopping(t, setup{sequenced: true, place: place})
	r.submit(submission("a0"))
	r.untilSent(1)
	r.pause("a0")
	r.submit(submission("a1"))
	r.crash()

	f := newFake()
	second := newRig(t, setup{sequenced: true, place: place, fake: f, opts: func(o *txn.Options) { o.Workers = 1 }})
	second.submit(submission("a2"))
	second.submit(from("bob", "b0"))
	second.until("b0", store.SubTracking)
	require.Equal(t, store.Suspended, second.until("a0", store.SubPrepared).Status)
	require.Eventually(t, func() bool { return second.show("a2").BlockedBy == "a0" }, wait, tick)
	require.Len(t, f.sends(), 1)
	_, err := second.ResumeTransaction(t.Context(), "a0")
	require.NoError(t, err)
	second.until("a2", store.SubTracking)
	var order []uint64
	for _, s := range f.sends()[1:] {
		order = append(order, s.nonce)
	}
	require.Equal(t, []uint64{0, 1, 2}, order)
}

// TestOutcomeEndsWhatIsSuspended: the send under way is finished, and its block counts.
func TestOutcomeEndsWhatIsSuspended(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 20 * time.Millisecond})
	release := make(chan struct{})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		<-release
		return nil
	}
	r.submit(submission("a"))
	r.untilSent(1)
	_, err := r.SuspendTransaction(t.Context(), "a")
	require.NoError(t, err)
	close(release)
	require.Equal(t, store.Suspended, r.until("a", store.SubTracking).Status)
	for range 5 {
		r.view.block(0)
	}
	require.Len(t, r.fake.sends(), 1, "it is in no block for long, and is not sent again")
	r.view.block(0, success(hashOf("a#1")))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
	for _, op := range []func(context.Context, string) (*apitypes.Transaction, error){r.SuspendTransaction, r.ResumeTransaction, r.CancelTransaction} {
		_, err = op(t.Context(), "a")
		require.ErrorIs(t, err, apitypes.ErrFinished)
	}
	_, err = r.SuspendTransaction(t.Context(), "nobody")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestSuspendedInABatch: what a worker has claimed and not begun to send is not sent.
func TestSuspendedInABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true, stopped: true})
	for _, id := range []string{"a0", "a1", "a2"} {
		_, err := r.store.Accept(t.Context(), r.store.Fence(), &store.NewTx{
			Tx: store.Tx{ID: id, Kind: apitypes.SendTransaction, From: "alice"}, Sequenced: true, KeyExpires: time.Now().Add(time.Hour),
			Attempt: store.Attempt{Hash: hashOf(id)}, Payload: store.Payload{Prepared: []byte(id)}, Request: json.RawMessage(`{"from":"alice"}`),
		})
		require.NoError(t, err)
	}
	release := make(chan struct{})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if *sub.Nonce == 0 {
			<-release
		}
		return nil
	}
	r.start()
	r.untilSent(1)
	r.until("a1", store.SubSubmitting)
	_, err := r.SuspendTransaction(t.Context(), "a1")
	require.NoError(t, err)
	close(release)
	require.Equal(t, store.Suspended, r.until("a1", store.SubPrepared).Status)
	require.Eventually(t, func() bool { return r.show("a2").BlockedBy == "a1" }, wait, tick)
	require.Len(t, r.fake.sends(), 1)
	_, err = r.ResumeTransaction(t.Context(), "a1")
	require.NoError(t, err)
	r.until("a2", store.SubTracking)
}

func TestCancelWithoutANonce(t *testing.T) {
	t.Parallel()
	r, _ := stopping(t, setup{opts: func(o *txn.Options) { o.Policy = patient{} }})
	r.submit(submission("a"))
	r.untilSent(1)
	r.until("a", store.SubPrepared)
	tx, err := r.CancelTransaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, []string{"Failed", "Cancelled", "cancelled"}, []string{tx.Status, tx.SubStatus, tx.ErrorMessage})
	require.NotNil(t, tx.DeleteRequested)
	again, err := r.CancelTransaction(t.Context(), "a")
	require.NoError(t, err, "it can be repeated")
	require.Equal(t, tx.Updated, again.Updated)
	_, replay, err := r.Submit(t.Context(), submission("a"))
	require.NoError(t, err)
	require.True(t, replay, "its key stays used")
	r.announced("a", store.Failed)
}

// TestCancelOfWhatMayBeOut is refused, whatever the answer to its send was.
func TestCancelOfWhatMayBeOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if sub.From == "alice" {
			return &ffcapi.Error{Kind: ffcapi.Timeout}
		}
		return nil
	}
	r.submit(submission("a"))
	r.submit(from("bob", "b"))
	r.until("a", store.SubUnknownOutcome)
	r.until("b", store.SubTracking)
	for _, id := range []string{"a", "b"} {
		_, err := r.CancelTransaction(t.Context(), id)
		require.ErrorIs(t, err, apitypes.ErrMayBeOut)
		require.ErrorContains(t, err, "transaction "+id)
		to := "other"
		_, err = r.UpdateTransaction(t.Context(), id, &apitypes.TransactionUpdate{To: &to})
		require.ErrorIs(t, err, apitypes.ErrMayBeOut)
	}
	require.Equal(t, 2, r.fake.calls("Prepare"), "nothing is prepared for what is refused")
}

// TestCancelGivesItsNonceBack: the newest one that was never sent leaves no gap and needs no transaction to fill it.
func TestCancelGivesItsNonceBack(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(1)
	r.submit(submission("a1"))
	tx, err := r.CancelTransaction(t.Context(), "a1")
	require.NoError(t, err)
	require.Equal(t, "Cancelled", tx.SubStatus)
	require.Nil(t, tx.Nonce)
	require.EqualValues(t, 1, r.submit(submission("a2")).Nonce.Int().Uint64())
	refuse.Store(false)
	r.until("a2", store.SubTracking)
	require.Zero(t, r.fake.calls("Cancel"))
}

// TestCancelUsesItsNonceUp: with a later one behind it, or after a send, the nonce is used up by another attempt.
func TestCancelUsesItsNonceUp(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(2)
	r.submit(submission("a1"))
	r.pause("a0")
	tx, err := r.CancelTransaction(t.Context(), "a0")
	require.NoError(t, err)
	require.Equal(t, "Pending", tx.Status, "also if it was suspended")
	require.NotNil(t, tx.DeleteRequested)
	_, err = r.SuspendTransaction(t.Context(), "a0")
	require.ErrorIs(t, err, apitypes.ErrCancelling)
	to := "other"
	_, err = r.UpdateTransaction(t.Context(), "a0", &apitypes.TransactionUpdate{To: &to})
	require.ErrorIs(t, err, apitypes.ErrCancelling)
	_, err = r.CancelTransaction(t.Context(), "a0")
	require.NoError(t, err, "it can be repeated")
	require.Equal(t, 1, r.fake.calls("Cancel"))

	refuse.Store(false)
	r.until("a0", store.SubTracking)
	r.until("a1", store.SubTracking)
	attempts := r.attempts("a0")
	require.Len(t, attempts, 2)
	require.Equal(t, store.AttemptDone, attempts[0].State)
	require.EqualValues(t, 0, *attempts[1].Nonce)
	r.view.block(0, success(hashOf("cancel alice 0")), success(hashOf("a1#2")))
	row := r.until("a0", store.SubCancelled)
	require.Equal(t, store.Failed, row.Status)
	require.Equal(t, "cancelled", row.Error)
	require.False(t, row.Outcome.Success, "it had no effect")
	r.until("a1", store.SubConfirmed)
	_, err = r.CancelTransaction(t.Context(), "a0")
	require.NoError(t, err)
}

// TestCancelOfTheNewestThatWasSent: a send was begun, so its nonce is not given back but used up.
func TestCancelOfTheNewestThatWasSent(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(1)
	r.pause("a0")
	tx, err := r.CancelTransaction(t.Context(), "a0")
	require.NoError(t, err)
	require.NotNil(t, tx.DeleteRequested)
	require.Equal(t, 1, r.fake.calls("Cancel"))
	refuse.Store(false)
	r.until("a0", store.SubTracking)
	require.EqualValues(t, 1, r.submit(submission("a1")).Nonce.Int().Uint64())
}
