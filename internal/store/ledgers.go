package store

import (
	"context"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// LedgerState is what is known of a ledger.
type LedgerState struct {
	Name     string
	ID       string          // identity at first use
	Position ffcapi.BlockRef // outcomes of every block up to here are applied
}

// BlockOutcomes are the outcomes in one canonical block.
type BlockOutcomes struct {
	Block    ffcapi.BlockRef
	Outcomes []ffcapi.TxOutcome
}

// Advance moves a ledger's position and applies the outcomes of the blocks passed, in one database transaction.
type Advance struct {
	Ledger string
	From   ffcapi.BlockRef // the stored position must be this one, else ErrConflict
	To     ffcapi.BlockRef // the new position

	// Rewind, if set, first undoes every outcome that is not final in a block above this number (a reorganisation).
	Rewind *uint64

	Blocks []BlockOutcomes // the new blocks with transactions, in order

	// Final: every block up to this number cannot change any more. Outcomes found there, now or before, become final.
	Final uint64
	// HasFinal is false while no block is final yet.
	HasFinal bool
	// Head is the number of the newest block. Outcomes of transactions with a number of confirmations of their own (Tx.Required) are final
	// when so many blocks follow theirs up to Head, whatever Final says. nil: they are final as all others are (instant finality).
	Head *uint64

	// Lazy: if nothing of ours is in Blocks, nothing has to be undone and nothing becomes final, the position need not be
	// written; Advance then reports stored=false.
	Lazy bool
}

// OutcomeRule decides what an outcome does to a transaction. It is a pure function: attempts[hit].Outcome has just been set,
// changed, become final or (nil) been undone; attempts[hit].Undone is the block it was in, also when it was
// found in another one at once. It returns the change to make, or nil for none beyond storing the attempt; both raise Tx.Version.
type OutcomeRule func(tx *Tx, attempts []*Attempt, hit int) *TxUpdate

// Ledgers is the aggregate of ledger positions and outcomes.
type Ledgers interface {
	// Ledger returns ErrNotFound for one that was never used.
	Ledger(ctx context.Context, name string) (*LedgerState, error)

	// OpenBlocks returns the newest blocks up to a number that hold outcomes which are not final, newest first, 500 at most.
	OpenBlocks(ctx context.Context, ledger string, upTo uint64) ([]ffcapi.BlockRef, error)

	// UseLedger stores a ledger at its first use and returns what is stored.
	UseLedger(ctx context.Context, f Fence, l LedgerState) (*LedgerState, error)

	// InFlight picks those of a block's transactions that may be ours: they are matched as by Advance. An attempt is claimed before its
	// first byte leaves, so for a block that was read before this call it overlooks none.
	InFlight(ctx context.Context, ledger string, listed []ffcapi.TxOutcome) ([]ffcapi.TxOutcome, error)

	// Advance applies a. Attempts are matched by hash; those that have no hash yet by signer and nonce, if no other attempt has
	// the outcome's hash, and take it. An outcome that is none of ours and has the nonce of a transaction in flight is noted on that
	// one's newest attempt, with Outcome.By. Only Submitting attempts without a final outcome are matched. rule is called once per attempt
	// touched, inside the write, and must not block; its updates are written in the same transaction.
	Advance(ctx context.Context, f Fence, a *Advance, rule OutcomeRule) (stored bool, err error)
}
