package confirm

import (
	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// batch is what was read of a ledger and is not stored yet. It is off until a position is stored.
type batch struct {
	on       bool
	instant  bool            // each block is final
	durable  ffcapi.BlockRef // the stored position
	reached  ffcapi.BlockRef // blocks up to here are in the batch, or were seen to hold nothing of ours
	rewind   *uint64         // what is stored of blocks above this one is to be undone first
	blocks   []store.BlockOutcomes
	txs      int
	unsaved  int    // blocks passed since the position was stored
	final    uint64 // as last given to the store
	hasFinal bool
	head     uint64 // as last given to the store
}

// add passes a block.
func (b *batch) add(ref ffcapi.BlockRef, outcomes []ffcapi.TxOutcome) {
	if len(outcomes) > 0 {
		b.blocks = append(b.blocks, store.BlockOutcomes{Block: ref, Outcomes: outcomes})
		b.txs += len(outcomes)
	}
	b.reached = ref
	b.unsaved++
}

// undo goes back to a fork.
func (b *batch) undo(fork ffcapi.BlockRef) {
	if !b.on || fork.Number >= b.reached.Number {
		return
	}
	b.reached = fork
	for n := len(b.blocks); n > 0 && b.blocks[n-1].Block.Number > fork.Number; n = len(b.blocks) {
		b.txs -= len(b.blocks[n-1].Outcomes)
		b.blocks = b.blocks[:n-1]
	}
	if b.durable.Number > fork.Number && (b.rewind == nil || *b.rewind > fork.Number) {
		b.rewind = &fork.Number
	}
}

// full reports whether the batch should be written before it grows.
func (b *batch) full() bool { return b.txs >= batchTransactions || len(b.blocks) >= batchBlocks }

// advance returns the write that stores the batch, or nil when there is nothing to write. head is the number of the newest block, final is
// the newest final one. A lazy write is one that may be left out if nothing of ours is in it.
func (b *batch) advance(ledger string, head uint64, final ffcapi.BlockRef, lazy bool) *store.Advance {
	hasFinal := !final.IsZero()
	// With instant finality outcomes were final when they were found. Else the final block may rise, and the head, on which transactions with
	// confirmations of their own wait; after a reorganisation it does so alone.
	risen := !b.instant && (head > b.head || hasFinal && (!b.hasFinal || final.Number > b.final))
	switch {
	case !b.on:
		return nil
	case b.rewind != nil || len(b.blocks) > 0:
	case lazy && !risen, !lazy && b.reached == b.durable:
		return nil
	}
	a := &store.Advance{
		Ledger: ledger, From: b.durable, To: b.reached, Rewind: b.rewind, Blocks: b.blocks,
		Final: final.Number, HasFinal: hasFinal, Lazy: lazy && b.rewind == nil,
	}
	if !b.instant {
		a.Head = &head
	}
	return a
}

// done notes that a was carried out.
func (b *batch) done(a *store.Advance, stored bool) {
	if stored {
		b.durable, b.rewind, b.unsaved = a.To, nil, 0
	}
	b.blocks, b.txs = nil, 0
	b.final, b.hasFinal = a.Final, a.HasFinal
	if a.Head != nil {
		b.head = *a.Head
	}
}
