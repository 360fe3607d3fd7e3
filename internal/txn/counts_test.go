package txn_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// counted is a counter of transactions that were to be accepted, by what became of that.
func counted(t *testing.T, reg *prometheus.Registry) map[string]int {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	all := map[string]int{}
	for _, f := range families {
		if f.GetName() != "pyralis_transaction_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				all[m.GetLabel()[0].GetValue()] = int(n)
			}
		}
	}
	return all
}

// TestEachAcceptanceIsCountedOnce, whichever way the transaction came.
func TestEachAcceptanceIsCountedOnce(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	r := newRig(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Counts = metrics.NewTransactions(reg) }})
	r.submit(submission("a"))
	r.view.block(0, ffcapi.TxOutcome{Hash: r.until("a", store.SubTracking).Hash, Reason: "reverted"})
	r.until("a", store.SubFailed)
	require.Equal(t, map[string]int{"new": 1}, counted(t, reg))

	for range 2 {
		_, _, err := r.RetryTransaction(t.Context(), "a", "")
		require.NoError(t, err)
	}
	_, _, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"new": 2, "replay": 2}, counted(t, reg))
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "no")
	}
	_, _, err = r.RetryTransaction(t.Context(), "a", "mine")
	require.Error(t, err)
	require.Equal(t, map[string]int{"new": 2, "replay": 2, "refused": 1}, counted(t, reg))

	r.fake.onPrepare = nil
	for _, s := range r.SubmitBatch(t.Context(), []*apitypes.Submission{submission("b"), submission("b"), submission("a")}) {
		require.NoError(t, s.Err)
	}
	require.Equal(t, map[string]int{"new": 3, "replay": 4, "refused": 1}, counted(t, reg))

	nonce := submission("used")
	nonce.Nonce = number("0")
	_, _, err = r.Submit(t.Context(), nonce)
	require.ErrorIs(t, err, apitypes.ErrNonceRefused)
	require.Equal(t, map[string]int{"new": 3, "replay": 4, "refused": 2}, counted(t, reg))
	r.view.block(0, success(r.until("b", store.SubTracking).Hash))
	r.until("b", store.SubConfirmed)
	r.fake.use("alice", 2) // the chain has lost the last one
	for range 2 {
		filled, err := r.FillNonces(t.Context(), "", "alice")
		require.NoError(t, err)
		require.LessOrEqual(t, len(filled), 1)
	}
	require.Equal(t, map[string]int{"new": 4, "replay": 4, "refused": 2}, counted(t, reg))
}
