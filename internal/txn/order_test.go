package txn_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// deployer is a fake to which contracts can be deployed, and that knows fees and balances.
type deployer struct {
	*fake

	deployed chan *ffcapi.DeployRequest
}

func (d *deployer) PrepareDeploy(ctx context.Context, req *ffcapi.DeployRequest) (*ffcapi.Prepared, error) {
	d.deployed <- req
	return d.Prepare(ctx, &ffcapi.Request{Method: json.RawMessage(`"deploy"`)})
}

func (d *deployer) EstimateFee(_ context.Context, ledger string) (json.RawMessage, error) {
	return json.Marshal("fee of " + ledger)
}

func (d *deployer) Balance(_ context.Context, ledger, address, tag string) (string, error) {
	return ledger + address + tag, nil
}

func deployment(id string) *apitypes.Submission {
	return &apitypes.Submission{
		ID: id, Type: apitypes.DeployContract, From: "alice", Definition: json.RawMessage(`[{"type":"constructor"}]`),
		Contract: json.RawMessage(`"0x60"`), Params: []json.RawMessage{json.RawMessage("1")}, Options: json.RawMessage(`{"salt":7}`),
		Raw: json.RawMessage(`{"headers":{"type":"DeployContract","id":"` + id + `"},"from":"alice","definition":[{"type":"constructor"}],"contract":"0x60",
			"params":[1],"salt":7,"method":null}`),
	}
}

func TestDeployContract(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	_, _, err := r.Submit(t.Context(), deployment("d"))
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err), "a chain that cannot")

	d := &deployer{fake: newFake(), deployed: make(chan *ffcapi.DeployRequest, 10)}
	r = newRig(t, setup{fake: d.fake, opts: func(o *txn.Options) { o.Connector = d }})
	r.submit(deployment("d"))
	want := &ffcapi.DeployRequest{
		From: "alice", Definition: json.RawMessage(`[{"type":"constructor"}]`), Contract: json.RawMessage(`"0x60"`),
		Params: []json.RawMessage{json.RawMessage("1")}, Options: json.RawMessage(`{"salt":7}`),
	}
	require.Equal(t, want, <-d.deployed)
	require.Equal(t, apitypes.DeployContract, r.until("d", store.SubTracking).Kind)

	for name, spoil := range map[string]func(*apitypes.Submission){
		"to":       func(s *apitypes.Submission) { s.To = "x" },
		"method":   func(s *apitypes.Submission) { s.Method = json.RawMessage(`"m"`) },
		"contract": func(s *apitypes.Submission) { s.Contract = nil },
	} {
		sub := deployment("bad-" + name)
		spoil(sub)
		_, _, err := r.Submit(t.Context(), sub)
		var invalid *apitypes.Invalid
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, name, invalid.Field)
	}
}

// TestDeploymentHasNoContractYet: there is none that it could be sent to instead.
func TestDeploymentHasNoContractYet(t *testing.T) {
	t.Parallel()
	d := &deployer{fake: newFake(), deployed: make(chan *ffcapi.DeployRequest, 10)}
	d.onSubmit = func(context.Context, *ffcapi.Submission, int) error { return refusal("broke") }
	r := newRig(t, setup{fake: d.fake, opts: func(o *txn.Options) { o.Connector, o.Policy = d, patient{} }})
	r.submit(deployment("d"))
	r.until("d", store.SubPrepared)
	to, gas := "x", fftypes.NewFFBigInt(5)
	_, err := r.UpdateTransaction(t.Context(), "d", &apitypes.TransactionUpdate{To: &to})
	var invalid *apitypes.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "to", invalid.Field)
	_, err = r.UpdateTransaction(t.Context(), "d", &apitypes.TransactionUpdate{Gas: gas})
	require.NoError(t, err)
	require.Empty(t, (<-d.deployed).Gas)
	require.Equal(t, "5", (<-d.deployed).Gas)
}

