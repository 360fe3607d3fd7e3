// Package fabric connects Hyperledger Fabric (2.4 and later, 3.x). A channel is a ledger.
//
//	Prepare ─▶ proposal, signed ─▶ gateway.Endorse ─▶ envelope, signed      kept by the core, bytes and all
//	Submit  ─▶ the same envelope ─▶ gateway.Submit ─▶ orderer               any number of times: one id commits once
//
//	with endorseAt: submit
//	Prepare ─▶ proposal, signed                                             kept by the core; no peer is asked
//	Finish  ─▶ the same proposal ─▶ gateway.Endorse ─▶ envelope, signed     kept by the core before the first Submit
//
//	Query   ─▶ gateway.Evaluate
//	Blocks ◀───── tail: one Deliver per channel, at the head ◀── decode.go (pure)
//	Events ◀─┴─── walk: a Deliver of its own, from further back until it meets the tail
//	Ledger, Receipt ◀── qscc of one peer
//
// # Before a node runs
//
// Diagnose (doctor_*.go) tries the way to each peer hop by hop with the same parsers and connections, and keeps each hop apart: what TLS has to say is lost once it is an
// error of a call. Complete fills in a configuration. Neither needs a Connector.
//
// # Addresses
//
// Request.To is "channel/chaincode", or a chaincode on the first of the configured channels; both may be in the options instead. Request.From is the name of an identity in the wallet. A
// parameter that is a JSON string is passed as its text, any other JSON as it is written. Options: channel, chaincode, transient
// (an object; values as parameters), endorsingOrganizations (MSP ids), init (the call initialises the chaincode).
//
// # Events
//
// A filter of a listener is {"channel","type",...}, see filter.go. A name in it may be an expression between slashes. The order of what a
// block gives is: for each transaction the event of its chaincode, the transaction itself, its writes as they stand in the read-write
// set; at last the block, as if it were one more transaction. So a position means the same whatever a listener asks for.
//
// # Invariants
//
//   - The outcome of a transaction is its first occurrence on the channel. A later one, which the peer marks DUPLICATE_TXID, is
//     never listed, so that a payload may be sent again at any time. Of several in one block the valid one counts: an invalid one before it,
//     which anybody may have sent, takes nothing from it.
//   - A block is read as protobuf reads it, however oddly a transaction is encoded: who signs it also chooses that. Ids of invalid
//     entries are those that peers index.
//   - The transaction id is that of the signed proposal, so that what is endorsed again for another send is still the same transaction. Only
//     gateway.Submit sends anything to an orderer: whatever fails before it has certainly not left (Sent: no).
//   - Only valid transactions give events: an endorsed event of an invalid transaction has not happened. Who asks for it nevertheless gets
//     it marked. Writes are those of valid transactions, always.
//   - Blocks follow one another by number and by hash, or the sequence ends with an error, also where a reader goes over from one peer to
//     another, or from its own stream to the tail. A session of Events passes a block only after it has seen Upto with its hash, on the
//     peer that it reads from or in the tail.
//   - A block of the tail is received and decoded once, and shared, and so is what is made of it: nothing in it changes. It keeps the message it
//     came in, and in bounds what was made of it (made.go); ring.go bounds how much that is. What leaves the connector is copied.
//   - What streams read ahead of their readers is bounded in bytes for all of them together (readahead.go); each may always hold one block.
//   - What no listener asks for is not decoded: neither read-write sets, nor what a transaction calls.
//   - Every call has a time limit of its own, within that of the caller. A peer that says nothing while something is under way is
//     probed (watch.go), so that one that is gone without a word is left within fabric.timeouts.silence.
//   - Certificates and keys are those of the files as they are, at most a second later, and never a mixture of old and new ones: what makes no sense
//     changes nothing.
//   - Nothing is kept but connections, parsed keys and the recent blocks of channels that are followed. Without a caller there run, beside gRPC, only the
//     tails and what probes a peer; Close ends both.
//
// # Failure handling
//
// errors.go, and nothing else, reads what Fabric says, and turns it into the kinds of ffcapi with the stage and every peer's words.
// Chaincode refusals are final; peers that disagree or are away are Unavailable. There is no retry here, with three exceptions:
// a call that got no answer because the peer or the way to it is gone (lost.go) is made again with the next peer, for nothing that is sent to a peer
// has an effect twice; a look at the ledger that one peer refuses is made at the next one (route.go), and fails only if all refuse;
// and a tail goes on by itself, at the very next block. Its readers are told when no peer is left, and when a block does not fit.
// Who then asks again is shown the block that is another, so that the core can stop the ledger. A peer that failed is left alone until it answers
// a probe (peers.go).
package fabric
