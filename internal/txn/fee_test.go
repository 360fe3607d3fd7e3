package txn_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// outbidding replaces the first attempt, and sends the second one again when it is asked.
func outbidding(fee string) engineFunc {
	return func(v policy.View) policy.Decision {
		switch {
		case v.Tx.Phase == policy.Ready:
			return policy.Decision{Do: policy.Submit}
		case v.Tx.Phase == policy.Tracking && v.Tx.Attempt == 1 && v.Outcome == nil:
			return policy.Decision{Do: policy.Submit, Fee: json.RawMessage(fee)}
		default:
			return policy.Decision{Do: policy.Wait}
		}
	}
}

// TestReplacement: another fee for what was sent is another attempt with the same nonce and payload. A restart sends that one again,
// and the older one may still be the one that gets on the chain.
func TestReplacement(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	first := newFake()
	first.late = true
	r := newRig(t, setup{sequenced: true, place: place, fake: first, opts: func(o *txn.Options) {
		o.Fees, o.Policy = policy.Fixed(`"10"`), outbidding(`"12"`)
	}})
	r.submit(submission("a"))
	sends := r.untilSent(2)
	require.Equal(t, send{from: "alice", payload: "a#1", fee: `"10"`}, sends[0])
	require.Equal(t, send{from: "alice", payload: "a#1", fee: `"12"`}, sends[1])
	require.Eventually(t, func() bool {
		as := r.attempts("a")
		return len(as) == 2 && as[1].Hash == sends[1].hash(true)
	}, wait, tick)
	require.Equal(t, sends[0].hash(true), r.attempts("a")[0].Hash)
	require.JSONEq(t, `"12"`, string(r.until("a", store.SubTracking).Fee))
	r.stop()
	require.NoError(t, r.store.Close())

	again := engineFunc(func(v policy.View) policy.Decision {
		if v.Tx.Phase == policy.Tracking && v.Outcome == nil && v.Tx.Sends == 1 {
			return policy.Decision{Do: policy.Submit}
		}
		return policy.Decision{Do: policy.Wait}
	})
	second := newRig(t, setup{sequenced: true, place: place, opts: func(o *txn.Options) {
		o.Fees, o.Policy = policy.Fixed(`"99"`), again
	}})
	require.NoError(t, second.view.Ready(t.Context(), ""))
	outcome := ffcapi.TxOutcome{Hash: sends[0].hash(true), From: "alice", Nonce: new(uint64), Success: true}
	second.view.block(10, outcome)
	second.view.undo() // which wakes it
	require.Equal(t, sends[1], second.untilSent(1)[0])
	second.view.block(0, outcome)
	row := second.until("a", store.SubConfirmed)
	require.Equal(t, sends[0].hash(true), row.Hash)
	require.Contains(t, second.attempts("a")[1].Dead, "attempt 1 excludes it")
}

// TestReceiptOfWhatWasReplaced: a block took the attempt that another one was to replace. The receipt is told before it is final.
func TestReceiptOfWhatWasReplaced(t *testing.T) {
	t.Parallel()
	fake := newFake()
	fake.late = true
	r := newRig(t, setup{sequenced: true, fake: fake, opts: func(o *txn.Options) {
		o.Fees, o.Policy = policy.Fixed(`"10"`), outbidding(`"12"`)
	}})
	sub := submission("a")
	sub.Confirmations = new(10)
	r.submit(sub)
	sends := r.untilSent(2)
	require.Eventually(t, func() bool { all := r.attempts("a"); return len(all) == 2 && all[1].Hash != "" }, wait, tick)
	_, err := r.Receipt(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	r.view.block(10, ffcapi.TxOutcome{Hash: sends[0].hash(true), From: "alice", Nonce: new(uint64), Success: true})
	block := r.view.block(10)

	shown := r.show("a")
	require.Equal(t, "Pending", shown.Status)
	require.EqualValues(t, 1, shown.Receipt.BlockNumber.Int().Uint64())
	require.Len(t, shown.Confirmations, 1)
	require.Equal(t, block.Hash, shown.Confirmations[0].BlockHash)
	receipt, err := r.Receipt(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, shown.Receipt, receipt)
}

// broken is a fee source that does not know until it is mended.
type broken struct{ mended atomic.Bool }

func (b *broken) Fee(context.Context, string) (json.RawMessage, error) {
	if b.mended.Load() {
		return json.RawMessage(`"5"`), nil
	}
	return nil, errors.New("the oracle is away")
}

func TestFeeUnknown(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{false, true} {
		source := &broken{}
		r := newRig(t, setup{opts: func(o *txn.Options) { o.Fees, o.FeesRequired = source, required }})
		r.submit(submission("a"))
		if !required {
			require.Empty(t, r.untilSent(1)[0].fee, "offered without")
			continue
		}
		require.Eventually(t, func() bool {
			tx, err := r.store.Transaction(t.Context(), "a")
			return err == nil && tx.Error == "no fee is known: the oracle is away" && !tx.Due.IsZero()
		}, wait, tick)
		require.Empty(t, r.fake.sends(), "held back")
		source.mended.Store(true)
		require.Equal(t, `"5"`, r.untilSent(1)[0].fee)
	}
}