// A deployment that lost a race is prepared afresh as a deployment, after a restart, too.
func TestDeploymentIsPreparedAfreshAfterARestart(t *testing.T) {
	t.Parallel()
	place := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	d := &deployer{fake: newFake(), deployed: make(chan *ffcapi.DeployRequest, 10)}
	open := func() *rig {
		return newRig(t, setup{place: place, fake: d.fake, opts: func(o *txn.Options) { o.Connector, o.Policy = d, stubborn{} }})
	}
	r := open()
	r.submit(deployment("d"))
	first := <-d.deployed
	row := r.until("d", store.SubTracking)
	r.stop()
	require.NoError(t, r.store.Close())

	r = open()
	require.NoError(t, r.view.Ready(t.Context(), ""))
	r.view.block(0, ffcapi.TxOutcome{Hash: row.Hash, Reason: "conflict", Retryable: true})
	require.Equal(t, "deploy#2", r.untilSent(2)[1].payload)
	require.Equal(t, first, <-d.deployed)
}

func TestAskTheChain(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	_, err := r.GasPrice(t.Context(), "")
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err))
	_, err = r.Balance(t.Context(), "", "0x1", "")
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err))
	_, err = r.ChainReceipt(t.Context(), &apitypes.ReceiptQuery{TransactionHash: "x"})
	require.Equal(t, ffcapi.NotFound, ffcapi.KindOf(err))

	d := &deployer{fake: newFake()}
	r = newRig(t, setup{fake: d.fake, opts: func(o *txn.Options) { o.Connector = d }})
	price, err := r.GasPrice(t.Context(), "main")
	require.NoError(t, err)
	require.JSONEq(t, `"fee of main"`, string(price))
	balance, err := r.Balance(t.Context(), "main", "/0x1/", "latest")
	require.NoError(t, err)
	require.Equal(t, "main/0x1/latest", balance)

	d.put("x", &ffcapi.Receipt{
		Block: ffcapi.BlockRef{Number: 12, Hash: "b12"}, TxIndex: 3, Success: true, ContractLocation: json.RawMessage(`"0xc"`),
		Events: []*ffcapi.Event{{
			Cursor: ffcapi.Cursor{Block: 12, Tx: 3, Log: 1}, BlockHash: "b12", TxHash: "h:x", Name: "Changed", Data: json.RawMessage(`{"a":1}`),
			Info: json.RawMessage(`{"chaincode":"cc"}`),
		}},
	})
	got, err := r.ChainReceipt(t.Context(), &apitypes.ReceiptQuery{TransactionHash: "h:x"})
	require.NoError(t, err)
	raw, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, `{"blockNumber":"12","transactionIndex":"3","blockHash":"b12","success":true,"protocolId":"000000000012/000003","contractLocation":"0xc",
		"events":[{"blockHash":"b12","blockNumber":"12","chaincode":"cc","data":{"a":1},"ledger":"","logIndex":"1","protocolId":"000000000012/000003/000001",
		"signature":"Changed","transactionHash":"h:x","transactionIndex":"3"}]}`, string(raw))
}

func TestHistoryRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{sequenced: true})
	_, err := r.HistoryRecords(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.ConfirmationRecords(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	r.submit(submission("a"))
	r.until("a", store.SubTracking)
	open, err := r.HistoryRecords(t.Context(), "a")
	require.NoError(t, err)
	require.NotEmpty(t, open[len(open)-1].Duration, "it is still there, for so long")

	r.view.block(0, success(hashOf("a#1")))
	r.until("a", store.SubConfirmed)
	got, err := r.HistoryRecords(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, open[0].ID, got[0].ID, "a record keeps its id")
	require.NotEqual(t, got[0].ID, got[1].ID)
	require.Empty(t, got[len(got)-1].Duration, "the end lasts for ever")
	require.Equal(t, "AssignNonce", got[0].Action)
	require.NotEmpty(t, got[0].Duration)

	tx, err := r.Transaction(t.Context(), "a", true)
	require.NoError(t, err)
	n := 0
	for _, span := range tx.History {
		for _, a := range span.Actions {
			require.Equal(t, span.Duration, got[n].Duration)
			require.Equal(t, a, got[n].HistoryAction)
			require.Equal(t, span.SubStatus, got[n].SubStatus)
			n++
		}
	}
	require.Len(t, got, n)
}
