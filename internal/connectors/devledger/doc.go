// Package devledger is an embedded ledger: a chain in one process, for development, tests and load tests.
//
//	Prepare ─▶ run on the newest block, encode      (no effect)
//	Submit  ─▶ pool ──┐ in memory, lost at a crash, as a node's is
//	                  ▼
//	             producer ─▶ execute ─▶ append, fsync ─▶ index, assets, nonces ─▶ wake the readers
//	                  │                  blocks.log          in memory
//	                  └ one goroutine, the only writer
//	Blocks, Events ◀── entry by number in memory, content from the log
//
// It has one contract, "assets":
//
//	create(id, value)    the signer becomes the owner; refused if the id exists      event AssetCreated {id, value, owner}
//	update(id, value)                                                                event AssetUpdated {id, value, owner}
//	transfer(id, owner)                                                              event AssetTransferred {id, from, to}
//	delete(id)                                                                       event AssetDeleted {id}
//	fail(message)        always refused, with that message
//	read(id), list()     queries; list is sorted by id and ends after 1000
//
// A value is any JSON. Everybody may be a signer, and may change any asset: who may do what is not what this ledger is for.
//
// Prepare executes on the newest block, so that it refuses what fails now. What fails only in its block, such as a create that
// loses a race, is in the block as failed, and uses its nonce up.
//
// # Invariants
//
//   - A block is on the disk before anybody sees it. The disk is not touched while a lock is held.
//   - Memory holds 48 bytes for each block, 24 for each transaction, and the assets that exist; never a decoded history. A
//     ledger that is not durable keeps the encoded blocks in memory, too.
//   - The first occurrence of a transaction's hash counts. The hash is that of the payload, or, with nonces, of signer, nonce, gas limit,
//     fee and payload. So a payload without nonces carries salt and its hash is known from Prepare on, unless
//     Config.HashAtPrepare is off; with nonces it is known from Submit on.
//   - The genesis block holds a random identity: a ledger that was wiped is another one.
//
// # Nonces, gas and contracts
//
// A sequenced ledger is like an EVM chain. Each signer's transactions carry consecutive nonces, and use them up whether they succeed or fail.
// What comes after a gap waits in the pool, up to Config.FutureNonces ahead. Of two transactions with one nonce the one that offers
// more for gas stays, then the one that cancels, then the first; the other is refused as underpriced, and once the nonce is on the
// chain as nonce_too_low. Cancel prepares a transaction that does nothing but that.
//
// A call uses 21000 gas, 16 for each byte of its id and argument, and 32000 to deploy. Where the limit is lower it fails
// in its block, out of gas. Config.GasPrice is what gas costs at least; with Config.Balance each signer has so much to pay for it.
//
// A deployment of the code "assets" makes another contract of that kind under the name that is its parameter.
//
// # Faults
//
// [Faults] go wrong by chance or by the number of blocks, [Knobs] when a test says so: lost answers, duplicates, a node that
// forgets, reorganisations. Both are off unless they are turned on.
//
// # Synthetic load
//
// With [Config].Synthetic the ledger has a history that is generated while it is read, and each new block carries made-up events
// named "E", whose data tell when they were made. Event i of a block claims index i; real transactions come after. Made-up events
// belong to no transaction that Blocks or Receipt would know. Filters are {"event":"E","mod":M,"rem":R}: those with
// i%M == R. Such a ledger is in memory whatever Config.Durable says, so that hours of blocks cost 24 bytes each and no disk; its
// history is the same in each process, what comes after is not.
//
// # Failure
//
// A crash can leave one unfinished block at the end of blocks.log: it is cut off at the next start. Damage before a whole block
// stops the start, because what follows was once visible. While a block cannot be stored, the producer tries again and
// Health tells why; the pool fills up to its bounds and then answers RateLimited.
package devledger
