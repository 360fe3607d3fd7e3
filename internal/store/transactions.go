package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// TxStatus is the state of a transaction that users see.
type TxStatus string

// The statuses. Succeeded and Failed are terminal: never left, never rewritten.
const (
	Pending   TxStatus = "Pending"
	Suspended TxStatus = "Suspended"
	Succeeded TxStatus = "Succeeded"
	Failed    TxStatus = "Failed"
)

// Terminal reports whether the status is never left.
func (s TxStatus) Terminal() bool { return s == Succeeded || s == Failed }

// SubStatus refines a status.
type SubStatus string

// The sub-statuses.
const (
	SubReceived       SubStatus = "Received"       // stored, not prepared again since
	SubPrepared       SubStatus = "Prepared"       // ready to be sent
	SubSubmitting     SubStatus = "Submitting"     // claimed: bytes may have left
	SubTracking       SubStatus = "Tracking"       // the chain took it; waiting for its block
	SubStale          SubStatus = "Stale"          // no outcome for too long; being sent again
	SubUnknownOutcome SubStatus = "UnknownOutcome" // whether it left is not known; being reconciled
	SubConfirmed      SubStatus = "Confirmed"
	SubFailed         SubStatus = "Failed"
	SubCancelled      SubStatus = "Cancelled"
)

// Shards is the number of shards over which transactions are spread by signer (by id where the ledger has no nonces).
const Shards = 64

// Tx is a transaction without its body.
type Tx struct {
	Seq     int64 // order of acceptance; assigned by the store
	ID      string
	Version int64 // raised by every write
	Kind    string
	Created time.Time
	Updated time.Time

	Status   TxStatus
	Sub      SubStatus
	SubSince time.Time

	Shard  int
	Ledger string
	From   string
	To     string
	Nonce  *uint64
	Value  string
	Gas    string
	Fee    json.RawMessage // of the newest attempt that offered one

	Labels   map[string]string // of the request; nil: none
	Required *int              // confirmations that the request asked for; nil: as the ledger has it
	RetryOf  string            // id of the Failed transaction that this one repeats, "" for none

	Attempt     int    // number of the newest attempt, from 1
	Hash        string // of the newest attempt, or of the one that ended the transaction; "" while unknown
	FirstSubmit time.Time
	LastSubmit  time.Time
	Error       string          // why it failed, or the last error on the way
	PolicyState json.RawMessage // of the policy engine, shown to users
	Due         time.Time       // when the policy engine is asked next; zero: when something changes
	Outcome     *Outcome        // of the attempt that ended the transaction
	Progressed  time.Time       // when it last got further: sending the same again is no progress. Zero: never since it was accepted
	CancelAsked time.Time       // when a user asked to cancel it; zero: never
}

// AttemptState is how far an attempt got.
type AttemptState string

// The attempt states. Submitting is set, durably, before the first byte leaves.
const (
	AttemptPrepared   AttemptState = "Prepared"   // nothing has left
	AttemptSubmitting AttemptState = "Submitting" // claimed by Claim; its fate is open until Outcome is final
	AttemptDone       AttemptState = "Done"       // its outcome is final, or it can never be on the chain (Dead)
)

// Attempt is one prepared payload of a transaction. Its payload is kept apart, see Transactions.Payload.
type Attempt struct {
	Tx           string
	Number       int
	Ledger       string
	State        AttemptState
	Claim        int64 // generation of the owner that claimed it
	Hash         string
	From         string
	Nonce        *uint64
	Expires      uint64
	Exclusive    string
	ConflictKeys []string
	Sends        int // sends that were started under the claim
	Open         int // of these, sends whose answer was not "certainly nothing left" (Sent maybe or yes, or no answer yet)
	LastSent     time.Time
	Error        string
	Dead         string          // why it can never be on the chain, "" otherwise
	Outcome      *Outcome        // nil until found in a block
	Fee          json.RawMessage // what its sends offer; nil: nothing, or not sent yet
	SendBefore   time.Time       // not sent by then, it is not sent any more; zero: it may wait

	Undone *ffcapi.BlockRef // for an OutcomeRule, and not stored: the block that held it and is no longer canonical
}

