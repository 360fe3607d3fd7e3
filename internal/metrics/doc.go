// Package metrics is what operators measure: Prometheus metrics and OpenTelemetry spans. It is the only package that knows either.
//
//	engine ─▶ Stages.Begin ─▶ … ─▶ Span.End ─▶ histogram pyralis_transaction_stage_seconds{stage}
//	                                       └─▶ OpenTelemetry span, when tracing is on
//
// A transaction's stages are accept (from the request to the stored record), prepare (the connector's call inside it), send (each
// Submit) and confirm (from the first send to the end). Spans of one transaction share the trace of the request that brought
// it, as long as the process that accepted it lives; after a restart they begin traces of their own, and the attribute
// pyralis.transaction ties them together.
//
// Invariants: names and labels are stable, and no label has values that users make up (no ids, signers or names of contracts), so that the
// number of series is bounded. The exceptions are the name of an event stream and that of an identity: there are as many series of them as there are streams and
// identities, and they go with them. All types that count work as nil: then nothing is measured.
package metrics
