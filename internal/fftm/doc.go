// Package fftm reads the event streams, listeners and positions of a FireFly Transaction Manager, so that they can be taken over.
//
//	ReadDatabase ─▶ its LevelDB, while it is stopped ──┐
//	                                                   ├─▶ []*apitypes.MovedStream, oldest first
//	ReadAPI ─▶ its REST API, while its streams run ────┘
//
// What the two know differs in the positions. The database has the checkpoints, which are behind what was acknowledged. The API shows how far
// the connector has read, which may be ahead of it: what was read and is not acknowledged yet would be lost. So a position of the API is only
// worth something if it is set back, or if nothing is under way.
//
// A checkpoint names the last event that was delivered, or a block below which everything was. It becomes the position of that very event or
// block, so that at most one event comes again for each listener, and none is missed.
//
// Invariants: nothing is written, neither to the database nor over the API. What FFTM took and Pyralis refuses is brought into bounds, with
// a note that says so.
package fftm
