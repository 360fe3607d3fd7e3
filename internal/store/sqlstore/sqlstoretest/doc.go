// Package sqlstoretest opens stores for tests: each in a data directory or a database of its own, which is gone when the test
// has ended.
//
//	Open(t, "sqlite" | "postgres")  ─▶ a store
//	New(t, "sqlite" | "postgres")   ─▶ func() store     call it again after Close to open the same data
package sqlstoretest
