// Package txstate decides what happens to a transaction. It is pure: no context, clock, store or log, so that every order of events
// can be tried out.
//
//	Step(state, input) → (state, effects)
//
//	 Prepared ──send──▶ Submitting ──taken──▶ Tracking ──final block──▶ Succeeded | Failed
//	    ▲                │      ▲                │ ▲ └─ not in a block ─▶ Stale ──the same bytes──▶ Tracking
//	    │          no answer    └─the same bytes─┐ └── block undone
//	    │                └───▶ UnknownOutcome ───┘
//	    └── prepared afresh, once every attempt is dead
//
// Invariants:
//
//   - A send is claimed before it starts: effects that say Send with Write must be durable before the first byte leaves. A send
//     needs no write when the attempt is already stored as one that may be out.
//   - An attempt is dead only if a final block holds it as failed, the chain is final past its last block, another attempt that
//     excludes it is final, or it was never claimed or every send under a claim that is still current certainly left
//     nothing. Errors, time-outs and "not found" prove nothing.
//   - Only when every attempt is dead is a new payload prepared or the transaction failed; and where it holds a nonce, only when the chain
//     has used that nonce.
//   - Suspended stops sends and nothing else. Cancelled is final only when the nonce, if there is one, is used or given back.
//   - Another transaction with the nonce, in a final block, ends all attempts with that nonce.
//   - The first outcome that is final ends an attempt. Succeeded and Failed are never left and never rewritten.
//   - What an attempt offers is fixed with its first send. Another fee makes another attempt, and only where a nonce lets at most one of
//     them on the chain. Each stays tracked until that nonce is used for good.
//   - An attempt that was sent and is in no block is sent again with the same bytes, for as long as it takes.
//
// The policy engine's decisions are inputs like any other: one that would break a rule is not carried out, and the engine is asked
// again later. [Rule] is the same machine in the form in which the store applies outcomes.
package txstate
