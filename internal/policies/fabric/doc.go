// Package fabric is the policy for Hyperledger Fabric, where a transaction is made against a state that others may change before it commits.
//
//	ready ─▶ submit ──▶ taken ──▶ wait resubmitInterval ──▶ not in a block: the same envelope again, without limit
//	  ▲        │ failed
//	  │        ├─▶ nothing left: final (endorsement) ▶ Failed; else wait ▶ submit
//	  │        └─▶ open: wait ▶ look for it by its id ▶ the same envelope again
//	  │
//	  └── prepare afresh ◀── wait (conflictBackoff) ◀── final block: MVCC_READ_CONFLICT and the like, maxAttempts times at most
//	          └─▶ refused for good ▶ Failed; refused for now ▶ wait ▶ prepare afresh: that is no attempt
//
// Invariants:
//
//   - What counts against maxAttempts is attempts that lost a race on the chain. One that was replaced before it was sent, or a
//     preparation that failed, does not count.
//   - A fresh preparation is asked for only when nothing of the transaction can be on the chain any more. What it is answered is told
//     from what a send was answered by the state: LastError counts as its answer only while one is asked for.
//   - An envelope whose fate is open is sent again as it is. It has one id, so it commits at most once.
//
// When conflicts are not retried (policies.fabric.retryConflicts), the first one fails the transaction.
package fabric
