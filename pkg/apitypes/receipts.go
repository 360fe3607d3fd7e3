package apitypes

import (
	"encoding/json"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// ReceiptQuery is a TransactionReceipt command.
type ReceiptQuery struct {
	Ledger          string // Pyralis: on chains with several; "": the first
	TransactionHash string
	IncludeLogs     bool
	EventFilters    []json.RawMessage // decode the logs that match these
	Methods         []json.RawMessage // decode the input against these
	ExtractSigner   bool
}

// ChainReceipt is the answer to a TransactionReceipt command.
type ChainReceipt struct {
	Receipt
	Logs   []json.RawMessage `json:"logs,omitempty" doc:"Raw logs, if they were asked for."`
	Events []json.RawMessage `json:"events,omitempty" doc:"Decoded events, in the form in which streams deliver them."`
}

// HistoryRecord is one thing that happened to a transaction.
type HistoryRecord struct {
	ID          *fftypes.UUID `json:"id" doc:"Id of the record."`
	Transaction string        `json:"transaction" doc:"Id of the transaction."`
	SubStatus   string        `json:"subStatus" doc:"Where it was on its way."`
	HistoryAction
	Duration string `json:"duration,omitempty" doc:"How long it was there, as in 1.5s; the same in all records of that time. Absent for a final sub-status."`
}

// ConfirmationRecord is a block that confirms a transaction.
type ConfirmationRecord struct {
	ID          *fftypes.UUID `json:"id" doc:"Id of the record."`
	Transaction string        `json:"transaction" doc:"Id of the transaction."`
	Confirmation
}

// GasPrice is the answer of GET /gasprice.
type GasPrice struct {
	GasPrice json.RawMessage `json:"gasPrice" doc:"What the chain asks for gas at the moment, in its own form."`
}

// Balance is the answer of GET /gastoken/balances/{address}.
type Balance struct {
	Balance string `json:"balance" doc:"Whole number, in the smallest unit."`
}
