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

	Labels        map[string]string // headers.labels
	Confirmations *int              // headers.confirmations: blocks that must follow; nil: as the node has it

	Definition json.RawMessage // of the contract, with DeployContract only
	Contract   json.RawMessage // its code, with DeployContract only
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
	Status  string `json:"status" doc:"InProgress, Completed or Failed."`
	Message string `json:"message,omitempty" doc:"More, for people."`
}

// Stuck says that a transaction has not got further for longer than transactions.deadline (Pyralis).
type Stuck struct {
	Since  *fftypes.FFTime `json:"since" doc:"When it last got further."`
	Reason string          `json:"reason" doc:"What keeps it."`
}

// Transaction is a transaction as lists show it.
type Transaction struct {
	ID              string            `json:"id" doc:"headers.id of the request, or made up."`
	Created         *fftypes.FFTime   `json:"created" doc:"When it was accepted."`
	Updated         *fftypes.FFTime   `json:"updated" doc:"When it was changed last."`
	Status          string            `json:"status" doc:"Pending, Suspended, Succeeded or Failed; the last two are final."`
	SubStatus       string            `json:"subStatus,omitempty" doc:"Where it is on its way."`
	SequenceID      string            `json:"sequenceId" doc:"Sorts in the order of acceptance."`
	Progress        Progress          `json:"progress" doc:"The same, for people."`
	Ledger          string            `json:"ledger,omitempty" doc:"Ledger of the chain, e.g. a channel."`
	From            string            `json:"from,omitempty" doc:"The signer."`
	To              string            `json:"to,omitempty" doc:"The contract."`
	Nonce           *fftypes.FFBigInt `json:"nonce,omitempty" doc:"Its number among the signer's transactions, on chains that have that."`
	Gas             *fftypes.FFBigInt `json:"gas,omitempty" doc:"Gas limit, on chains that have that."`
	Value           *fftypes.FFBigInt `json:"value,omitempty" doc:"Amount of the chain's own currency that is transferred."`
	GasPrice        json.RawMessage   `json:"gasPrice,omitempty" doc:"What is paid for gas."`
	TransactionHash string            `json:"transactionHash,omitempty" doc:"Its hash on the chain, once known."`
	Attempt         int               `json:"attempt,omitempty" doc:"Number of the newest attempt."`
	PolicyInfo      json.RawMessage   `json:"policyInfo,omitempty" doc:"State of the submission policy."`
	FirstSubmit     *fftypes.FFTime   `json:"firstSubmit,omitempty" doc:"When it was sent first."`
	LastSubmit      *fftypes.FFTime   `json:"lastSubmit,omitempty" doc:"When it was sent last."`
	ErrorMessage    string            `json:"errorMessage,omitempty" doc:"Why it failed, or what keeps it."`
	Labels          map[string]string `json:"labels,omitempty" doc:"headers.labels of the request."`
	Required        *int              `json:"confirmationsRequired,omitempty" doc:"headers.confirmations of the request."`
	RetryOf         string            `json:"retryOf,omitempty" doc:"The failed transaction that this one repeats."`
	DeleteRequested *fftypes.FFTime   `json:"deleteRequested,omitempty" doc:"When it was asked to be cancelled."`
	BlockedBy       string            `json:"blockedBy,omitempty" doc:"The transaction that must be sent before this one, if it waits for that: of the same signer, or where there are no nonces, one that changes the same keys of the ledger."`
	Stuck           *Stuck            `json:"stuck,omitempty" doc:"Present if it has not got further for longer than transactions.deadline."`
}

// TransactionWithStatus is one transaction with everything known about it.
type TransactionWithStatus struct {
	Transaction
	Receipt       *Receipt        `json:"receipt,omitempty" doc:"Its outcome on the chain."`
	Confirmations []Confirmation  `json:"confirmations,omitempty" doc:"The blocks that confirm it, as far as they are known without asking the chain; /transactions/{transactionId}/confirmations has them all."`
	Attempts      []Attempt       `json:"attempts,omitempty" doc:"Its attempts in order, if there is more than one."`
	History       []HistoryStatus `json:"history,omitempty" doc:"All that happened, in order."`
}

// Attempt is one form in which a transaction was sent, or was to be. There is another one only after it is certain that this one had no effect, or
// where a nonce lets no more than one of them have one.
type Attempt struct {
	Number          int             `json:"number" doc:"From 1."`
	TransactionHash string          `json:"transactionHash,omitempty" doc:"Its hash on the chain, once known."`
	Submits         int             `json:"submits" doc:"How often it was sent. 0: it was replaced before."`
	LastSubmit      *fftypes.FFTime `json:"lastSubmit,omitempty" doc:"When it was sent last."`
	Receipt         *Receipt        `json:"receipt,omitempty" doc:"Its outcome on the chain."`
	ErrorMessage    string          `json:"errorMessage,omitempty" doc:"What it was answered last, or why it can never be on the chain."`
}

