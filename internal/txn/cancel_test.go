package txn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// cancel cancels a transaction that was never sent. A worker may have begun with it and with what it waits for, and be about to put it back.
func (r *rig) cancel(id string) (tx *apitypes.Transaction) {
	r.t.Helper()
	var err error
	require.Eventually(r.t, func() bool {
		tx, err = r.CancelTransaction(r.t.Context(), id)
		return !errors.Is(err, apitypes.ErrMayBeOut)
	}, wait, tick)
	require.NoError(r.t, err)
	return tx
}

// TestCancelOfOneAmongOthers: the nonce of one with others behind it is used up, although nothing of it was ever sent; only the last one is given back.
func TestCancelOfOneAmongOthers(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(1)
	r.pause("a0")
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		r.submit(submission(id)) // waits for a0
	}

	last := r.cancel("a4")
	require.Equal(t, "Cancelled", last.SubStatus)
	require.Nil(t, last.Nonce, "given back")
	require.Zero(t, r.fake.calls("Cancel"))

	middle := r.cancel("a2")
	require.Equal(t, "Pending", middle.Status, "until its nonce is used")
	require.EqualValues(t, 2, middle.Nonce.Int().Uint64())
	require.Equal(t, 1, r.fake.calls("Cancel"))

	require.EqualValues(t, 4, r.submit(submission("a5")).Nonce.Int().Uint64(), "nobody else has the nonce of a2")
	refuse.Store(false)
	_, err := r.ResumeTransaction(t.Context(), "a0")
	require.NoError(t, err)
	r.until("a5", store.SubTracking)
	sent := map[uint64]string{}
	for _, s := range r.fake.sends() {
		sent[s.nonce] = s.payload
	}
	require.Equal(t, map[uint64]string{0: "a0#1", 1: "a1#2", 2: "cancel alice 2", 3: "a3#4", 4: "a5#6"}, sent)
	var outcomes []ffcapi.TxOutcome
	for _, payload := range sent {
		outcomes = append(outcomes, success(hashOf(payload)))
	}
	r.view.block(0, outcomes...)
	require.Equal(t, store.Failed, r.until("a2", store.SubCancelled).Status)
	for _, id := range []string{"a0", "a1", "a3", "a5"} {
		require.Equal(t, store.Succeeded, r.until(id, store.SubConfirmed).Status)
	}
}

// TestCancelOfWhatHasLostItsNonce: a stranger has used it, so it is neither used up nor given back to another one, which could do nothing with it.
func TestCancelOfWhatHasLostItsNonce(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if *sub.Nonce == 0 {
			return &ffcapi.Error{Kind: ffcapi.Timeout, Sent: ffcapi.SentMaybe}
		}
		return nil
	}
	r.submit(submission("a"))
	r.until("a", store.SubUnknownOutcome)
	r.fake.mu.Lock()
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, ffcapi.Errorf(ffcapi.Unavailable, "away") // so it cannot go on with another nonce
	}
	r.fake.mu.Unlock()
	nonce := uint64(0)
	r.view.block(0, ffcapi.TxOutcome{Hash: "stranger", From: "alice", Nonce: &nonce, Success: true})
	tx, err := r.CancelTransaction(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "Cancelled", tx.SubStatus, "at once")
	require.Zero(t, r.fake.calls("Cancel"))
	r.fake.mu.Lock()
	r.fake.onPrepare = nil
	r.fake.mu.Unlock()
	require.EqualValues(t, 1, r.submit(submission("b")).Nonce.Int().Uint64())
	r.until("b", store.SubTracking)
}

// TestCancelDoesNotWait: what uses the nonce up goes at once, whatever the engine was waiting for.
func TestCancelDoesNotWait(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Policy = patient{} }})
	r.submit(submission("a"))
	r.until("a", store.SubPrepared) // refused; the engine waits for an hour
	refuse.Store(false)
	require.Equal(t, "Pending", r.cancel("a").Status)
	r.until("a", store.SubTracking)
	sends := r.fake.sends()
	require.Equal(t, "cancel alice 0", sends[len(sends)-1].payload)
}

// TestCancelStaysOnItsLedger: what uses the nonce up is looked for where the nonce is.
func TestCancelStaysOnItsLedger(t *testing.T) {
	t.Parallel()
	r, _ := stopping(t, setup{sequenced: true})
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		return &ffcapi.Prepared{Ledger: "main", Payload: []byte(req.Method), Hash: hashOf(string(req.Method))}, nil
	}
	r.submit(submission("a"))
	r.untilSent(1)
	r.pause("a")
	r.cancel("a")
	attempts := r.attempts("a")
	require.Len(t, attempts, 2)
	require.Equal(t, "main", attempts[1].Ledger)
}
