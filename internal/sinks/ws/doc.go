// Package ws delivers events over WebSockets, in FireFly's dialect: listen, ack, error (or nack), unlisten, listenreplies. README.md
// ("Over a WebSocket") describes it to those who use it.
//
//	engine ─▶ owner (one per stream) ─ {connection, stream, batch number, bytes} ─▶ hub ─▶ connection ─▶ client
//	engine ◀─ owner ◀───────────────── {connection, stream, batch number} ────────── hub ◀─ connection ◀─ client
//	          ├ lanes:  each batch to one connection (load_balance, parallel)
//	          └ copies: each batch to all (broadcast)
//
// The hub keeps the connections and what they listen to. An owner decides for one stream which connection gets a batch and whose
// acknowledgement counts. They exchange plain values, never pointers, so that they can live in different processes.
//
// Invariants:
//
//   - An acknowledgement counts only from a connection that was sent that very batch number, and from every such: one that is late
//     because its client is slower than the timeout still counts. What waits to be written was not sent yet.
//   - load_balance: one connection holds the whole window of a stream, so order holds whatever the number of clients. Another one takes over
//     when nothing is in flight or the holder is gone.
//   - parallel: each connection has a window of its own.
//   - load_balance and parallel: a connection that lets a batch time out gets none while others answer, until it answers for one that it
//     was sent, however late.
//   - broadcast: a batch is done when one connection took it and the others took it or left. Who took it is not sent it again. Who joins gets
//     what is in flight, so that nobody is sent a batch before an older one.
//   - Who listens with voids true is told of every batch that is taken from it while it listens, but for the one that it did not answer in
//     time: its answer to that one still counts.
//   - Nothing is sent between the moment a batch fails and the moment the engine knows it: what is behind it would overtake it.
//   - Whatever a client does wrong is answered with an error frame and harms no other client; the connection stays open unless
//     the client sends more than the read limit or does not read what it is sent.
//   - What waits for a client is bounded: batches by the window, replies by bytes, error frames by number and length. A client with more
//     replies than that is closed with 1013, and nobody else notices.
//   - Streams are known by their ids. Who listens by a name listens to the stream that had it then, and is told when that stream is renamed,
//     deleted or of another type: looked for each second while its sink is not open.
//
// Failure handling: a connection that ends gives back its batches at once, for the next one. A batch that is not acknowledged in time
// moves to another connection or, if there is none, is sent again, each time after twice as long; who holds up a broadcast that others took is cut
// off. A client that is pinged and does not answer, or does not read for the time of the write deadline, is cut off.
package ws
