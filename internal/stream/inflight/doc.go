// Package inflight turns the acknowledgements of batches, which come in any order, into the position of each listener that may
// be stored. It is pure: no context, clock, store or log.
//
//	Add(entry 0) Add(entry 1) Add(entry 2)      in the order of reading
//	Ack(1)                       nothing moves: entry 0 is open
//	Ack(0)                       entries 0 and 1 are done: every listener moves to what they cover
//	Snapshot ─▶ rows to store ─▶ Written(rows)
//
// An entry says for listeners what is covered once it and everything before it is acknowledged. A [Mark] speaks for a whole
// group of listeners that are read together, and costs the same for a thousand of them as for one; an [Own] speaks for one
// listener of which the entry holds an event.
//
// Invariants, checked against a simple model by random histories:
//
//   - The position of a listener never passes an event in an entry that is not acknowledged.
//   - Once everything is acknowledged the position is the newest mark: nothing is held back for ever.
//   - Positions only grow. An acknowledgement that is repeated or unknown changes nothing.
package inflight
