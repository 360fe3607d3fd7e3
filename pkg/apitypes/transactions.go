package apitypes

import (
	"encoding/json"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// The commands of POST /, in headers.type.
const (
	SendTransaction    = "SendTransaction"
	DeployContract     = "DeployContract"
	Query              = "Query"
	TransactionReceipt = "TransactionReceipt"
)

// Submission is a SendTransaction command. Top-level fields of the body that are not listed here are in Options.
type Submission struct {
	ID      string            // headers.id: the idempotency key and the transaction's id; made up when absent
	Type    string            // headers.type
	From    string            // required
	To      string            //
	Nonce   *fftypes.FFBigInt // given by the caller; normally absent
	Gas     *fftypes.FFBigInt
	Value   *fftypes.FFBigInt
	Method  json.RawMessage
	Params  []json.RawMessage
	Errors  []json.RawMessage
	Options json.RawMessage // JSON object of all other top-level fields, nil if there are none
	Raw     json.RawMessage // the body as it came
}

// ReadQuery is a Query command.
type ReadQuery struct {
	From        string
	To          string
	Nonce       *fftypes.FFBigInt
	Gas         *fftypes.FFBigInt
	Value       *fftypes.FFBigInt
	BlockNumber string
	Method      json.RawMessage
	Params      []json.RawMessage
	Errors      []json.RawMessage
	Options     json.RawMessage
}

// The values of Progress.Status (Pyralis).
const (
	InProgress = "InProgress"
	Completed  = "Completed"
	NotDone    = "Failed"
)

// Progress is a transaction's status for people (Pyralis).
type Progress struct {
	Status  string `json:"status"` // InProgress | Completed | Failed
	Message string `json:"message,omitempty"`
}

// Transaction is a transaction as lists show it.
type Transaction struct {
	ID              string            `json:"id"`
	Created         *fftypes.FFTime   `json:"created"`
	Updated         *fftypes.FFTime   `json:"updated"`
	Status          string            `json:"status"` // Pending | Succeeded | Failed | Suspended
	SubStatus       string            `json:"subStatus,omitempty"`
	SequenceID      string            `json:"sequenceId"`
	Progress        Progress          `json:"progress"` // Pyralis
	Ledger          string            `json:"ledger,omitempty"`
	From            string            `json:"from,omitempty"`
	To              string            `json:"to,omitempty"`
	Nonce           *fftypes.FFBigInt `json:"nonce,omitempty"`
	Gas             *fftypes.FFBigInt `json:"gas,omitempty"`
	Value           *fftypes.FFBigInt `json:"value,omitempty"`
	GasPrice        json.RawMessage   `json:"gasPrice,omitempty"`
	TransactionHash string            `json:"transactionHash,omitempty"`
	Attempt         int               `json:"attempt,omitempty"` // Pyralis: number of the newest attempt
	PolicyInfo      json.RawMessage   `json:"policyInfo,omitempty"`
	FirstSubmit     *fftypes.FFTime   `json:"firstSubmit,omitempty"`
	LastSubmit      *fftypes.FFTime   `json:"lastSubmit,omitempty"`
	ErrorMessage    string            `json:"errorMessage,omitempty"`
}

// TransactionWithStatus is one transaction with everything known about it.
type TransactionWithStatus struct {
	Transaction
	Receipt       *Receipt        `json:"receipt,omitempty"`
	Confirmations []Confirmation  `json:"confirmations,omitempty"`
	History       []HistoryStatus `json:"history,omitempty"`
}

// Receipt is the outcome on the chain.
type Receipt struct {
	BlockNumber      *fftypes.FFBigInt `json:"blockNumber"`
	TransactionIndex *fftypes.FFBigInt `json:"transactionIndex"`
	BlockHash        string            `json:"blockHash"`
	Success          bool              `json:"success"`
	ProtocolID       string            `json:"protocolId"`
	ExtraInfo        json.RawMessage   `json:"extraInfo,omitempty"`
	ContractLocation json.RawMessage   `json:"contractLocation,omitempty"`
	Result           json.RawMessage   `json:"result,omitempty"` // Pyralis
	Reason           string            `json:"reason,omitempty"` // Pyralis: why it failed
}

// Confirmation is a block that confirms a transaction.
type Confirmation struct {
	BlockNumber *fftypes.FFBigInt `json:"blockNumber"`
	BlockHash   string            `json:"blockHash"`
	ParentHash  string            `json:"parentHash"`
}

// HistoryStatus is a time span in one sub-status with what happened in it.
type HistoryStatus struct {
	SubStatus string          `json:"subStatus"`
	Time      *fftypes.FFTime `json:"time"`
	Actions   []HistoryAction `json:"actions"`
}

// HistoryAction is one thing that happened, folded when it repeats.
type HistoryAction struct {
	Time           *fftypes.FFTime `json:"time"`
	Action         string          `json:"action"`
	LastOccurrence *fftypes.FFTime `json:"lastOccurrence,omitempty"`
	Count          int             `json:"count"`
	LastError      string          `json:"lastError,omitempty"`
	LastErrorTime  *fftypes.FFTime `json:"lastErrorTime,omitempty"`
	LastInfo       json.RawMessage `json:"lastInfo,omitempty"`
}

// TransactionFilter selects a page of transactions.
type TransactionFilter struct {
	Limit     int
	After     string // id of the last transaction of the page before
	Ascending bool
	Signer    string
	Pending   bool
	Statuses  []string
}

// The types of a reply.
const (
	TransactionSuccess = "TransactionSuccess"
	TransactionFailure = "TransactionFailure"
)

// Reply tells a WebSocket client that sent listenreplies that a transaction ended.
type Reply struct {
	Headers          ReplyHeaders    `json:"headers"`
	Status           string          `json:"status"`
	ProtocolID       string          `json:"protocolId"`
	TransactionHash  string          `json:"transactionHash,omitempty"`
	ErrorMessage     string          `json:"errorMessage,omitempty"` // Pyralis
	ContractLocation json.RawMessage `json:"contractLocation,omitempty"`
}

// ReplyHeaders names the transaction of a reply.
type ReplyHeaders struct {
	RequestID string `json:"requestId"`
	Type      string `json:"type"`
}
