package store

import (
	"context"
	"time"
)

// StatusEntry is one status change of one transaction after its acceptance. The log's order is the order of commit.
type StatusEntry struct {
	Seq    int64
	TxID   string
	Status TxStatus
	Sub    SubStatus
	Time   time.Time
	Tx     *Tx // the transaction as it is now, which may be further on; nil if it is gone
}

// StatusLog is the log of status changes. It is the one bus between engines and consumers: a reader keeps a position,
// subscribes to Changed, and then reads; it can neither miss a row nor see a later one first.
type StatusLog interface {
	// Status returns entries with Seq above after, in order.
	Status(ctx context.Context, after int64, limit int) ([]StatusEntry, error)
	// StatusHead returns the newest Seq, 0 if there is none.
	StatusHead(ctx context.Context) (int64, error)
	// Changed returns a channel that is closed after the next commit that wrote to the log. It only wakes: on a store shared with
	// other processes it may be late by up to a second.
	Changed() <-chan struct{}
}
