package txn_test

import (
	"context"
	"encoding/json"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// panicky is a connector that panics over all that is asked, while off is not set.
type panicky struct {
	*fake
	off atomic.Bool
}

func (p *panicky) do(call string) {
	if !p.off.Load() {
		panic(call)
	}
}

func (p *panicky) NextNonce(ctx context.Context, ledger, signer string) (pending, latest uint64, err error) {
	p.do("NextNonce")
	return sequenced{p.fake}.NextNonce(ctx, ledger, signer)
}

func (p *panicky) Cancel(ctx context.Context, ledger, signer string, nonce uint64) (*ffcapi.Prepared, error) {
	p.do("Cancel")
	return sequenced{p.fake}.Cancel(ctx, ledger, signer, nonce)
}

func (p *panicky) Query(context.Context, *ffcapi.Request) (json.RawMessage, error) {
	panic("Query")
}

func (p *panicky) Balance(context.Context, string, string, string) (string, error) {
	panic("Balance")
}

func (p *panicky) EstimateFee(context.Context, string) (json.RawMessage, error) {
	panic("EstimateFee")
}

func (p *panicky) Block(context.Context, string, uint64) (*ffcapi.Block, error) { panic("Block") }

func (p *panicky) Blocks(context.Context, string, ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	panic("Blocks")
}

// Fee implements policy.FeeSource.
func (p *panicky) Fee(context.Context, string) (json.RawMessage, error) {
	p.do("Fee")
	return json.RawMessage("3"), nil
}

// TestEveryCallMayPanic: whoever asked gets an error, and the node lives on.
func TestEveryCallMayPanic(t *testing.T) {
	t.Parallel()
	p := &panicky{fake: newFake()}
	r := newRig(t, setup{fake: p.fake, opts: func(o *txn.Options) { o.Connector, o.Fees, o.FeesRequired = p, p, true }})
	for call, fn := range map[string]func() error{
		"NextNonce":   func() error { _, _, err := r.Submit(t.Context(), submission("a")); return err },
		"Query":       func() error { _, err := r.Query(t.Context(), &apitypes.ReadQuery{}); return err },
		"Balance":     func() error { _, err := r.Balance(t.Context(), "", "alice", ""); return err },
		"EstimateFee": func() error { _, err := r.GasPrice(t.Context(), ""); return err },
		"receipt": func() error {
			_, err := r.ChainReceipt(t.Context(), &apitypes.ReceiptQuery{TransactionHash: "x"})
			return err
		},
	} {
		p.onReceipt = func(context.Context, *ffcapi.ReceiptQuery) error { panic("receipt") }
		err := fn()
		require.Equal(t, ffcapi.Internal, ffcapi.KindOf(err), call)
		require.ErrorContains(t, err, "panicked: "+call)
	}
	p.off.Store(true)
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
}

// TestPanicOverAFee holds the transaction back until there is one.
func TestPanicOverAFee(t *testing.T) {
	t.Parallel()
	p := &panicky{fake: newFake()}
	r := newRig(t, setup{fake: p.fake, opts: func(o *txn.Options) { o.Fees, o.FeesRequired = p, true }})
	r.submit(submission("a"))
	require.Eventually(t, func() bool {
		tx, err := r.Transaction(t.Context(), "a", false)
		return err == nil && tx.ErrorMessage != ""
	}, wait, tick)
	tx, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Contains(t, tx.ErrorMessage, "panicked: Fee")
}

// TestPanicOverACancel leaves the transaction as it is.
func TestPanicOverACancel(t *testing.T) {
	t.Parallel()
	p := &panicky{fake: newFake()}
	p.off.Store(true)
	r := newRig(t, setup{fake: p.fake, opts: func(o *txn.Options) { o.Connector = p }})
	p.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}
	}
	r.submit(submission("a"))
	r.submit(submission("b"))
	r.untilSent(1)
	p.off.Store(false)
	require.Eventually(t, func() bool {
		_, err := r.CancelTransaction(t.Context(), "a")
		return ffcapi.KindOf(err) == ffcapi.Internal
	}, wait, tick)
	tx, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Equal(t, "Pending", tx.Status)
	require.Nil(t, tx.DeleteRequested)
}
