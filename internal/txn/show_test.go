package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	for i := range 5 {
		r.submit(from([]string{"alice", "bob"}[i%2], fmt.Sprintf("t%d", i)))
	}
	row := r.until("t0", store.SubTracking)
	r.view.block(0, success(row.Hash))
	list := func(f apitypes.TransactionFilter) []string {
		page, err := r.Transactions(t.Context(), f)
		require.NoError(t, err)
		var ids []string
		for _, tx := range page {
			ids = append(ids, tx.ID)
		}
		return ids
	}
	require.Equal(t, []string{"t4", "t3", "t2", "t1", "t0"}, list(apitypes.TransactionFilter{}))
	require.Equal(t, []string{"t4", "t3"}, list(apitypes.TransactionFilter{Limit: 2}))
	require.Equal(t, []string{"t2", "t1"}, list(apitypes.TransactionFilter{Limit: 2, After: "t3"}))
	require.Equal(t, []string{"t0", "t1"}, list(apitypes.TransactionFilter{Limit: 2, Ascending: true}))
	require.Equal(t, []string{"t3", "t1"}, list(apitypes.TransactionFilter{Signer: "bob"}))
	require.Equal(t, []string{"t4", "t3", "t2", "t1"}, list(apitypes.TransactionFilter{Pending: true}))
	require.Equal(t, []string{"t0"}, list(apitypes.TransactionFilter{Statuses: []string{"succeeded"}}))

	_, err := r.Transactions(t.Context(), apitypes.TransactionFilter{After: "nobody"})
	require.ErrorIs(t, err, store.ErrNotFound)
	var invalid *apitypes.Invalid
	_, err = r.Transactions(t.Context(), apitypes.TransactionFilter{Statuses: []string{"Done"}})
	require.ErrorAs(t, err, &invalid)
	_, err = r.Transactions(t.Context(), apitypes.TransactionFilter{Limit: -1})
	require.ErrorAs(t, err, &invalid)
}

func TestUnknownTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	_, err := r.Transaction(t.Context(), "x", true)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.Receipt(t.Context(), "x")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestStuckIsShown(t *testing.T) {
	t.Parallel()
	clock := &lateClock{}
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Now = clock.now; o.Deadline = time.Minute }})
	r.fake.onSubmit = func(context.Context, *ffcapi.Submission, int) error {
		return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe, Message: "no node answers"}
	}
	r.submit(submission("a"))
	r.until("a", store.SubUnknownOutcome)
	tx, err := r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Equal(t, "no node answers", tx.Progress.Message)
	clock.add(2 * time.Minute)
	tx, err = r.Transaction(t.Context(), "a", false)
	require.NoError(t, err)
	require.Equal(t, "InProgress", tx.Progress.Status)
	require.Regexp(t, `^stuck since 20.*: no node answers$`, tx.Progress.Message)
}

func TestShapeOfATransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	sub := submission("a")
	sub.Gas, sub.Value = number("100000000000000000000"), number("7")
	raw, err := json.Marshal(r.submit(sub))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(raw, &fields))
	for name, want := range map[string]any{
		"id": "a", "status": "Pending", "subStatus": "Received", "sequenceId": "000000000001", "from": "alice", "to": "assets", "nonce": "0",
		"gas": "100000000000000000000", "value": "7", "attempt": 1.0,
	} {
		require.Equal(t, want, fields[name], name)
	}
	require.NotContains(t, fields, "errorMessage")
	require.NotContains(t, fields, "firstSubmit")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	out, err := r.Query(t.Context(), &apitypes.ReadQuery{To: "assets", Value: number("5"), BlockNumber: "12"})
	require.NoError(t, err)
	require.JSONEq(t, `{"to":"assets","value":"5","block":"12"}`, string(out))
	var invalid *apitypes.Invalid
	_, err = r.Query(t.Context(), &apitypes.ReadQuery{Gas: number("-5")})
	require.ErrorAs(t, err, &invalid)
	_, err = r.Query(t.Context(), &apitypes.ReadQuery{Value: number("-5")})
	require.ErrorAs(t, err, &invalid)
	r.stop()
	_, err = r.Query(t.Context(), &apitypes.ReadQuery{})
	require.ErrorIs(t, err, apitypes.ErrStopping)
}
