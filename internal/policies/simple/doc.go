// Package simple is the policy for chains on which a transaction that was prepared stays good.
//
//	ready ─▶ submit ──▶ taken ──▶ wait resubmitInterval ──▶ not in a block: the same bytes again, without limit
//	  ▲        │ failed
//	  │        └─▶ wait (doubling, full jitter, at least what the node asked for) ──▶ submit
//	  └── prepare afresh ◀── likewise, when the connector says that it can no longer be sent (Conflict) and nothing has left
//
// Where a chain has nonces, it can offer more (policies.simple.bump): after some resubmissions, and when a node says that a fee is
// too low. The core then sends a replacement with the same nonce.
//
// It fails a transaction when the chain did, or when maxAttempts sends in a row certainly did not leave. What lost a race on the chain is
// not prepared afresh. All waits are derived from the transaction's id and the engine's own state, so that Decide is pure and a
// thousand transactions that fail together come back spread out.
package simple