// Outcome is what the chain said about an attempt.
type Outcome struct {
	Block     ffcapi.BlockRef `json:"block"`
	Index     uint64          `json:"index"`
	Success   bool            `json:"success"`
	Reason    string          `json:"reason,omitempty"`
	Retryable bool            `json:"retryable,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	// ContractLocation is where a deployment has put the contract, in the chain's own terms.
	ContractLocation json.RawMessage `json:"contractLocation,omitempty"`

	Final bool `json:"final"` // the block cannot change any more
	// Required is how many blocks must follow for that, where the transaction asked for a number of its own; filled in by the store.
	Required *int `json:"required,omitempty"`

	// By is the hash of another transaction that has used the attempt's nonce: the attempt itself is on no chain that holds the block.
	// "" for an outcome of the attempt's own.
	By string `json:"by,omitempty"`
}

// Payload is what is needed to send an attempt.
type Payload struct {
	Prepared []byte // ffcapi.Prepared.Payload
	Result   json.RawMessage
	// Secret: neither this nor the request it was prepared of may be stored in the clear. A store refuses it, but for package sealed, which
	// encrypts it into Sensitive.
	Secret bool
	// Sensitive is wiped when the transaction ends.
	Sensitive []byte
}

// NewTx is an accepted request with its first attempt.
type NewTx struct {
	// Tx: Seq, Version, Status, Shard, Attempt, Hash and the times are filled in by the store, Sub if it is empty; Nonce is an
	// input only if the caller gave one. Its ID is the idempotency key.
	Tx         Tx
	BodyHash   [32]byte
	KeyExpires time.Time
	Request    json.RawMessage // the request as it came, without headers.id; kept for a fresh preparation
	Attempt    Attempt         // number 1; Tx, Nonce and, where empty, Ledger, From and State are filled in from Tx
	Payload    Payload
	History    []History

	// Sequenced asks for a nonce: max(highest assigned + 1, NodeNext), where NodeNext is what the node answered just before, or nil
	// if the store's own newest is recent enough.
	Sequenced bool
	NodeNext  *uint64

	// Fill: Tx.Nonce was assigned before, and nothing open has it. It does not count as assigned now. ErrConflict: it is not so.
	Fill bool
}

// Accepted is the answer to Accept.
type Accepted struct {
	Tx     *Tx
	Replay bool // the key and body were accepted before; Tx is that transaction
}

// Acceptance is the answer to one of AcceptAll: what Accept returns.
type Acceptance struct {
	Accepted *Accepted
	Err      error
}

// UsedKey is what an idempotency key stands for.
type UsedKey struct {
	Tx       string
	BodyHash [32]byte
}

// History is one thing that happened to a transaction. Equal consecutive ones (sub-status, action, error, info) are
// folded into one with a count. Of a very long history the oldest entries are forgotten.
type History struct {
	Sub    SubStatus
	Action string // e.g. AssignNonce, SubmitTransaction, ReceiveReceipt, Confirm, Timeout
	Time   time.Time
	Last   time.Time // of the newest one folded in
	Count  int
	Error  string
	Info   json.RawMessage
}

// TxUpdate changes one transaction, if nobody else did since Tx.Version was read.
type TxUpdate struct {
	// Tx has its new values; ID and Version select the row. Seq, Created, Kind, Ledger, From, Shard, Labels, Required and RetryOf are not
	// written.
	Tx       *Tx
	Attempts []*Attempt // to insert (a new Number) or to overwrite
	Payload  *Payload   // of the attempt Tx.Attempt, when it is new
	History  []History
	Announce bool // the status changed: write a row to the status log
	Wipe     bool // the transaction ended: wipe what is sensitive

	// Progressed sets Tx.Progressed to the store's time.
	Progressed bool
	// Request replaces the stored request, if it is not nil.
	Request json.RawMessage

	// GiveBack takes the transaction's nonce from it and assigns it to the signer's next transaction. ErrConflict if a later one was
	// assigned already, or if the transaction fills a gap: then another one had the nonce before, and no third one can have it.
	GiveBack bool
	// Renumber assigns the signer's next nonce to the transaction and to the attempt Tx.Attempt: max(highest assigned + 1, NodeNext).
	// Update fills both in.
	Renumber bool
	NodeNext *uint64
}

// Transactions is the aggregate of transactions, idempotency keys, nonces, attempts and history.
type Transactions interface {
	// Key looks an idempotency key up. ErrNotFound: never used, or expired; a key does not expire before its transaction is gone.
	Key(ctx context.Context, key string) (tx string, bodyHash [32]byte, err error)

	// Accept stores a transaction, its key, its nonce and its first attempt. It writes no row to the status log: its answer says it all.
	// A key that exists is resolved before anything is numbered: same body, the existing transaction; other body, ErrKeyReused.
	// ErrConflict: the nonce that the caller gave is taken, or leaves a gap.
	Accept(ctx context.Context, f Fence, n *NewTx) (*Accepted, error)

	// AcceptAll is Accept of several at once, in order: of those of one signer, an earlier one gets the lower nonce. The answers are in
	// the order of ns; one that is refused leaves the others alone.
	AcceptAll(ctx context.Context, f Fence, ns []*NewTx) []Acceptance

	// Keys is Key of several; those that were never used, or have expired, are not in the answer.
	Keys(ctx context.Context, keys []string) (map[string]UsedKey, error)

	// Transaction, Attempts, History, Request, Payload: ErrNotFound. Attempts are in order of Number, history in order of time.
	Transaction(ctx context.Context, id string) (*Tx, error)
	Attempts(ctx context.Context, id string) ([]*Attempt, error)
	History(ctx context.Context, id string) ([]History, error)
	Request(ctx context.Context, id string) (json.RawMessage, error)
	Payload(ctx context.Context, id string, attempt int) (*Payload, error)

	// List returns a page, and Count how many transactions match, whatever Limit, Skip and After are. *TooWide: to answer, too many would
	// have to be looked at. What is asked for by a label, a signer or a status alone never is too wide for List. A page is short where
	// more than that would have to be looked at for a full one: the end is where it is empty.
	List(ctx context.Context, flt TxFilter) ([]*Tx, error)
	Count(ctx context.Context, flt TxFilter) (int, error)

	// Open returns transactions that are not terminal in order of acceptance, with Seq above after.
	Open(ctx context.Context, after int64, limit int) ([]*Tx, error)
	CountOpen(ctx context.Context) (int, error)

	// Update applies u and then sets u.Tx.Version, u.Tx.Updated and what else the store decides to what is stored. ErrConflict: the version is another one, or the
	// transaction is terminal; nothing was changed. ErrNotFound.
	Update(ctx context.Context, f Fence, u *TxUpdate) error

	// NewestNonce returns the highest nonce assigned to a signer and when; ErrNotFound if none ever was, or nonce 0 was given back.
	NewestNonce(ctx context.Context, ledger, signer string) (nonce uint64, at time.Time, err error)

	// OpenNonces returns the nonces that a signer's transactions hold that are not terminal, in order, from a nonce on.
	OpenNonces(ctx context.Context, ledger, signer string, from uint64, limit int) ([]uint64, error)
}
