// Package broker is what the sinks for message brokers share: how their settings are read, shown and changed, how a batch becomes messages,
// and what is said of a batch of which only a part got through.
//
//	settings ─ Settings.Validate ─▶ stored ─ Settings.Reveal ─▶ connection
//	batch ─ Maker.Make ─▶ messages ─▶ broker ─ Outcome ─▶ done
//
// Invariants:
//
//   - A message has the same id at each delivery of its event (sink.Event.DedupID), in a header and wherever the broker looks for repetitions.
//   - Nothing of a batch goes to the broker behind an event that cannot become a message: what a receiver sees is in the order of the stream.
//   - A stored secret goes to no other target than the one it was given for, and is in no error.
package broker
