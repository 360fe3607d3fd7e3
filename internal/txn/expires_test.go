package txn_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// expiring is a rig on which nobody knows what becomes of sends, and nothing can be in a block after the second one.
func expiring(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, setup{})
	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return &ffcapi.Prepared{Payload: []byte("p"), Hash: hashOf("p"), Expires: 2}, nil
	}
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return &ffcapi.Error{Kind: ffcapi.Timeout} }
	return r
}

// stillOpen checks that a transaction is sent again, twice.
func (r *rig) stillOpen(id, why string) {
	r.t.Helper()
	r.untilSent(len(r.fake.sends()) + 2)
	require.Equal(r.t, store.Pending, r.until(id, store.SubUnknownOutcome).Status, why)
}

// TestExpiredWhenItsBlocksWereRead: the chain may be final far above what was read of it, and what was not read may hold the transaction.
func TestExpiredWhenItsBlocksWereRead(t *testing.T) {
	t.Parallel()
	r := expiring(t)
	r.submit(submission("a"))
	r.view.mu.Lock()
	r.view.safe = ffcapi.BlockRef{Number: 9, Hash: "b9"}
	r.view.mu.Unlock()
	r.stillOpen("a", "block 2 was not read")
	r.view.block(0)
	r.view.block(0, success(hashOf("p")))
	require.Equal(t, store.Succeeded, r.until("a", store.SubConfirmed).Status)
}

// TestExpiredWithConfirmationsOfItsOwn: a block that is final for others may still change for one that wants more confirmations.
func TestExpiredWithConfirmationsOfItsOwn(t *testing.T) {
	t.Parallel()
	r := expiring(t)
	sub, three := submission("a"), 3
	sub.Confirmations = &three
	r.submit(sub)
	for range 5 {
		r.view.block(0)
	}
	r.stillOpen("a", "block 3 has two confirmations")
	r.view.block(0)
	r.until("a", store.SubFailed)
	require.Contains(t, r.attempts("a")[0].Dead, "expired")
}

// TestExpiredWhenItsBlocksAreFinal: a block that was read may still be replaced by one that holds the transaction.
func TestExpiredWhenItsBlocksAreFinal(t *testing.T) {
	t.Parallel()
	r := expiring(t)
	r.submit(submission("a"))
	for range 4 {
		r.view.block(2)
	}
	r.stillOpen("a", "block 3 was read, and is not final")
	r.view.block(2)
	r.until("a", store.SubFailed)
	require.Contains(t, r.attempts("a")[0].Dead, "expired")
}