// Receipt is the outcome on the chain.
type Receipt struct {
	BlockNumber      *fftypes.FFBigInt `json:"blockNumber" doc:"Number of the block it is in."`
	TransactionIndex *fftypes.FFBigInt `json:"transactionIndex" doc:"Its index in the block."`
	BlockHash        string            `json:"blockHash" doc:"Hash of the block."`
	Success          bool              `json:"success" doc:"Whether it had its effect."`
	ProtocolID       string            `json:"protocolId" doc:"Block and index as one text, which sorts in chain order."`
	ExtraInfo        json.RawMessage   `json:"extraInfo,omitempty" doc:"More, in the terms of the chain."`
	ContractLocation json.RawMessage   `json:"contractLocation,omitempty" doc:"Where the contract is that it created."`
	Result           json.RawMessage   `json:"result,omitempty" doc:"What the method returned."`
	Reason           string            `json:"reason,omitempty" doc:"Why it failed."`
}

// Confirmation is a block that confirms a transaction.
type Confirmation struct {
	BlockNumber *fftypes.FFBigInt `json:"blockNumber" doc:"Number of the block."`
	BlockHash   string            `json:"blockHash" doc:"Its hash."`
	ParentHash  string            `json:"parentHash" doc:"Hash of the block before."`
}

// HistoryStatus is a time span in one sub-status with what happened in it.
type HistoryStatus struct {
	SubStatus string          `json:"subStatus" doc:"Where it was on its way."`
	Time      *fftypes.FFTime `json:"time" doc:"Since when."`
	Duration  string          `json:"duration,omitempty" doc:"For how long, as in 1.5s: until the next one, or until now. Absent for a final one."`
	Actions   []HistoryAction `json:"actions" doc:"What happened meanwhile."`
}

// HistoryAction is one thing that happened, folded when it repeats.
type HistoryAction struct {
	Time           *fftypes.FFTime `json:"time" doc:"When it happened first."`
	Action         string          `json:"action" doc:"What happened."`
	LastOccurrence *fftypes.FFTime `json:"lastOccurrence,omitempty" doc:"When it happened last."`
	Count          int             `json:"count" doc:"How often."`
	LastError      string          `json:"lastError,omitempty" doc:"What went wrong last."`
	LastErrorTime  *fftypes.FFTime `json:"lastErrorTime,omitempty" doc:"When that was."`
	LastInfo       json.RawMessage `json:"lastInfo,omitempty" doc:"More about the last time."`
}

// TransactionFilter selects a page of transactions. All that it names must hold.
type TransactionFilter struct {
	Limit     int
	Skip      int    // of those that match, how many to leave out first
	After     string // id of the last transaction of the page before
	Ascending bool
	Signer    string
	Pending   bool
	Statuses  []string          // one of these
	Progress  []string          // one of these: InProgress, Completed, NotDone
	Labels    map[string]string // all of these
	Match     [][]Condition     // of each list, one at least
}

// Condition is one comparison of a field of a transaction, see TransactionFields.
type Condition struct {
	Field string
	Op    string // "=", ">", ">=", "<", "<=", "@" contains, "^" begins with, "$" ends with
	Not   bool
	Fold  bool   // without regard to upper and lower case
	None  bool   // with "=": that the transaction does not have the field
	Value string // a number in digits; a time in RFC 3339 or as a Unix time
}

// TransactionFields are the fields that conditions can be about.
func TransactionFields() []string {
	return []string{
		"sequence", "id", "created", "updated", "status", "substatus", "ledger", "from", "to", "nonce", "gas", "value", "transactionhash",
		"firstsubmit", "lastsubmit", "errormessage", "deleterequested",
	}
}

// TransactionPage is a list of transactions with how many there are in all.
type TransactionPage struct {
	Count int            `json:"count" doc:"Transactions in this list."`
	Total int            `json:"total" doc:"Transactions that match."`
	Items []*Transaction `json:"items" doc:"The list."`
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
	Result           json.RawMessage `json:"result,omitempty"` // Pyralis
}

// ReplyHeaders names the transaction of a reply.
type ReplyHeaders struct {
	RequestID string `json:"requestId"`
	Type      string `json:"type"`
}
