// Package webhook delivers events by HTTP: each batch is one POST, and an answer 2xx is its acknowledgement.
//
//	engine ─ Send ─▶ secrets resolved ─▶ signed ─▶ POST ─▶ netguard ─▶ receiver
//	engine ◀─ done ───────── judged by its status ◀──────── answer ──────┘
//
// The body is the array of events as FireFly sends it, or with the format "envelope" the array within an object. With a secret the request is signed as
// Standard Webhooks 1.0.0 says. The headers webhook-id and webhook-timestamp are there in any case: a receiver that knows the id has had the
// batch before.
//
// What an answer means, in the terms of package sink:
//
//	2xx                                   delivered
//	429, 503 with Retry-After             tried again then
//	410                                   gone: the stream is suspended
//	400, 403, 413, 415, 422, most 4xx,    refused: the receiver had the batch and said no
//	500, 501
//	3xx, 401, 404, 405, 407, 408, 429,    nothing is known about the batch: tried again for as long as it takes
//	other 5xx, 101, a broken connection
//
// No answer says that the content is at fault for good. A receiver that was deployed with a mistake refuses everything with whatever status it likes, and must
// not empty a stream into its dead letters; the engine wants evidence that it takes other events.
//
// Invariants:
//
//   - Redirects are not followed: headers and signed content would go where nobody configured them to go.
//   - The address is checked when it is connected to (package netguard).
//   - Secrets are read anew for each request, and are in no error and no answer: what a receiver sends back is searched for them before
//     it is shown.
//   - A secret that is stored is sent to no other URL than the one it was given for.
package webhook
