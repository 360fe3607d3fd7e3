// Package survive makes errors of the panics of connectors, which are somebody else's code.
//
//	engine ─▶ survive.Call / Seq / defer survive.Panic ─▶ connector
//	            └─ panics ─▶ told the stack ─▶ *ffcapi.Error{Internal, Sent: maybe}
//
// Ending the process would cost every transaction and stream, and again after each restart, since what the connector panics over is
// stored. As an error it costs what it is about, and goes the way of every other error of a connector: tried again, or answered.
//
// Invariants: a panic says nothing about what has left; a panic of the caller's own code is not caught, not even in the body of a loop
// over Seq.
package survive
