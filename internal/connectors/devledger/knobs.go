package devledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

// Method names a call of the connector for Knobs.
type Method string

// The calls that a knob can delay or make fail. Cancel and PrepareDeploy count as Prepare.
const (
	MethodLedger      Method = "Ledger"
	MethodBlock       Method = "Block"
	MethodBlocks      Method = "Blocks" // at the start of the sequence and before each block
	MethodPrepare     Method = "Prepare"
	MethodSubmit      Method = "Submit"
	MethodQuery       Method = "Query"
	MethodReceipt     Method = "Receipt"
	MethodListener    Method = "Listener"
	MethodEvents      Method = "Events" // at the start of the session and before each page
	MethodNextNonce   Method = "NextNonce"
	MethodEstimateFee Method = "EstimateFee"
	MethodBalance     Method = "Balance"
)

// Knobs make the ledger behave as a bad node or a bad chain would. They are for tests, safe for concurrent use, and set at run
// time only. Those that change the chain need a ledger that is started.
type Knobs struct {
	l *ledger

	paused     atomic.Bool
	lag        atomic.Uint64
	duplicates atomic.Int64
	lost       atomic.Int64

	mu       sync.Mutex
	failures map[Method]*failure      // guarded by mu
	delays   map[Method]time.Duration // guarded by mu
}

type failure struct {
	err  error
	left int
}

func (k *Knobs) init(l *ledger) {
	k.l, k.failures, k.delays = l, map[Method]*failure{}, map[Method]time.Duration{}
}

// Pause stops the making of blocks, and Resume lets it go on. Submit keeps filling the pool.
func (k *Knobs) Pause() { k.paused.Store(true) }

// Resume ends a Pause.
func (k *Knobs) Resume() {
	k.paused.Store(false)
	k.l.wake()
}

// MineNow makes one block of what is ready, an empty one if nothing is, also while paused. It returns when the block can be seen.
func (k *Knobs) MineNow(ctx context.Context) error { return k.l.command(ctx, k.l.mine) }

// Delay lets each call of the method wait that long before it does anything. 0 ends it.
func (k *Knobs) Delay(m Method, d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delays[m] = d
}

// FailNext lets the next n calls of the method answer err and do nothing. An error that is no [*ffcapi.Error] gets kind
// Unavailable. n 0 ends it.
func (k *Knobs) FailNext(m Method, err error, n int) {
	var e *ffcapi.Error
	if !errors.As(err, &e) {
		err = ffcapi.Errorf(ffcapi.Unavailable, "%w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures[m] = &failure{err, n}
}

// LoseAnswers lets the next n Submits that the ledger accepts take effect and answer Timeout.
func (k *Knobs) LoseAnswers(n int) { k.lost.Store(int64(n)) }

// DuplicateNext puts the next n transactions into their block twice. The second entry is refused, and never listed.
func (k *Knobs) DuplicateNext(n int) { k.duplicates.Store(int64(n)) }

// Lag lets the ledger answer like a node that is some blocks behind: in Ledger, Block, Blocks, Events, Listener and Receipt. Queries
// and nonces still come from the newest block. 0 ends it.
func (k *Knobs) Lag(blocks uint64) {
	k.lag.Store(blocks)
	k.l.mu.Lock()
	defer k.l.mu.Unlock()
	k.l.announce()
}

// DropPool forgets what waits, as a node that restarts does, and returns how many transactions that were.
func (k *Knobs) DropPool(ctx context.Context) (n int, err error) {
	err = k.l.command(ctx, func(context.Context) error {
		k.l.mu.Lock()
		defer k.l.mu.Unlock()
		n = k.l.pool.clear()
		return nil
	})
	return n, err
}

// Reorganise replaces the newest blocks by as many others. The transactions of the old ones, and what waits, go into the new ones
// from the first on, except those that drop names (nil: none): these are forgotten. Only a ledger with finality
// "confirmations" and without a synthetic load can be reorganised.
func (k *Knobs) Reorganise(ctx context.Context, depth int, drop func(hash string) bool) error {
	if k.l.cfg.Finality != ffcapi.Confirmations || k.l.chainIsSynthetic() {
		return errors.New("only a ledger with finality confirmations and without a synthetic load can be reorganised")
	}
	if depth < 1 {
		return errors.New("a reorganisation replaces at least one block")
	}
	return k.l.command(ctx, func(ctx context.Context) error { return k.l.reorganise(ctx, uint64(depth), drop) })
}

// enter delays a call, and makes it fail.
func (k *Knobs) enter(ctx context.Context, m Method) error {
	k.mu.Lock()
	d := k.delays[m]
	var err error
	if f := k.failures[m]; f != nil && f.left > 0 {
		f.left--
		err = f.err
	}
	k.mu.Unlock()
	if d > 0 && retry.Sleep(ctx, d) != nil {
		return ended(ctx)
	}
	return err
}

func (k *Knobs) takeDuplicate() bool  { return takeOne(&k.duplicates) }
func (k *Knobs) takeLostAnswer() bool { return takeOne(&k.lost) }

// SetFaults changes what goes wrong by itself.
func (k *Knobs) SetFaults(f Faults) { k.l.dice.set(f) }

// SetGasPrice changes what a unit of gas costs at least, for what is submitted from now on.
func (k *Knobs) SetGasPrice(price uint64) { k.l.gasPrice.Store(price) }

// takeOne counts n down, and reports whether there was something left.
func takeOne(n *atomic.Int64) bool {
	for v := n.Load(); v > 0; v = n.Load() {
		if n.CompareAndSwap(v, v-1) {
			return true
		}
	}
	return false
}
