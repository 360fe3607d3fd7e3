package txn_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestReceiptOfABlockThatMayChange: what it says is no outcome, whether it is good or bad. The transaction is left alone for a while, and then
// looked for again.
func TestReceiptOfABlockThatMayChange(t *testing.T) {
	t.Parallel()
	for name, success := range map[string]bool{"success": true, "failure": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{resubmit: 20 * time.Millisecond})
			require.NoError(t, r.view.Ready(t.Context(), ""))
			b := r.view.block(5)
			r.fake.put("a#1", &ffcapi.Receipt{Block: b, Success: success, Reason: "no"})
			r.submit(submission("a"))
			var tx *store.Tx
			require.Eventually(t, func() bool {
				tx = r.tx("a")
				return tx.Status != store.Pending || tx.Sub == store.SubTracking && time.Until(tx.Due) > time.Second
			}, wait, tick, "it was not found in its block")
			require.Equal(t, store.Pending, tx.Status)
			require.Nil(t, r.attempts("a")[0].Outcome)
			require.Len(t, r.fake.sends(), 1, "it is there: nothing to send")
		})
	}
}
