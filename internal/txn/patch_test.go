package txn_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestPatchOfWhatIsUnsent prepares it again and sends the new one, never the old one.
func TestPatchOfWhatIsUnsent(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a"))
	r.untilSent(2)
	r.pause("a")
	before := len(r.fake.sends())
	to, gas := "other", fftypes.NewFFBigInt(77)
	var seen atomic.Pointer[ffcapi.Request]
	r.fake.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		seen.Store(req)
		return &ffcapi.Prepared{Payload: []byte("patched"), Gas: req.Gas}, nil
	}
	tx, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{To: &to, Gas: gas, GasPrice: json.RawMessage(`"9"`)})
	require.NoError(t, err)
	require.Equal(t, "Suspended", tx.Status)
	require.Equal(t, []any{"other", "77", `"9"`, 2}, []any{tx.To, tx.Gas.Int().String(), string(tx.GasPrice), tx.Attempt})
	require.Equal(t, []string{"other", "77"}, []string{seen.Load().To, seen.Load().Gas})
	require.EqualValues(t, 0, tx.Nonce.Int().Uint64())
	raw, err := r.store.Request(t.Context(), "a")
	require.NoError(t, err)
	require.Contains(t, string(raw), `"to":"other"`)
	require.Contains(t, string(raw), `"method":"a"`, "the rest stays")

	refuse.Store(false)
	_, err = r.ResumeTransaction(t.Context(), "a")
	require.NoError(t, err)
	r.until("a", store.SubTracking)
	for _, s := range r.fake.sends()[before:] {
		require.Equal(t, []any{"patched", `"9"`}, []any{s.payload, s.fee})
	}
	require.Equal(t, 1, r.actions("a")["ExternalUpdate"])
}

// TestPatchBeforeTheFirstSend: what is in memory for the first send is of the old request.
func TestPatchBeforeTheFirstSend(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true})
	r.submit(submission("a0"))
	r.untilSent(1)
	r.submit(submission("a1"))
	to := "other"
	_, err := r.UpdateTransaction(t.Context(), "a1", &apitypes.TransactionUpdate{To: &to})
	require.NoError(t, err)
	refuse.Store(false)
	r.until("a1", store.SubTracking)
	for _, s := range r.fake.sends() {
		require.NotEqual(t, "a1#2", s.payload)
	}
}

func TestPatchRefusals(t *testing.T) {
	t.Parallel()
	r, _ := stopping(t, setup{sequenced: true})
	r.submit(submission("a"))
	r.untilSent(1)
	r.pause("a")
	var invalid *apitypes.Invalid
	_, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{Nonce: fftypes.NewFFBigInt(5)})
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "nonce", invalid.Field)
	for field, u := range map[string]*apitypes.TransactionUpdate{
		"gas":                   {Gas: fftypes.NewFFBigInt(-1)},
		"value":                 {Value: fftypes.NewFFBigInt(-1)},
		"nonce":                 {Nonce: fftypes.NewFFBigInt(-1)},
		"gasPrice":              {GasPrice: json.RawMessage(` -7 `)},
		"gasPrice.maxFeePerGas": {GasPrice: json.RawMessage(`{"maxFeePerGas":"-7","x":[1],"y":null,"z":"-"}`)},
	} {
		_, err := r.UpdateTransaction(t.Context(), "a", u)
		require.ErrorAs(t, err, &invalid, field)
		require.Equal(t, field, invalid.Field)
	}
	data := "0x"
	_, err = r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{TransactionData: &data})
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "transactionData", invalid.Field)

	r.fake.onPrepare = func(context.Context, *ffcapi.Request) (*ffcapi.Prepared, error) {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "no such contract")
	}
	to := "nowhere"
	_, err = r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{To: &to})
	require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
	require.Equal(t, "assets", r.show("a").To, "what the chain refuses changes nothing")
}

// TestRetryOfWhatFailed makes a new transaction of the same request, once.
func TestRetryOfWhatFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if string(sub.Prepared.Payload) == "a#1" {
			return refusal("broke")
		}
		return nil
	}
	sub := submission("a")
	sub.Labels = map[string]string{"objectId": "x"}
	r.submit(sub)
	r.until("a", store.SubFailed)
	tx, replay, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	require.False(t, replay)
	require.Equal(t, []string{"a:retry-1", "a", "Pending", "assets"}, []string{tx.ID, tx.RetryOf, tx.Status, tx.To})
	require.Equal(t, sub.Labels, tx.Labels)
	again, replay, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	require.True(t, replay)
	require.Equal(t, "a:retry-1", again.ID)
	r.until("a:retry-1", store.SubTracking)
	require.Equal(t, store.Failed, r.until("a", store.SubFailed).Status, "the old one stays as it is")

	named, _, err := r.RetryTransaction(t.Context(), "a", "mine")
	require.NoError(t, err)
	require.Equal(t, "mine", named.ID)
	_, _, err = r.RetryTransaction(t.Context(), "a", "a")
	var invalid *apitypes.Invalid
	require.ErrorAs(t, err, &invalid)
	_, _, err = r.RetryTransaction(t.Context(), "mine", "")
	require.ErrorIs(t, err, apitypes.ErrNotFailed)
	_, _, err = r.Submit(t.Context(), submission("a:retry-1"))
	require.ErrorIs(t, err, store.ErrKeyReused, "a post is no retry")
}

