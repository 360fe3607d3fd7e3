// Package ffcapitest states what package ffcapi promises as tests that every connector passes.
//
//	factory ──▶ Fixture {connector, contract, knobs} ──▶ Run: one sub-test for each promise
//
// [Features] says what applies to a chain, the [Contract] of a fixture how to make a transaction on it, and its knobs how to make it
// misbehave. A promise that needs a knob which a fixture does not offer is skipped, by name, so that a report shows what a
// chain was not asked.
//
// The suite tolerates a ledger with a past and with other users: it looks at its own transactions only, and at the blocks from
// the head that it found. So one real network can serve all of it. What leaks shows when the caller's TestMain runs goleak.
package ffcapitest
