// Package amazon is what the sinks for SQS and SNS share: both take up to ten messages in a call, answer for each of them, and keep the order of the
// messages of a group if a name ends in .fifo.
//
//	batch ─ broker.Maker ─▶ messages ─▶ rounds of calls ─ AWS SDK ─ netguard ─▶ Service
//	done ◀─ broker.Outcomes ◀─────────── what became of each ◀──────────────────┘
//
// Invariants:
//
//   - FIFO: a call holds one message of a group at most, and the next one of that group goes when it is acknowledged. What was not taken so never
//     has a later one of its group before it. The message id is the de-duplication id: what was taken and not acknowledged is not taken twice.
//   - There is one batch at a time, and a call that is given up is cut off. What AWS has of it by then may still be taken: in a FIFO target only once,
//     since what is sent again has the same id.
//   - The SDK repeats a call once, and only over a connection that broke.
//   - What a stream names is connected to through the guard; only where the machine itself gets its credentials from is not.
//   - A client is made with the credentials as they are then, and a new one after a call that failed.
package amazon
