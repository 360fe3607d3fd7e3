package store

import (
	"context"
	"time"
)

// Retention removes what is no longer wanted, a little with each call, and behind everything else that is to be written. What must not be
// forgotten stays: keys as long as they are promised, and longer than their transactions; nonces; the newest row of the status log.
type Retention interface {
	// Remove looks at up to limit transactions behind the position after, in the order of acceptance, and removes those that ended before
	// before, with all that belongs to them but their keys, which keep how they ended. next is where to go on; 0: at the end.
	Remove(ctx context.Context, f Fence, before time.Time, after int64, limit int) (removed int, next int64, err error)

	// Ended returns what is kept of a transaction that was removed: how it ended. ErrNotFound: it was not removed, or its key is gone, too.
	Ended(ctx context.Context, id string) (*Tx, error)

	// ForgetKeys deletes up to limit keys that have expired, of transactions that were removed.
	ForgetKeys(ctx context.Context, f Fence, limit int) (int, error)

	// TrimStatus deletes up to limit of the oldest rows of the status log: those up to the position upTo that are older than before. The
	// newest row always stays.
	TrimStatus(ctx context.Context, f Fence, upTo int64, before time.Time, limit int) (int, error)
}
