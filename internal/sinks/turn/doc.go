// Package turn is for sinks that deliver one batch at a time, within Send: it keeps the batches in their order, and ends what is under way when the sink is closed.
//
//	Send ─ waits for its turn ─ deliver ─▶ done        Close ─ cancels ─ waits for its turn ─▶ last
//
// Invariants:
//
//   - There is one delivery at a time, and none begins after Close.
//   - done is called once, when the turn is over. A delivery that panics gives its turn back, too; done is then left to who recovers.
package turn
