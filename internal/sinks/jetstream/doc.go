// Package jetstream delivers events to a stream of NATS JetStream: each event, or each batch, is one message, and the server's acknowledgement is the
// delivery.
//
//	engine ─ Send ─▶ messages ─▶ published in a chain ─▶ NATS ─▶ stream
//	engine ◀─ done ──── all are acknowledged ◀──────── answers ────┘
//
// A message carries its id (sink.Event.DedupID) as Nats-Msg-Id, so that the stream drops it when it comes again within the duplicate window, and
// the stream's name as Nats-Expected-Stream, so that no other stream takes it.
//
// # Order
//
// NATS may lose a message and take the next one: a server drops what comes too fast or does not fit, a route between servers breaks, another server
// takes the lead of the stream. Nothing may be stored behind such a gap, so the stream itself is made to look:
//
//   - A stream with one replica gets messages without a wait between them, up to maxWindow, and each but the first of them says which one must
//     be the last of the stream (Nats-Expected-Last-Msg-Id). The server looks whether it knows the message before it looks at that, so that
//     repetitions pass. A message behind a gap is refused. So is one behind a message of somebody else who publishes to the stream: then
//     that message is the first of a new chain, and chains become shorter while that goes on.
//   - A stream with more replicas gets one message at a time. Only what the group has agreed on counts there, and a replica that has come to know
//     the stream from a snapshot may not know the id of the last message. If the stream allows atomic publishing (allow_atomic), messages go in
//     groups that are stored as a whole or not at all; what is in a refused group goes one at a time.
//
// A connection is never repaired behind the back of a delivery. If it breaks, or a batch is void while messages are unanswered, it is closed with all
// that was not sent yet, and the next delivery opens another one. What the server had read by then may be stored later: at most the beginning of
// a chain, of which the same messages come again first, so that whatever the mixture, the first occurrence of each message is in order.
//
// Invariants:
//
//   - A batch is done when every message of it was acknowledged, as new or as a duplicate.
//   - Nothing is stored behind a message that is still to come.
//   - Names are resolved and connections made by netguard; secrets are read anew for each connection, and are in no error.
package jetstream
