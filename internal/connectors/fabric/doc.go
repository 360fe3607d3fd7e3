// Package fabric connects Hyperledger Fabric (2.4 and later, 3.x). A channel is a ledger.
//
//	Prepare ─▶ proposal, signed ─▶ gateway.Endorse ─▶ envelope, signed      kept by the core, bytes and all
//	Submit  ─▶ the same envelope ─▶ gateway.Submit ─▶ orderer               any number of times: one id commits once
//
//	with endorseAt: submit
//	Prepare ─▶ proposal, signed                                             kept by the core; no peer is asked
//	Submit  ─▶ the same proposal ─▶ gateway.Endorse ─▶ envelope ─▶ gateway.Submit ─▶ orderer
//
//	Query   ─▶ gateway.Evaluate
//	Blocks, Events, Block ◀── Deliver of one peer ◀── decode.go (pure)
//	Ledger, Receipt       ◀── qscc of the same peer
//
// # Addresses
//
// Request.To is "channel/chaincode", or a chaincode on the first of the configured channels; both may be in the options instead. Request.From is the name of an identity in the wallet. A
// parameter that is a JSON string is passed as its text, any other JSON as it is written. Options: channel, chaincode, transient
// (an object; values as parameters), endorsingOrganizations (MSP ids), init (the call initialises the chaincode). A filter of a listener is
// {"channel","chaincode","event"}: event is a name, or an expression between slashes, or absent for all events.
//
// # Invariants
//
//   - The outcome of a transaction is its first occurrence on the channel. A later one, which the peer marks DUPLICATE_TXID, is
//     never listed, so that a payload may be sent again at any time.
//   - The transaction id is that of the signed proposal, so that what is endorsed again for another send is still the same transaction. Only
//     gateway.Submit sends anything to an orderer: whatever fails before it has certainly not left (Sent: no).
//   - Only valid transactions give events: an endorsed event of an invalid transaction has not happened.
//   - Blocks follow one another by number and by hash, or the sequence ends with an error. A session of Events stays with one
//     peer, and passes a block only after that peer has shown Upto with its hash.
//   - Looking at the ledger asks the very peer whose blocks are read. (gateway.Evaluate may ask any.)
//   - Every call has a time limit of its own, within that of the caller. A stream that says nothing is probed, so that a peer
//     that is gone without a word is noticed.
//   - Nothing is kept but connections and parsed keys. No goroutine outlives the call that started it, but those of gRPC.
//
// # Failure handling
//
// errors.go, and nothing else, reads what Fabric says, and turns it into the kinds of ffcapi with the stage and every peer's words.
// Chaincode refusals are final; peers that disagree or are away are Unavailable. There is no retry here. A peer that is not
// available makes the next call go to the next peer of the organisation.
package fabric
