// Package ffcapi is the contract between Pyralis and a blockchain.
//
// A chain is connected by implementing [Connector] and, where the chain has them, the capability interfaces in
// capability.go ([Sequencer], [FeeEstimator], ...), which the core finds by type assertion. A connector is small,
// stateless and neutral: the core calls and the connector never calls back; it owns no cursor, no retry and no queue.
//
//	core ── Prepare ─▶ Submit ─────────────▶ chain        (send a transaction)
//	core ◀─ Blocks ─────────────────────────  chain        (outcomes, confirmations, the canonical chain)
//	core ◀─ Events(From, Upto, listeners) ──  chain        (pages of decoded events, never beyond Upto)
//	core ── Query, Receipt, Block, Ledger ─▶  chain        (look-ups)
//
// # Ledgers
//
// A connector serves one or more ledgers. A Fabric channel is one ledger; an EVM chain has just one, named "". Blocks,
// cursors and finality belong to a ledger. The connector says to which ledger a request or a listener belongs
// ([Prepared].Ledger, [Listener].Ledger); the core follows the ledgers in use.
//
// # What the core promises
//
//   - It never calls with a lock or a database transaction open.
//   - Every call but the two iterators carries a deadline.
//   - On a [Sequencer] chain at most one Submit per signer is under way, and Submits come in nonce order.
//   - Concurrency is bounded. Duplicate blocks, outcomes and events are tolerated.
//
// # What a connector promises
//
//   - It is safe for concurrent use and returns soon after the context is done.
//   - It reports every failure as [*Error]; the kind decides what happens next, so text is matched in the connector only.
//   - Prepare has no effect on the ledger. The same [Submission] given any number of times has at most one effect.
//   - Blocks and Events never skip. Where a node cannot tell, the answer is [Unavailable], never a short page.
//
// The suite in package ffcapitest states each promise as a test. Everything here can be served over gRPC: no channels
// or callbacks cross the contract, and both iterators are server streams.
package ffcapi
