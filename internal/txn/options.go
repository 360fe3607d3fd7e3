package txn

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// Chain is what the manager needs to know of the canonical chain.
type Chain interface {
	// Follow makes sure that the ledger's blocks are followed; it returns at once.
	Follow(ledger string)
	// Ready returns when a position for the ledger is stored, so that no outcome can be missed from here on.
	Ready(ctx context.Context, ledger string) error
	// Safe is the newest final block whose outcomes are applied.
	Safe(ledger string) (head ffcapi.BlockRef, ok bool, moved <-chan struct{})
	// Head is the newest canonical block seen.
	Head(ledger string) (ffcapi.BlockRef, bool)
	// Canonical is the hash of a canonical block; known is false outside the retained window.
	Canonical(ledger string, number uint64) (hash string, known bool)
	// Final reports whether a canonical block of that number is final for one who wants so many confirmations; negative: as configured.
	Final(ledger string, number uint64, required int) bool
	// Find reads the newest blocks above one again for a transaction whose hash was not known when its block passed; nil: in none.
	Find(ctx context.Context, ledger, hash string, above uint64) (block *ffcapi.Block, index int, err error)
	// Confirming returns the canonical blocks that follow one, as far as they are retained, n at most; negative: as many as are configured.
	// Only number, hash and parent hash are filled in.
	Confirming(ledger string, of ffcapi.BlockRef, n int) []ffcapi.Block
	// Confirmations is Confirming that reads from the node what is not retained.
	Confirmations(ctx context.Context, ledger string, of ffcapi.BlockRef, n int) ([]ffcapi.Block, error)
	// Failed is the alarm that stopped the ledger, or nil.
	Failed(ledger string) error
}

// Options is what a Manager gets from its surroundings. Zero limits take the defaults.
type Options struct {
	Connector ffcapi.Connector
	Store     store.Store
	Fence     func() store.Fence // asked for each write
	Policy    policy.Engine
	Fees      policy.FeeSource // nil: no fees
	// FeesRequired holds back what was never sent while Fees cannot tell; else it is offered without a fee.
	FeesRequired bool
	Chain        Chain
	Lost         <-chan struct{} // closed when another process may own the store; nil: never

	// OnStatus gets every row of the status log that is written from Start on, in order, from one goroutine. It must not block.
	OnStatus func([]store.StatusEntry)

	NonceStateTimeout    time.Duration // age of a signer's newest nonce above which the node is asked; 0 asks each time
	Deadline             time.Duration // time without progress after which a transaction is shown as stuck; 2 min
	IdempotencyRetention time.Duration // how long a key is kept; 720 h
	PrepareTimeout       time.Duration // of Prepare, NextNonce and Ready; 30 s
	SubmitTimeout        time.Duration // of Submit and Receipt; 30 s
	QueryTimeout         time.Duration // 30 s
	KeyTurn              time.Duration // that a transaction may keep others with its conflict keys waiting; 30 s
	MaxPending           int           // transactions that are not terminal; 1 000 000
	MaxWaiting           int           // requests that wait for transactions to end; 10 000
	Workers              int           // sends under way; 64
	Prepares             int           // Prepares under way; 4 × Workers

	Stages *metrics.Stages       // nil: not measured
	Counts *metrics.Transactions // nil: not counted

	Now func() time.Time // nil: time.Now
	Log *logrus.Entry    // nil: the standard logger
}

func (o *Options) fill() error {
	switch {
	case o.Connector == nil, o.Store == nil, o.Fence == nil, o.Policy == nil, o.Chain == nil:
		return errors.New("txn: connector, store, fence, policy and chain are needed")
	}
	duration := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	count := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	duration(&o.Deadline, 2*time.Minute)
	duration(&o.IdempotencyRetention, 720*time.Hour)
	duration(&o.PrepareTimeout, 30*time.Second)
	duration(&o.SubmitTimeout, 30*time.Second)
	duration(&o.QueryTimeout, 30*time.Second)
	duration(&o.KeyTurn, 30*time.Second)
	count(&o.MaxPending, 1_000_000)
	count(&o.MaxWaiting, 10_000)
	count(&o.Workers, 64)
	count(&o.Prepares, 4*o.Workers)
	if o.OnStatus == nil {
		o.OnStatus = func([]store.StatusEntry) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	return nil
}
