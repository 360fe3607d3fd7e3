package sqlstore

import "context"

// anyRows is for a write that may touch any number of rows.
const anyRows = -1

// session is the writer's connection. Statements are carried out in the order in which they were queued, some at once, all of them
// before flush returns. The first error sticks: what follows is skipped, flush and commit return it, and only rollback
// clears it. A session is used by the writer's goroutine alone.
type session interface {
	// attach lends the context of the writer's goroutine: when it ends, the session stops waiting for a database that is away. It
	// still finishes what it is doing.
	attach(ctx context.Context)
	// begin opens a transaction.
	begin()
	// exec queues a write. Another number of rows than want is an error, errRows, unless want is anyRows.
	exec(id stmtID, want int64, args ...any)
	// bulk queues writes of many rows, each of which must touch one.
	bulk(id stmtID, rows [][]any)
	// query queues a read. each gets the rows; a row is valid during the call only, its values stay valid.
	query(id stmtID, each func(r row) error, args ...any)
	// claim queues inserts of keys, filling in numbers for new transactions, ascending, and reports those that were not there yet.
	claim(rows [][]any, inserted func(key string, seq int64))
	// reserve queues the assignment of n more such numbers.
	reserve(n int, each func(seq int64))
	// lockLog queues what makes the order of the status log the order of commit.
	lockLog()
	// texts and ints make the argument of a list.
	texts(v []string) any
	ints(v []int64) any
	// fail spoils the transaction.
	fail(err error)
	// flush returns when everything queued was carried out.
	flush() error
	// commit flushes and commits. It returns nil only for a transaction that is durable.
	commit() error
	// rollback ends the transaction, if one is open, and clears the error.
	rollback()
	// idle is called between groups, for upkeep.
	idle()
	// translate says what an error of flush or commit means: it wraps a sentinel of package store, or errAgain.
	translate(err error) error
	close() error
}
