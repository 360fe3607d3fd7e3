// Package storetest is the suite that every store.Store passes: each promise of package store as a test.
//
//	New(t) ─▶ func() store.Store ─▶ subtests, each on a store of its own ─▶ closed, opened again where that matters
//
// It needs the race detector and a goleak.VerifyTestMain in the caller's package to see all it can find.
package storetest
