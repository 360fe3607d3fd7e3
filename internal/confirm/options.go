package confirm

import (
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

// Options make an Engine.
type Options struct {
	Connector ffcapi.Connector
	Store     store.Ledgers
	Fence     func() store.Fence
	Required  int               // blocks that must follow one before it is final; without effect on ledgers with instant finality
	Rule      store.OutcomeRule // what an outcome does to a transaction

	// ReceiptWorkers is how many receipts are asked for at once, where blocks do not tell outcomes; 0: 8.
	ReceiptWorkers int

	Lost <-chan struct{}  // closed when the store may have another owner: nothing is written any more; nil: never
	Now  func() time.Time // nil: time.Now
	Log  *logrus.Entry    // nil: the standard logger
}

const (
	defaultReceiptWorkers = 8

	// The position is written at the latest after so many blocks, and after so long.
	saveBlocks   = 1000
	saveInterval = 10 * time.Second
	// saveTimeout bounds the last write of a run that is stopped.
	saveTimeout = 2 * time.Second

	// One write holds at most so many blocks, and ends with the block that brings it to so many transactions.
	batchBlocks       = 500
	batchTransactions = 5000
	// readAhead is how many blocks are read while others are written.
	readAhead = 16

	// The receipts of so many blocks are asked for at once, and so many blocks may wait for theirs before no more are read.
	maxAsking  = 64
	maxWaiting = 10_000

	// maxFill is how many missing blocks are read one by one; for more, the run starts again.
	maxFill = 64
	// maxDetours is how often one block may lead to others before it.
	maxDetours = 4

	// watchInterval is how often the node is asked for its head, and catchUpInterval how often while a run is behind it.
	watchInterval   = 10 * time.Second
	catchUpInterval = time.Second
	// halfOpenAfter is how long the node's head may be above ours without a block.
	halfOpenAfter = 30 * time.Second

	// callTimeout bounds every call of the connector but Blocks.
	callTimeout = 15 * time.Second
	// storeTimeout bounds every call of the store.
	storeTimeout = 30 * time.Second
)

var (
	restartBackoff = retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: true}
	storeBackoff   = retry.Backoff{Initial: 50 * time.Millisecond, Max: 2 * time.Second, Factor: 2, Jitter: true}
	receiptBackoff = retry.Backoff{Initial: 50 * time.Millisecond, Max: 2 * time.Second, Factor: 2, Jitter: true}
)

func (o *Options) complete() error {
	switch {
	case o.Connector == nil:
		return errors.New("confirm: no connector")
	case o.Store == nil:
		return errors.New("confirm: no store")
	case o.Fence == nil:
		return errors.New("confirm: no fence")
	case o.Rule == nil:
		return errors.New("confirm: no rule for outcomes")
	case o.Required < 0:
		return fmt.Errorf("confirm: %d confirmations are less than none", o.Required)
	}
	if o.ReceiptWorkers <= 0 {
		o.ReceiptWorkers = defaultReceiptWorkers
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	return nil
}
