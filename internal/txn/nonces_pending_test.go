package txn_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// shared is a chain whose nodes hold three transactions of each signer that are in no block yet, and that somebody else has sent.
type shared struct{ sequenced }

func (s shared) NextNonce(ctx context.Context, ledger, signer string) (pending, latest uint64, err error) {
	_, latest, err = s.sequenced.NextNonce(ctx, ledger, signer)
	return latest + 3, latest, err
}

// TestNoncesComeAfterWhatIsPending: what a node has taken of the signer uses its nonces, although no block shows that yet. So does the nonce that is assigned
// in the place of a used one.
func TestNoncesComeAfterWhatIsPending(t *testing.T) {
	t.Parallel()
	f := newFake()
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Connector = shared{sequenced{f}} }})
	f.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if f.used(sub.From, *sub.Nonce) {
			return &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentNo, Message: "nonce too low"}
		}
		return nil
	}
	require.EqualValues(t, 3, r.submit(submission("a0")).Nonce.Int().Uint64())
	r.until("a0", store.SubTracking)
	f.use("alice", 5)
	require.EqualValues(t, 4, r.submit(submission("a1")).Nonce.Int().Uint64())
	require.EqualValues(t, 8, *r.until("a1", store.SubTracking).Nonce)
}

// passing is a chain of which something becomes known right after it was asked for a signer's next nonce.
type passing struct {
	sequenced
	then *func()
}

func (p passing) NextNonce(ctx context.Context, ledger, signer string) (pending, latest uint64, err error) {
	pending, latest, err = p.sequenced.NextNonce(ctx, ledger, signer)
	if then := *p.then; then != nil {
		*p.then = nil
		then()
	}
	return pending, latest, err
}

// TestNonceThatIsUsedMeanwhileIsNoGap: the transaction that held it was open when the chain was asked, and has ended since.
func TestNonceThatIsUsedMeanwhileIsNoGap(t *testing.T) {
	t.Parallel()
	f := newFake()
	var then func()
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Connector = passing{sequenced{f}, &then} }})
	r.submit(submission("a"))
	row := r.until("a", store.SubTracking)
	then = func() {
		f.use("alice", 1)
		r.view.block(0, success(row.Hash))
		r.until("a", store.SubConfirmed)
	}
	signer, err := r.Signer(t.Context(), "", "alice")
	require.NoError(t, err)
	require.Nil(t, then)
	require.Empty(t, signer.Gaps)
	require.EqualValues(t, 1, signer.Latest.Int().Uint64())
}
