// Package client talks to a node: a [Client] over REST, and a [Consumer] that receives the events of a stream over a WebSocket,
// acknowledges them, and reconnects.
//
//	c := client.New(client.DefaultURL)
//	tx, replay, err := c.Submit(ctx, &client.Invocation{ID: "order-17", From: "alice", To: "assets", Method: "create", Params: []any{"car-1"}})
//
// Invariants: a call is sent once; repeating it is the caller's decision, and harmless for a Submit with an ID. Every call ends with its
// context, or after two minutes.
//
// Failure: an answer that is no success is an [*Error] with the status and the server's words; anything else (no connection, no
// answer) is not, so that its effect is open.
package client
