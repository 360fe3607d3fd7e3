package ffcapi

import (
	"context"
	"encoding/json"
	"iter"
)

// Connector is one chain, or a family of ledgers reached through the same nodes. See the package comment for what both
// sides promise.
type Connector interface {
	// Ledger describes a ledger as the node sees it now. It is cheap enough to be asked every few seconds.
	// Errors: NotFound for a ledger that does not exist, Unavailable.
	Ledger(ctx context.Context, ledger string) (*Ledger, error)

	// Blocks yields the canonical blocks that follow after, in order, without gaps, and then follows the head until ctx is
	// done or the consumer breaks. The zero BlockRef starts at block 0; any other after is not repeated.
	//
	// A reorganisation shows as a block whose number is not above the last one: the consumer rewinds to it. A connector
	// that is asked to continue after a block that is no longer canonical may start at any block at or below that number.
	// The head is yielded again at least every 30 s as a sign of life; a consumer tolerates repeated blocks.
	//
	// The sequence ends after it yields an error. Errors: Unavailable, Pruned (Error.FirstBlock names the first block
	// that can be had), NotFound (ledger). When ctx is done it ends, with Timeout or without an error.
	Blocks(ctx context.Context, ledger string, after BlockRef) iter.Seq2[*Block, error]

	// Block returns one canonical block. Errors: NotFound above the head, Pruned, Unavailable.
	Block(ctx context.Context, ledger string, number uint64) (*Block, error)

	// Prepare validates, encodes and where the chain can do so simulates a transaction. It has no effect on the ledger.
	// What it returns is stored before anything is sent. Final errors (see [Kind.Final]) refuse the request for good.
	Prepare(ctx context.Context, req *Request) (*Prepared, error)

	// Submit sends a prepared transaction. The same Submission may be given any number of times, by any number of
	// processes, before and after the first is on the chain, and has at most one effect.
	//
	// An error says with Error.Sent whether bytes may have left. KnownTransaction carries the hash.
	Submit(ctx context.Context, sub *Submission) (*Submitted, error)

	// Query executes read-only and returns the result as JSON.
	Query(ctx context.Context, req *Request) (json.RawMessage, error)

	// Receipt returns the outcome of a transaction on the canonical chain. Errors: NotFound when it is not there, which
	// says nothing about the future.
	Receipt(ctx context.Context, q *ReceiptQuery) (*Receipt, error)

	// Listener validates the filters and fromBlock of a listener and resolves what depends on the moment: defaults,
	// signature, the start position ("latest" becomes a block number here, once). Unknown fields are refused with
	// InvalidInput naming the field.
	Listener(ctx context.Context, spec *ListenerSpec) (*Listener, error)

	// Events is a reading session over a set of listeners that stand at the same position: pages of events in chain
	// order from q.From on. It ends without error when Next has passed q.Upto; a break closes it; a new session from
	// the last page's Next is always possible.
	//
	// Next passes a block only if the answering node holds q.Upto with that very hash; otherwise the sequence ends with
	// Unavailable. A ctx that is done ends it with Timeout: an end without error always means that Upto was reached. The zero
	// Upto is before block 0, so that there is nothing to read. Errors: Unavailable, Pruned, Timeout.
	Events(ctx context.Context, q *EventQuery) iter.Seq2[*EventPage, error]
}
