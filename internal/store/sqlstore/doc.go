// Package sqlstore keeps the store in SQLite or PostgreSQL: one implementation, two dialects.
//
//	callers ──▶ queues by class ──▶ writer ──▶ BEGIN, commands of the group, COMMIT ──▶ callers are answered
//	            accept                │                    │
//	            outcomes              │ one goroutine      └─ session: sqliteSession runs a statement at once,
//	            checkpoints           │ one connection           pgSession queues statements into one round trip
//	            other                 └─ a group fails: its halves are tried apart, down to the command at fault
//	callers ──▶ read pool ──▶ rows
//
// The writer takes whatever waits and makes one transaction of it, so that concurrent commands share one fsync. A command
// works in two steps: it asks for what it must read, then it decides and queues its writes. A command that decides against
// itself (a version that moved on, a key that is taken) has queued nothing and costs its neighbours nothing. A statement
// that fails in the database spoils the transaction; the group is then split in halves, in order, until the command at fault
// stands alone.
//
// Rules that hold here:
//
//   - A write costs what its rows and indexes cost. So an acceptance is a key, a lean row and a body: what is known of the first attempt
//     is in these, and the attempt gets a row of its own with the first update. And an update names no column of an index that it does
//     not change.
//   - On SQLite, what costs is pages: a commit writes each page that it touched. So an index begins with what goes up with time, and has
//     no more of a random value than it takes to find it.
//   - The writer on SQLite, the only one, remembers versions, histories' ends and nonces of what it wrote last instead of reading them.
//     An update names the version that it expects, so a memory that is wrong fails the group, which is then repeated without it.
//   - SQL exists once, with ? placeholders; what differs between the dialects stands beside it in statements.go.
//   - JSON is kept as text: the binary JSON type of PostgreSQL refuses \u0000.
//   - Numbers without sign (nonces, blocks, cursors) are kept as the same 64 bits with sign, so the whole range survives. SQL
//     compares only block numbers of outcomes; those above 2⁶³-1 are refused.
//   - Times are microseconds since 1970, 0 for the zero time.
//   - Text that only informs (errors, reasons, JSON) is made valid UTF-8 without NUL. Text that identifies something is
//     refused with ErrInvalid when it is not, or when it is longer than an index can hold.
//   - One process owns the store: a file lock on the data directory, or an advisory lock on PostgreSQL. Losing it closes Lost, and
//     the process that takes over raises the generation that every write of an engine is checked against.
//
// Failure: a full disk is ErrFull for the commands of that group, and Ping says so until it finds room again. A lost connection is
// made again and the group repeated; when it broke during COMMIT, PostgreSQL is asked what became of that transaction, so that
// no command is carried out twice. Only when the database stays away are callers told ErrUnavailable.
package sqlstore
