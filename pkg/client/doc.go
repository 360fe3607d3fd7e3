// Package client talks to a node: a [Client] over REST, and a [Consumer] that receives the events of a stream over a WebSocket,
// acknowledges them, and reconnects.
//
//	c := client.New(client.DefaultURL)
//	tx, replay, err := c.Submit(ctx, &client.Invocation{ID: "order-17", From: "alice", To: "assets", Method: "create", Params: []any{"car-1"}})
//
// A consumer keeps one connection:
//
//	server ── batches, up to Window ─▶ inbox ── one at a time ─▶ Handle
//	server ◀── ack (nil), nack (error) ────────────────────────────┘
//
// Invariants: batches come to Handle one at a time and in order; what is void, because a batch before it failed or the stream was changed,
// is dropped before Handle sees it; twice Window batches are kept at most, besides the one that is handled. A call is sent once; repeating it
// is the caller's decision, and harmless for a Submit with an ID. Every call ends with its context, or after two minutes.
//
// Failure: an answer that is no success is an [*Error] with the status and the server's words; anything else (no connection, no
// answer) is not, so that its effect is open. A consumer's connection that breaks is made again after a growing, jittered wait, and listens
// again; what was not acknowledged comes again.
package client
