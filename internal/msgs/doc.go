// Package msgs is the list of everything that can go wrong for a caller of the API: one code, one HTTP status and one text per cause.
//
//	engine's error ─▶ internal/api decides the cause ─▶ Code.Text(ctx, inserts...) ─▶ {"error":"PY10nnn: ..."}
//
// Invariants: a code is never given to a second cause and never used again; clients may decide by it, not by the text. The
// first digits group them: PY100 the request, PY101 what the store holds and the state of the node, PY102 the chain, PY109 defects.
//
// The texts are registered with FireFly's catalogue, so that a language set in the context selects a translation. That catalogue is
// global to the process and refuses a second registration, so it happens once, at the first text, however many nodes there are.
package msgs
