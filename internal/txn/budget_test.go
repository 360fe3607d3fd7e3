package txn_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// TestLookingDoesNotKeepFromSending: a node that does not answer what it is asked about transactions that wait for their blocks does not
// hold up those that are to be sent.
func TestLookingDoesNotKeepFromSending(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{resubmit: 10 * time.Millisecond, opts: func(o *txn.Options) { o.Workers = 4 }})
	r.fake.onReceipt = func(ctx context.Context, _ *ffcapi.ReceiptQuery) error {
		<-ctx.Done()
		return ctx.Err()
	}
	const n = 8
	for i := range n {
		r.submit(submission(fmt.Sprintf("a%d", i)))
	}
	for i := range n {
		r.until(fmt.Sprintf("a%d", i), store.SubTracking)
	}
	require.Eventually(t, func() bool {
		r.view.block(0)
		return r.fake.calls("Receipt") >= 2
	}, wait, tick)
	for i := range 5 {
		id := fmt.Sprintf("late%d", i)
		r.submit(from("bob", id))
		r.until(id, store.SubTracking)
	}
	require.Equal(t, 2, r.fake.calls("Receipt"), "half of the workers look")
}

// TestRetryAfterIsBounded: a node cannot put a transaction off for ever.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.RateLimited, Sent: ffcapi.SentNo, RetryAfter: 1000 * time.Hour}
	}
	r.submit(submission("a"))
	row := r.until("a", store.SubPrepared)
	require.LessOrEqual(t, time.Until(row.Due), time.Minute)
	require.Greater(t, time.Until(row.Due), 30*time.Second)
}
