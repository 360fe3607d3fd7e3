// Package stream is the event engine: it keeps streams and their listeners, reads events up to the safe head, and delivers them to a
// sink, at least once and in order per listener.
//
//	safe head moves ─▶ reader ── pages ──▶ assembler ── batches ─▶ delivery ── Send ──▶ sink
//	                   one group per       encodes once            window, retries       │
//	                   position            by append               ◀──── done(nil|err) ──┘
//	                                                                  │ inflight: contiguous positions
//	                                                                  ▼
//	                         refused for good ─▶ dead letters ─▶   checkpointer ─▶ store
//
// A [Manager] has one worker per stream. A worker runs the stream: it takes a new epoch in the store, reads the checkpoints,
// verifies them against the chain, and reads and delivers until it is told to stop. Start, PATCH, suspend, resume, reset, a
// new listener and a take-over are all the same: the run is discarded and the next one starts from the durable checkpoint. Before a change
// the run comes to rest: nothing new is sent, and for a second what is sent may be acknowledged, so that a change repeats nothing. New listeners
// are taken in by a restart a little later, which those made meanwhile share, and which waits longer for what is sent.
//
// Listeners of type blocks deliver every block up to the safe head, each of which must follow the one before it. A book of recent blocks is
// shared by all of them in the process, so that each block is read once however many want it.
//
// A listener may end at a block. Its position never passes that block, so that it can go on there if the end is moved; a run leaves out
// those that have come to it.
//
// A listener may have two jq programs (package expr), which the assembler's goroutine runs over the event as it would be delivered: where
// decides whether it is, and the output of transform takes the place of its data, while the members that tell what and where it
// is stay. What is passed over moves positions as blocks with nothing relevant do. An event for which a program has no answer is
// handed over alone, as it was read, with the reason, behind all that was read before it.
//
// A position moves by deliveries, by a reset on request, which is logged and counted and has a dry run, and by nothing else but the rewind
// described below.
//
// Listeners of type transactions deliver the status changes of transactions in the same way. In the place of a ledger they read
// the status log, whose order is the order of commit; a position in it is a cursor whose block is a sequence of the log. One journal reads
// it for all of them, whatever their streams.
//
// What the configuration declares is written to the store before anything runs, and runs from there like everything else: declared.go
// checks it without a chain, declare.go compares it with what is stored and writes the difference. Import writes what another server had
// to the store of a manager that is not started.
//
// Invariants:
//
//   - A stored checkpoint is below every event that is not acknowledged, at every instant.
//   - At any instant no more batches have been sent whose positions are not stored than the window of the sink and MaxUnstored together: a
//     crash repeats no more. What would be one too many waits for the store. Of a sink that keeps no order, what is acknowledged behind a batch
//     that is not comes again besides; and while a sink refuses events, those of them that are looked past to find one that it takes, each in a
//     batch of its own, and the batch that it took in part.
//   - A run writes checkpoints under its epoch; the store refuses those of any other run, so a late write after a reset
//     changes nothing.
//   - A batch number is epoch·10⁹+n and never names two contents. A batch that comes again keeps its number; what was in flight behind
//     a failed batch goes again after it, under new numbers.
//   - Events enter only up to the safe head, a block number and hash, at the number of confirmations that the stream asks for or that is
//     configured. A page read from a block that is not on the canonical chain is
//     dropped and read again.
//   - Nothing is read while the sink has no receiver. Beyond the process-wide memory budget a stream reads one page at a time,
//     and only when it holds nothing; what it has of a batch goes as it is.
//   - Nothing is dropped: a batch that its receiver refuses is sent again for ever or, with errorHandling "skip", cut down to the event at fault,
//     which is done once it is durable as a dead letter. Absence, a broken connection and a timeout are held against no event, and neither is a
//     refusal by a receiver that takes nothing else. While a batch is cut down, nothing behind it is sent.
//   - An event is passed over only if a program says so: an error, too much work and more than one output are a refusal for good.
//   - A dead letter that is replayed goes the way of all events. It is deleted when it got through, and refused it is a dead letter again.
//   - A stream may name a second receiver, the outlet, for what is set aside. A dead letter goes there once it is stored, and its event is done when the
//     outlet has it or refuses it for good; while the outlet is away the stream waits and, after retryTimeout, counts as blocked.
//   - Nothing that the configuration says, or no longer says, moves a position or deletes one.
//
// The status of streams is put together when somebody asks: from the runs where there are any, else from one read of the store for all, and
// never by asking the chain. The time lag compares timestamps of blocks that were seen in passing, and is an estimate between those.
//
// Failure handling: a chain or a store that cannot be reached is tried again for ever, with growing waits, and shows in the
// stream's status. Delivery goes on without the store as far as MaxUnstored allows, and counts as blocked when it has waited for it for some
// seconds. A checkpoint whose block is no longer on the chain ends an instant-finality stream in the state failed, because that chain is
// another one; on a chain with confirmations the run restarts at the newest block known to be unchanged, which is logged and counted; some
// blocks are stored with each checkpoint, so that the next process knows them, too. All that a run reads of a ledger is of one chain; a run
// that finds otherwise ends, also when all its listeners are complete. A status log that was trimmed below a position ends the stream in the
// state failed; Consumed says how far it may be trimmed without that. A sink that panics fails the batch. A receiver that wants nothing any
// more has its stream suspended, with the reason.
package stream
