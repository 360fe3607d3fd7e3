package ffcapi

import (
	"encoding/json"
	"time"
)

// Request is a call of a contract: a transaction for Prepare, a read for Query.
type Request struct {
	From        string            // signer; required by Prepare, may be empty for Query where the chain allows it
	To          string            // contract, in the chain's own form
	Method      json.RawMessage   // a JSON string (name) or an object (e.g. an ABI entry)
	Params      []json.RawMessage // in the order of the method's parameters
	Errors      []json.RawMessage // descriptions of errors the contract may answer with, in the chain's own form
	Value       string            // amount of the chain's token to transfer, base 10, "" for none
	Gas         string            // limit given by the caller, base 10, "" to let the connector estimate
	BlockNumber string            // Query only: the block to read at, "" for the newest
	Options     json.RawMessage   // JSON object, chain specific; a connector refuses fields it does not know
}

// Prepared is a transaction that can be sent. The core stores it as it is.
type Prepared struct {
	Ledger  string
	Payload []byte          // opaque to the core
	Hash    string          // the transaction's id on the chain, if it is already known
	Gas     string          // estimated or given limit, base 10, "" where the chain has none
	Result  json.RawMessage // what the simulation returned, if anything

	// Expires is the number of the last block that can hold the transaction; once the chain is final past it, the
	// transaction is dead. 0: it never expires.
	Expires uint64

	// SendBefore: what was not sent by then is not sent any more, but prepared afresh, because the nodes may have forgotten something that belongs to
	// it. It says nothing about what was sent, or may have been. Zero: it may wait.
	SendBefore time.Time

	// Exclusive: at most one of all transactions with the same value can ever be on the chain. On a Sequencer chain signer
	// and nonce do this for every transaction, without being named here.
	Exclusive string

	// ConflictKeys are keys of the ledger that are both read and written: two transactions in flight with a key in
	// common will probably fail one another.
	ConflictKeys []string

	// Sensitive: Payload, or the request that it was prepared of, has something in it that nobody may read, such as data that goes past the
	// ledger. The core encrypts both, shows neither, and wipes them when the transaction ends.
	Sensitive bool
}

// Submission is one sending of a prepared transaction. All fields are the same in each repetition.
type Submission struct {
	Prepared *Prepared
	From     string
	To       string
	Value    string
	Gas      string
	Nonce    *uint64         // assigned by the core on Sequencer chains, else nil
	Fee      json.RawMessage // as from FeeEstimator, or configured; nil where the chain has none
}

// Submitted is the answer to a Submit that the chain took.
type Submitted struct {
	Hash   string          // never empty
	Result json.RawMessage // if the chain gives one at this point
}

// ReceiptQuery asks for the outcome of one transaction.
type ReceiptQuery struct {
	Ledger        string
	Hash          string
	IncludeLogs   bool              // raw logs too
	EventFilters  []json.RawMessage // decode the logs that match these
	Methods       []json.RawMessage // decode the input against these
	ExtractSigner bool
}

// Receipt is the outcome of a transaction on the canonical chain.
type Receipt struct {
	Block            BlockRef
	TxIndex          uint64
	Success          bool
	Reason           string
	Retryable        bool
	ProtocolID       string          // position as text that sorts in chain order, e.g. "000000000012/000003"
	ContractLocation json.RawMessage // of a deployment
	Result           json.RawMessage
	Logs             []json.RawMessage
	Events           []*Event
	Extra            json.RawMessage // fields of the chain
}
