// Package lifecycle says how everything long-lived in Pyralis starts and stops, and owns the goroutines in between.
//
//	StartAll ─▶ a.Start ─▶ b.Start ─▶ c.Start          one fails: those before it are stopped again, in reverse
//	                          │
//	                          └─ Group.Go("reader", fn) ──▶ fn(ctx) until ctx is done
//	                                                          ▲
//	StopAll  ─▶ c.Stop ─▶ b.Stop ─▶ a.Stop ─ Group.Stop: cancel with ErrStopped, wait, name what is still running
//
// Invariants:
//
//   - A goroutine belongs to exactly one Group. Stop returns nil only when all of them have returned.
//   - A service lives once: after Stop it cannot be started again. Suspend and resume, reset and takeover make a new one from
//     the durable state, so there is one code path for all of them.
//   - The context of Start bounds the start and lends its values. Its end does not stop a service that has started: only
//     Stop does, so that a node stops its parts in the order it chooses.
//
// Failure: a Stop that runs into its context returns that context's error with the names of the goroutines that are
// still running. They stay cancelled, and a later Stop waits for them again.
package lifecycle
