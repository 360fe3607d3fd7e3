// Package faultpoint names the places between the acceptance of a transaction and its end at which a test lets the process die or stand
// still.
//
//	PYRALIS_FAULTPOINT=after-claim=kill                  kill -9 at the first visit
//	PYRALIS_FAULTPOINT=before-submit=kill@3              at the third one
//	PYRALIS_FAULTPOINT=before-submit=hold:/tmp/held      the file appears, and the visitor goes on when it is removed
//	PYRALIS_FAULTPOINT=list                              print the points and end
//
// Several are separated by commas. All of this exists only in a binary that was built with -tags faultpoint.
//
// Invariants:
//
//   - Without the tag a visit is nothing at all: no instruction is left of it, and none of the names is in the binary. The variable
//     is then refused like any other that the configuration does not know.
//   - Every point of the list is visited somewhere in the code, and nothing else can be visited.
//   - A point acts on one visit. All others pass it, also while that one is held.
package faultpoint
