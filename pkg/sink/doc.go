// Package sink is the contract between the event engine and what delivers events: WebSocket, webhook, a broker.
//
//	engine ── Send(batch n, done) ─▶ sink ─▶ receiver
//	engine ◀─ done(nil | error) ───  sink ◀─ acknowledgement
//
// The engine surrounds a sink: retries, back-off, window, checkpoints, metrics, stopping and panics are the engine's. A sink only
// gets a batch to a receiver and says what became of it.
//
// # Numbers and order
//
// A batch number never names two contents. A batch that comes again, because it failed, comes with the number it had and a higher Attempt,
// so that an answer to an earlier sending still counts. When a batch fails, those sent after it are void: the context of
// their Send ends, the sink forgets them, and what was in them comes again after the failed one, under new numbers.
//
// # Who calls what
//
// The engine calls Send from one goroutine, in order of the numbers except for batches that come again. Wait and Window may be
// called at any time from any goroutine. Close comes last, when no Send is under way.
//
// The suite in package sinktest states each promise as a test.
package sink
