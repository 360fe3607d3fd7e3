// Package chainview keeps the canonical chain of one ledger as the blocks tell it: the newest hashes, and how high the chain is
// final. It is pure: no context, clock, store or log, so that every history can be tried out.
//
//	Step(block) ──▶ Extended                     the block is the new head
//	                Repeated                     nothing new
//	                Reorganised{Fork}            everything above Fork is undone; the block is the new head
//	                Gap{From}                    blocks are missing: walk from there
//	                Fetch{Number}                another branch: give the canonical block of that number to Step
//	                Broken{Reason}               this cannot happen on an honest chain: an alarm
//
//	      marks (sparse)              refs (dense)                  ahead
//	  ──●─────────●─────────●────┤■■■■■■■■■■■■■■■■■■■■■├─ ─ ─ ─ ─ ─ ─ ─◆
//	                               low      safe     head       final, says the node; not reached yet
//
// # Finality
//
// With instant finality each block is final, and a hash that changes is Broken. With N confirmations a block is final when N
// blocks follow it. The safe head then only rises, unless a reorganisation goes below it: it falls to the fork.
//
// While the view catches up from an old position, Announce tells it of a block that is final already. Safe rises to it
// at once; Final, which counts linked blocks only, follows when the walk gets there. If the walk finds another block there the
// announcement is void.
//
// # Reorganisations
//
// The parent of each block is compared with what is known. When the parent is unknown to this branch, Step asks for it with Fetch,
// and goes down block by block until a parent fits. When the fork is below the dense hashes, it asks for the sparse ones,
// highest first, and Fork is the first that still stands: at or below the real fork, never above it. When none of them stands,
// as after a restart with a single known hash, it assumes a fork as many blocks below the lowest known one as it retains:
// whether the real one is deeper the caller has to find out.
//
// A search needs no end: a Step of any other block than the one asked for starts afresh.
package chainview
