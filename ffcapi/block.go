package ffcapi

import (
	"encoding/json"
	"time"
)

// BlockRef names a block by number and hash. The zero value is "before block 0".
type BlockRef struct {
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
}

// IsZero reports whether r names no block.
func (r BlockRef) IsZero() bool { return r.Hash == "" }

// Finality says when a block of a ledger cannot change any more.
type Finality string

const (
	// Instant finality: a block that was seen never changes. A changed hash is an alarm that stops the ledger.
	Instant Finality = "instant"
	// Confirmations: a block may be replaced; it counts as final when enough blocks follow it.
	Confirmations Finality = "confirmations"
)

// Ledger describes one ledger at one moment.
type Ledger struct {
	ID       string // identity that survives restarts and differs for another chain: the hash of the genesis block
	Name     string // the name used in requests, "" where the chain has just one
	Finality Finality
	Head     BlockRef // newest canonical block the node knows
}

// Block is a canonical block with the outcomes of its transactions.
type Block struct {
	BlockRef
	ParentHash string // hash of block Number-1; "" in block 0
	Timestamp  time.Time

	// Outcomes says that Transactions holds the outcome of every transaction of the block, so that no receipt call is
	// needed. Without it Transactions holds hashes, indexes and, where known, signers and nonces only.
	Outcomes     bool
	Transactions []TxOutcome // in the order of the block
}

// TxOutcome is what one block says about one transaction.
//
// The first occurrence of a hash on the chain is its outcome. An entry refused because the hash is already there is
// never listed.
type TxOutcome struct {
	Hash      string
	Index     uint64 // position in the block
	From      string
	Nonce     *uint64 // on Sequencer chains
	Success   bool
	Reason    string          // why it failed, in the chain's words
	Retryable bool            // failed for a reason that a fresh preparation may not meet again (e.g. a read conflict)
	Result    json.RawMessage // return value where the block holds it

	ContractLocation json.RawMessage // of a deployment, as in its receipt
}
