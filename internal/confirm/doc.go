// Package confirm follows the blocks of the ledgers in use. It knows which of our transactions are on the canonical chain, and how high
// the chain is final.
//
//	connector.Blocks ─▶ reader ─▶┐
//	                             ├─▶ run ─▶ chainview ─▶ Safe, Head, Canonical (memory; wakes who waits)
//	connector.Ledger ─▶ watch ──▶┘     │
//	                                   └─▶ line ─▶ batch ─▶ store.Advance: outcomes and position in one transaction
//	                                        ▲
//	connector.Receipt ◀──────────────▶──────┘  where blocks do not tell outcomes
//
// # Following
//
// A ledger is followed from its stored position, so after a restart outcomes come from the blocks that were missed. A ledger on
// which nothing was submitted has no position and is followed from its head at once; [Engine.Ready] stores one before the first
// Submit. Everything that can go wrong ends the run: the next one starts from the durable position, after a jittered
// back-off unless the last one got somewhere. That is the only way to restart.
//
// A run first asks for the ledger's identity and for the block at its position. Then it starts there, or, without instant finality, so
// many blocks lower that the final block is known from the start: blocks up to the position are looked at and not applied again.
//
// # Safe and final
//
// Safe is what may be read, SafeAt the same for another number of confirmations; they do not wait for outcomes. While a run catches up
// from an old position, what the node says is final counts, provided the node holds the block at our position; the walk checks it
// when it gets there. Safe falls only when a reorganisation replaced final blocks. Outcomes become final with the linked blocks
// alone. With instant finality every block is final, whatever number of confirmations is configured.
//
// A transaction may ask for a number of confirmations of its own, smaller or larger than the ledger's: the store is told the newest
// block with each write and finds what is final at that height. With 0 on a chain that reorganises, it ends as soon as a
// block holds it, and stays ended when that block goes away.
//
// # Reorganisations
//
// The view finds the fork among the hashes that it retains. Below these it can only assume one: then the stored blocks of outcomes that
// are still open are compared with the node's, down to one that stands, and the ledger is read again from there.
//
// # Invariants
//
//   - The stored position and the outcomes of the blocks up to it are written together. A block without anything of ours may be passed
//     without a write for a while (1000 blocks or 10 s): those blocks are read again after a crash.
//   - Outcomes are stored in the order of blocks. A receipt that cannot be had holds up those of later blocks, and the position; it holds up
//     neither the safe head nor the questions for other receipts. At most 10 000 blocks wait for one.
//   - A block's outcomes are undone in the same write that stores what replaced it.
//   - One goroutine per ledger changes its view and writes its position.
//   - No lock is held while the connector or the store is called.
//
// # Failure
//
// A changed hash on an instant ledger, another ledger under the same name, and blocks that are gone before they were read stop the ledger
// for good: [Engine.Failed] tells why, Safe answers that nothing is safe, and an alarm is logged. So does a fence that is no
// longer current. While the store cannot be reached or is full, the same write is repeated. A connection that is half open
// never errors: when the node's head is above ours for 30 s without a block, the run ends.
package confirm
