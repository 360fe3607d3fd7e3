// Package kafka delivers events to topics of Kafka, or of what speaks its protocol.
//
//	engine ─ Send ─▶ broker.Maker ─▶ records ─▶ client of franz-go ─ acks=all ─▶ leaders of the partitions
//	engine ◀─ done ───── what became of each record ◀───────────── answers ──────┘
//
// What an answer means, in the terms of package sink:
//
//	every record acknowledged by all replicas in sync     delivered
//	a record is too large by itself                       permanent: named, with its sizes
//	INVALID_RECORD                                        refused: the broker says no, and may be mistaken
//	anything else: no broker, no leader, no permission,   nothing is known about the batch: tried again for as long
//	an unknown topic, too few replicas, silence           as it takes
//
// # Order
//
// Records of one partition are taken in the order of the stream. Nothing leaves for the brokers before a batch is in the client's hands as a whole (conn
// waits for that), so that the client fails everything that stands behind a record of the same partition that fails. A record that the client does not
// put into its partition at once is the last that it is handed until the fate of that one is known, since it would fail before those behind it could.
// The idempotent producer has the brokers refuse what arrives out of order, or twice.
//
// # What is void
//
// A batch that ends before its answer has come is taken out of the client, and yet a request may be on the wire. The client is therefore kept, and not
// made anew, after a failure: it goes on with the next epoch of its producer id. What arrives of the epoch before is taken before what is sent after it, or
// refused by the broker: no leader takes an older epoch behind a newer one in the same partition. A sink that is closed and opened again has another
// producer id, and so has one whose topic was deleted and created again, since its client is then of no use any more; what was on the wire can only be what
// its successor sends again first, under the same message ids.
//
// # Invariants
//
//   - One batch is under way at a time, and done(nil) is called when every record of it is acknowledged.
//   - No work of the client outlives the Send that asked for it.
//   - Addresses are checked when they are connected to, those that brokers tell of as well.
//   - Secrets are read anew for each connection, and are in no error.
package kafka