// TestRetryOffersWhatWasPatched: a retry does not forget the price that somebody has set, nor does the retry of that.
func TestRetryOffersWhatWasPatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	var broke atomic.Bool
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		if broke.Load() {
			return refusal("broke")
		}
		return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo}
	}
	r.submit(submission("a"))
	r.untilSent(1)
	r.pause("a")
	price := json.RawMessage(`{"maxFeePerGas":"9"}`)
	_, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{GasPrice: price})
	require.NoError(t, err)
	broke.Store(true)
	_, err = r.ResumeTransaction(t.Context(), "a")
	require.NoError(t, err)
	r.until("a", store.SubFailed)
	before := len(r.fake.sends())
	tx, _, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	require.JSONEq(t, string(price), string(tx.GasPrice))
	r.until("a:retry-1", store.SubFailed)
	_, _, err = r.RetryTransaction(t.Context(), "a:retry-1", "")
	require.NoError(t, err)
	r.until("a:retry-2", store.SubFailed)
	sent := r.fake.sends()[before:]
	require.Len(t, sent, 2)
	for _, s := range sent {
		require.JSONEq(t, string(price), s.fee)
	}
}

// TestPatchedPriceOfAFreshAttempt: what replaces an attempt that lost a race offers the same.
func TestPatchedPriceOfAFreshAttempt(t *testing.T) {
	t.Parallel()
	var off atomic.Bool
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			if !off.Load() {
				return policy.Decision{Do: policy.Wait, Until: v.Now.Add(10 * time.Millisecond)}
			}
			return stubborn{}.Decide(v)
		})
	}})
	r.submit(submission("a"))
	_, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{GasPrice: json.RawMessage("9")})
	require.NoError(t, err)
	off.Store(true)
	row := r.until("a", store.SubTracking)
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "conflict", Retryable: true})
	sent := r.untilSent(2)
	require.Equal(t, []string{"9", "9"}, []string{sent[0].fee, sent[1].fee})
}

// TestRetryOfWhatIsStuck tries it again now, however long the policy engine meant to wait.
func TestRetryOfWhatIsStuck(t *testing.T) {
	t.Parallel()
	r, refuse := stopping(t, setup{sequenced: true, opts: func(o *txn.Options) { o.Policy = patient{} }})
	r.submit(submission("a"))
	r.until("a", store.SubPrepared)
	refuse.Store(false)
	_, _, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	r.until("a", store.SubTracking)
	_, _, err = r.RetryTransaction(t.Context(), "a", "")
	require.ErrorIs(t, err, apitypes.ErrNotFailed, "it is under way")
}

// TestPriceInAPostIsNoPatch: what is sent again offers what was offered the first time, whatever its headers say.
func TestPriceInAPostIsNoPatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{opts: func(o *txn.Options) {
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			if v.LastError != nil {
				return policy.Decision{Do: policy.Fail, Reason: v.LastError.Error()}
			}
			return stubborn{}.Decide(v)
		})
	}})
	r.fake.onSubmit = func(_ context.Context, sub *ffcapi.Submission, _ int) error {
		if string(sub.Prepared.Payload) == "a#1" {
			return refusal("broke")
		}
		return nil
	}
	sub := submission("a")
	sub.Raw = json.RawMessage(`{"headers":{"id":"a","type":"SendTransaction","gasPrice":"-7"},"from":"alice","to":"assets","method":"a"}`)
	r.submit(sub)
	r.until("a", store.SubFailed)
	_, _, err := r.RetryTransaction(t.Context(), "a", "")
	require.NoError(t, err)
	row := r.until("a:retry-1", store.SubTracking)
	require.Empty(t, row.Fee)
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "conflict", Retryable: true})
	for _, s := range r.untilSent(3) {
		require.Empty(t, s.fee)
	}
}

// TestRetryOfWhatDidNotFail would be a second effect.
func TestRetryOfWhatDidNotFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	for _, id := range []string{"a", "b"} {
		r.submit(submission(id))
		r.until(id, store.SubTracking)
	}
	r.view.block(0, success(hashOf("a#1")))
	r.until("a", store.SubConfirmed)
	_, err := r.SuspendTransaction(t.Context(), "b")
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		_, _, err = r.RetryTransaction(t.Context(), id, "")
		require.ErrorIs(t, err, apitypes.ErrNotFailed)
		_, err = r.store.Transaction(t.Context(), id+":retry-1")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}
