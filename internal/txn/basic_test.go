package txn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

func TestAcceptedSentFoundConfirmed(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	tx := r.submit(submission("a"))
	require.Equal(t, "a", tx.ID)
	require.Equal(t, "Pending", tx.Status)
	require.Equal(t, "InProgress", tx.Progress.Status)
	require.EqualValues(t, 0, tx.Nonce.Int().Uint64())

	row := r.until("a", store.SubTracking)
	require.Equal(t, hashOf("a#1"), row.Hash)
	require.False(t, row.FirstSubmit.IsZero())
	r.view.block(0, success(row.Hash))
	r.until("a", store.SubConfirmed)

	full, err := r.Transaction(t.Context(), "a", true)
	require.NoError(t, err)
	require.Equal(t, "Succeeded", full.Status)
	require.Equal(t, "Completed", full.Progress.Status)
	require.True(t, full.Receipt.Success)
	require.Equal(t, "000000000001/000000", full.Receipt.ProtocolID)
	var actions []string
	for _, g := range full.History {
		for _, a := range g.Actions {
			actions = append(actions, g.SubStatus+"/"+a.Action)
		}
	}
	require.Equal(t, []string{"Received/AssignNonce", "Submitting/SubmitTransaction", "Tracking/ReceiveReceipt", "Confirmed/Confirm"}, actions)

	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.statuses) == 1 && r.statuses[0].Status == store.Succeeded
	}, wait, tick, "the status log reaches OnStatus in order")
}

func TestFailedInItsBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "no such asset"})
	row = r.until("a", store.SubFailed)
	require.Equal(t, store.Failed, row.Status)
	require.Equal(t, "no such asset", row.Error)
	rec, err := r.Receipt(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, rec.Success)
	require.Equal(t, "no such asset", rec.Reason)
}
