// Package store declares what Pyralis keeps, by aggregate. Package sqlstore implements it; storetest is the suite that
// every dialect passes.
//
//	txn ────▶ Transactions ─┐
//	confirm ▶ Ledgers ──────┼─▶ one database; one writer that groups concurrent commands into one commit
//	stream ─▶ Streams ──────┤
//	tailer ◀─ StatusLog ◀───┘
//
// Rules that hold for every method:
//
//   - When a write returns nil, it is durable. Concurrent writes may share one commit; one that fails never fails its
//     neighbours, and a write whose caller left (context done) may still be carried out.
//   - Every write of an engine carries a [Fence]. A write whose fence is no longer current changes nothing and returns
//     [ErrFenced].
//   - A state change and its side records (status log, history, keys, counters) are one database transaction.
//   - Returned values belong to the caller. Byte slices passed in are not kept after the call returns.
//   - Times are stored with microseconds, in UTC.
//
// Errors are the sentinels of this package, wrapped with the id, or the database's own.
package store
