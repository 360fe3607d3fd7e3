// Package txn is the transaction manager: it accepts requests, sends what was accepted, and shows what became of it.
//
//	Submit ─▶ key? ─▶ Prepare ─▶ store.Accept ─▶ answer
//	                                  │ committed
//	                                  ▼
//	    schedule: a lane per signer, in the order of nonces ◀── a backlog, and after a restart all that is open: read in pages
//	                                  │ round robin              ▲ due: one heap of timers
//	                                  ▼                          │
//	    worker: load ─▶ policy ─▶ txstate ─▶ claim (stored) ─▶ connector.Submit ─▶ answer (stored) ─▶ wait
//	                                                                                                   │
//	    confirm writes outcomes from blocks ─▶ status log ─▶ tailer ─▶ OnStatus, schedule ◀────────────┘
//
// What may happen to a transaction is decided in package txstate; this package carries it out.
//
// Invariants:
//
//   - A request is answered with success only when it is stored. A client that leaves does not undo that.
//   - One idempotency key, one transaction. The key is looked up before Prepare, and again whenever Prepare or the store refuse:
//     somebody else may have been faster, and then the refusal is about what he did.
//   - No call of the connector is made with a lock held or a database transaction open; all have a deadline.
//   - The claim of a send is durable before its first byte leaves. What can still be refused without a send is done before the claim, so that
//     the refusal ends the transaction even if the process dies meanwhile.
//   - Where a chain has nonces, one Submit per signer is under way at most, in the order of the nonces: what comes later waits
//     until a node took what comes before, or until it is known that its nonce is used.
//   - While a node refuses one that it had taken before, those behind it that are out as well are not sent again: its own send goes first.
//   - Operations of users are written beside the workers: the version of the row decides who was first, and the other one begins again.
//     A suspended transaction keeps its place in line and holds no worker. What may have left is neither cancelled nor changed;
//     what became of it is asked for meanwhile, which is no send.
//   - A nonce is given back only if no send of its transaction ever began and no later one was assigned; else it is used up on the chain.
//     One that somebody else used is replaced by the next at the tail, once nothing of its transaction can be on the chain.
//   - After one of them has lost a race, transactions with a conflict key in common go one after the other: each is prepared in its turn, which
//     ends with its outcome, when it is suspended, or after a while. What is accepted meanwhile waits, too, since it would be in the way, and is
//     then prepared afresh. This saves attempts, and nothing that is right or wrong hangs on it.
//   - Of what waits for its first send, the next are in memory, for each signer some, and the rest is in the store only, see rest. What is there
//     comes after all of its signer that is in memory, but for what got a new nonce: that waits for it. So a backlog takes no memory, and one
//     signer's takes no other's place.
//   - Slots for sending are not held while a transaction waits for its block, nor for a ledger that is away: until that is there, no worker
//     gets anything of it.
//   - What ended long ago is removed only when no listener waits for a row of the status log about it, and its key goes on to say how it
//     ended: a request that comes again late is never sent again.
//   - Payloads are not kept in memory, but for a bounded number on their way from Submit to the first send.
//
// Failure: what cannot be stored is not done. When a worker cannot read or write a transaction, it lets go of it and reads it
// again later, like after a restart. Whether an Accept was committed when the store went away is found out by reading the open
// transactions. When the store is lost to another process, nothing more is sent.
package txn
