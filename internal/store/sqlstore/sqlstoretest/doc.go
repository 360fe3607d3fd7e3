// Package sqlstoretest opens stores for tests: each in a data directory or a database of its own, which is gone when the test
// has ended.
//
//	Open(t, "sqlite" | "postgres")      ─▶ a store
//	NewPlace(t, "sqlite" | "postgres")  ─▶ a place ─▶ Open, Close, Open again; Exec runs SQL beside the store
//
// The databases are copies of a template that stays on the server for the next run.
//
// TEST_POSTGRES_URL names the PostgreSQL server; its user must be allowed to create databases.
package sqlstoretest
