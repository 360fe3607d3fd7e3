// Package api is the HTTP face of a node: FireFly's REST interface, its OpenAPI document with a user interface, and the server
// that carries both and the WebSocket.
//
//	Server ─▶ api.ServeHTTP ─┬─ POST /       ─▶ command: decoded in one pass ─▶ Transactions
//	                         ├─ routes table ─▶ handler(request) ─▶ Transactions, Streams, Ready
//	                         ├─ /ws, ...     ─▶ Takeovers: sinks that clients connect to
//	                         └─ /api         ─▶ OpenAPI document (made from the same routes table), Swagger UI
//	                             error ─▶ errors.go ─▶ code, status, body
//
// Invariants:
//
//   - What the caller sends is used or refused: an unknown field, an unknown query parameter and a value of the wrong type are
//     400 with the name and what would be right. The aliases of older FireFly clients are known, and go to the streams as they are; what an
//     answer has and a request cannot set (id, status, checkpoint, ...) is read over, so that an answer can be sent back changed.
//   - Every route is declared once, in the table that both serving and documentation are made from.
//   - Bodies, pages, nesting and time are bounded.
//   - Codes and statuses are decided here, last, from typed errors; text is never matched.
//
// Failure: an error of an engine becomes the code of its cause; what is nobody's known cause is a defect: 500 with the id of the request,
// and the error itself in the log only. A panic is the same, with its stack; the server lives on. A caller that
// went away leaves no trace at the levels above debug.
package api
