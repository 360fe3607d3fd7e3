package txn

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// ChainReceipt looks a transaction up on the chain, by its hash; it need not be one of ours. Errors: *apitypes.Invalid,
// *ffcapi.Error (NotFound if it is in no block), apitypes.ErrStopping, ctx's.
func (m *Manager) ChainReceipt(ctx context.Context, q *apitypes.ReceiptQuery) (*apitypes.ChainReceipt, error) {
	if q.TransactionHash == "" {
		return nil, apitypes.Invalidf("transactionHash", "give the hash of the transaction", "is missing")
	}
	r, err := asked(ctx, m, func(ctx context.Context) (*ffcapi.Receipt, error) {
		return m.opts.Connector.Receipt(ctx, &ffcapi.ReceiptQuery{
			Ledger: q.Ledger, Hash: q.TransactionHash, IncludeLogs: q.IncludeLogs, EventFilters: q.EventFilters, Methods: q.Methods,
			ExtractSigner: q.ExtractSigner,
		})
	})
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return nil, ffcapi.Errorf(ffcapi.NotFound, "transaction %s is in no block", q.TransactionHash)
	}
	out := &apitypes.ChainReceipt{Logs: r.Logs, Receipt: apitypes.Receipt{
		BlockNumber: bigintOf(r.Block.Number), TransactionIndex: bigintOf(r.TxIndex), BlockHash: r.Block.Hash, Success: r.Success,
		ProtocolID: cmp.Or(r.ProtocolID, protocolID(r.Block.Number, r.TxIndex)), ExtraInfo: r.Extra, ContractLocation: r.ContractLocation,
		Result: r.Result, Reason: r.Reason,
	}}
	for _, e := range r.Events {
		encoded, err := eventOf(q.Ledger, e)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "the connector's event cannot be encoded: %w", err)
		}
		out.Events = append(out.Events, encoded)
	}
	return out, nil
}

// eventOf is an event in the form in which streams deliver it, without what belongs to a listener.
func eventOf(ledger string, e *ffcapi.Event) (json.RawMessage, error) {
	out := map[string]any{}
	if len(e.Info) > 0 {
		if err := json.Unmarshal(e.Info, &out); err != nil {
			return nil, err
		}
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for name, value := range map[string]any{
		"protocolId": e.Cursor.String(), "ledger": ledger, "signature": e.Name, "blockHash": e.BlockHash, "blockNumber": number(e.Cursor.Block),
		"transactionHash": e.TxHash, "transactionIndex": number(e.Cursor.Tx), "logIndex": number(e.Cursor.Log), "data": e.Data,
	} {
		out[name] = value
	}
	if e.Address != "" {
		out["address"] = e.Address
	}
	if e.Timestamp != nil {
		out["timestamp"] = e.Timestamp.UTC().Format(time.RFC3339Nano)
	}
	return json.Marshal(out)
}

// GasPrice asks the chain what a transaction should offer now. Errors: *ffcapi.Error (Unsupported where there are no fees),
// apitypes.ErrStopping, ctx's.
func (m *Manager) GasPrice(ctx context.Context, ledger string) (json.RawMessage, error) {
	fees, ok := m.opts.Connector.(ffcapi.FeeEstimator)
	if !ok {
		return nil, ffcapi.Errorf(ffcapi.Unsupported, "this chain has no gas price")
	}
	return asked(ctx, m, func(ctx context.Context) (json.RawMessage, error) { return fees.EstimateFee(ctx, ledger) })
}

// Balance asks the chain for the balance of an account at a block, "" for the newest. Errors: as GasPrice.
func (m *Manager) Balance(ctx context.Context, ledger, address, block string) (string, error) {
	balances, ok := m.opts.Connector.(ffcapi.Balancer)
	if !ok {
		return "", ffcapi.Errorf(ffcapi.Unsupported, "the accounts of this chain have no balance")
	}
	return asked(ctx, m, func(ctx context.Context) (string, error) { return balances.Balance(ctx, ledger, address, block) })
}

// asked calls the connector on behalf of somebody who waits for the answer.
func asked[T any](ctx context.Context, m *Manager, call func(context.Context) (T, error)) (T, error) {
	var none T
	if err := m.admitting(); err != nil {
		return none, err
	}
	bounded, cancel := context.WithTimeout(ctx, m.opts.QueryTimeout)
	defer cancel()
	out, err := survive.Call(m.panicked, func() (T, error) { return call(bounded) })
	if err != nil {
		return none, m.tooLate(ctx, err)
	}
	return out, nil
}
