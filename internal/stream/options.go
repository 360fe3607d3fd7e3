package stream

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Chain is what the engine needs to know of the canonical chain.
type Chain interface {
	// Follow starts following a ledger. It is idempotent and returns at once.
	Follow(ledger string)
	// SafeAt returns the newest block with so many confirmations, a negative number standing for the configured one; moved is
	// closed when it changes. ok is false while none is known.
	SafeAt(ledger string, required int) (head ffcapi.BlockRef, ok bool, moved <-chan struct{})
	// Head returns the newest canonical block seen.
	Head(ledger string) (ffcapi.BlockRef, bool)
	// Canonical returns the hash of the canonical block; known is false outside the retained window.
	Canonical(ledger string, number uint64) (hash string, known bool)
	// Time returns when a block was made; known is false for those that were not seen lately. It asks nobody.
	Time(ledger string, number uint64) (at time.Time, known bool)
	// Failed returns the alarm that stopped the ledger, or nil.
	Failed(ledger string) error
}

// Defaults are the settings of streams that do not say otherwise.
type Defaults struct {
	BatchSize         int
	BatchTimeout      time.Duration
	ErrorHandling     string
	RetryTimeout      time.Duration
	BlockedRetryDelay time.Duration
}

// Options make a Manager. Zero values of optional fields mean what their comments say.
type Options struct {
	Connector     ffcapi.Connector
	ConnectorName string // the first part of event ids
	Store         store.Streams
	Fence         func() store.Fence
	Chain         Chain
	Sinks         []sink.Factory
	Changes       store.StatusLog // what listeners of type transactions read; nil: there are none

	Declared []Declared // the streams of the configuration

	Defaults           Defaults      // fields left zero: 50, 5 s, block, 30 s, 30 s
	ReadAhead          int           // batches assembled while earlier ones wait; 0: 4
	MaxUnstored        *int          // batches that may be acknowledged and not stored besides those of the window, by stream; nil: 32
	MaxMemory          int64         // bytes of events read and not yet acknowledged, all streams together; 0: 64 MiB
	CheckpointInterval time.Duration // how often progress without events is stored at most; 0: 1 minute
	Drain              time.Duration // how long a change of a stream waits for what is sent to be acknowledged; 0: 1 s
	UnstableHead       int           // without instant finality, progress is not stored within so many blocks of the head

	Lost <-chan struct{}  // closed when the store may have another owner: everything stops; nil: never
	Now  func() time.Time // nil: time.Now
	Log  *logrus.Entry    // nil: the standard logger
}

const (
	defaultReadAhead          = 4
	defaultMaxUnstored        = 32
	defaultMaxMemory          = 64 << 20
	defaultCheckpointInterval = time.Minute
	defaultBatchSize          = 50
	defaultBatchTimeout       = 5 * time.Second
	defaultRetryTimeout       = 30 * time.Second
	defaultBlockedRetryDelay  = 30 * time.Second

	maxBatchSize = 10000
	// maxBatchBytes closes a batch early; a single larger event still goes, alone.
	maxBatchBytes = 4 << 20
	// pageSize is how many events are asked for at once.
	pageSize = 500

	// callTimeout bounds every call of the connector but the reading session.
	callTimeout = 30 * time.Second
	// stopTimeout is how long the end of a run is waited for.
	stopTimeout = 10 * time.Second
	// storeTimeout bounds the last checkpoint of a run that ends.
	storeTimeout = 2 * time.Second
)

// orElse returns v, or def if v is zero.
func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (o *Options) complete() error {
	switch {
	case o.Connector == nil:
		return errors.New("stream: no connector")
	case o.Store == nil:
		return errors.New("stream: no store")
	case o.Chain == nil:
		return errors.New("stream: no chain")
	case o.Fence == nil:
		return errors.New("stream: no fence")
	}
	o.defaults()
	return nil
}

func (o *Options) defaults() {
	o.Defaults.BatchSize = orElse(o.Defaults.BatchSize, defaultBatchSize)
	o.Defaults.BatchTimeout = orElse(o.Defaults.BatchTimeout, defaultBatchTimeout)
	o.Defaults.ErrorHandling = orElse(o.Defaults.ErrorHandling, "block")
	o.Defaults.RetryTimeout = orElse(o.Defaults.RetryTimeout, defaultRetryTimeout)
	o.Defaults.BlockedRetryDelay = orElse(o.Defaults.BlockedRetryDelay, defaultBlockedRetryDelay)
	o.ReadAhead = orElse(o.ReadAhead, defaultReadAhead)
	if o.MaxUnstored == nil {
		o.MaxUnstored = new(int)
		*o.MaxUnstored = defaultMaxUnstored
	}
	o.MaxMemory = orElse(o.MaxMemory, defaultMaxMemory)
	o.CheckpointInterval = orElse(o.CheckpointInterval, defaultCheckpointInterval)
	o.Drain = orElse(o.Drain, defaultDrain)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
}

// call bounds one call of the connector.
func call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}
