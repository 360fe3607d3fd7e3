// Package apitypes holds the JSON shapes of REST, WebSocket, webhook and broker payloads. It has no behaviour beyond encoding.
//
// The shapes are those of Hyperledger FireFly's Transaction Manager, so that its clients work unchanged. What Pyralis adds to them is
// marked "Pyralis" in comments; of a transaction it is progress, ledger and attempt, of a receipt result and reason. The tag doc of a
// field is its description, in the OpenAPI document as well.
//
// Conventions of the format: big integers are base-10 strings on output and strings or numbers on input; durations are Go duration
// strings on output and such strings or milliseconds on input; times are RFC 3339 with nanoseconds in UTC.
package apitypes
