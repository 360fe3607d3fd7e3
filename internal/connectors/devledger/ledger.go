package devledger

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
)

const closeTimeout = 10 * time.Second

// Options is what a ledger gets from its surroundings.
type Options struct {
	Dir string             // data directory; needed by a durable ledger only, made when it is missing
	Log logrus.FieldLogger // nil: no log
	Now func() time.Time   // nil: time.Now; the time of blocks
}

// Connector is a dev ledger: the contract of a chain, and a service that makes blocks between Start and Stop. A sequenced one
// implements [ffcapi.Sequencer], [ffcapi.FeeEstimator], [ffcapi.Balancer] and [ffcapi.Deployer] as well.
//
// It can be read from New to Close. Submit fills the pool from New to Stop.
type Connector interface {
	ffcapi.Connector
	ffcapi.Health
	lifecycle.Service
	io.Closer // stops first, if need be; idempotent
	// Knobs are for tests.
	Knobs() *Knobs
}

// New opens the ledger, or makes it. A block that a crash left unfinished is cut off. Errors name the directory or the key
// of the configuration. Nothing runs before Start.
func New(cfg Config, opts Options) (Connector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &ledger{
		cfg: cfg, log: opts.Log, now: opts.Now,
		changed: make(chan struct{}), work: make(chan struct{}, 1), commands: make(chan command), stopping: make(chan struct{}),
		closed: make(chan struct{}),
	}
	if l.log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		l.log = quiet
	}
	if l.now == nil {
		l.now = time.Now
	}
	dir := "" // of a ledger that is in memory nothing is left behind there, not even the directory
	if cfg.Durable {
		dir = opts.Dir
	}
	l.pool = newPool(cfg.Sequenced, dir)
	l.gasPrice.Store(cfg.GasPrice)
	l.dice.set(cfg.Faults)
	if err := l.open(opts.Dir); err != nil {
		return nil, fmt.Errorf("dev ledger: %w", err)
	}
	if cfg.Sequenced {
		return &sequencedLedger{l}, nil
	}
	return l, nil
}

// ledger is the connector without nonces, and all of the one with them but what only that has.
type ledger struct {
	group lifecycle.Group
	cfg   Config
	log   logrus.FieldLogger
	now   func() time.Time
	store blockLog
	knobs Knobs
	dice  dice

	work     chan struct{} // has one element when the producer should look at the pool
	commands chan command  // for the producer, from knobs
	stopping chan struct{} // closed by the first Stop
	closed   chan struct{} // closed by Close
	stopOnce sync.Once
	closing  sync.Once
	closeErr error
	gasPrice atomic.Uint64         // least that is taken for a unit of gas
	trouble  atomic.Pointer[error] // why the last block could not be stored; nil pointer: all is well

	mu      sync.RWMutex
	chain   *chain        // guarded by mu; the producer, its only writer, reads it without
	pool    *pool         // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced when the canonical chain changes
}

var (
	_ Connector = (*ledger)(nil)
	_ Connector = (*sequencedLedger)(nil)

	_ ffcapi.Sequencer    = (*sequencedLedger)(nil)
	_ ffcapi.FeeEstimator = (*sequencedLedger)(nil)
	_ ffcapi.Balancer     = (*sequencedLedger)(nil)
	_ ffcapi.Deployer     = (*sequencedLedger)(nil)
)

// open reads the blocks there are, and makes the genesis block if there is none.
func (l *ledger) open(dir string) error {
	l.knobs.init(l)
	if l.cfg.Synthetic.Enabled() {
		var salt [8]byte
		_, _ = rand.Read(salt[:]) // never fails: crypto/rand ends the process instead
		l.chain = newChain(l.cfg.rules(), &synthetic{cfg: l.cfg.Synthetic, salt: binary.LittleEndian.Uint64(salt[:]) >> 4})
		l.store = &memLog{}
		return nil
	}
	l.chain = newChain(l.cfg.rules(), nil)
	if !l.cfg.Durable {
		l.store = &memLog{}
		return l.genesis()
	}
	f, err := openFileLog(dir)
	if err != nil {
		return err
	}
	l.store = f
	r := replay{l: l}
	err = f.recover(l.log, r.frame)
	if err == nil {
		err = r.finish()
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	if l.chain.length() > 0 {
		return nil
	}
	if err := l.genesis(); err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

// How a ledger can have been made, in the genesis block.
const (
	genesisSequenced   = "sequenced"
	genesisUnsequenced = "unsequenced"
)

func (l *ledger) mode() string {
	if l.cfg.Sequenced {
		return genesisSequenced
	}
	return genesisUnsequenced
}

func (l *ledger) genesis() error {
	b := &block{time: l.now().UnixNano(), mode: l.mode()}
	_, _ = rand.Read(b.parent[:]) // never fails: crypto/rand ends the process instead
	frame, hash := encodeBlock(b)
	pos, err := l.store.append(frame)
	if err != nil {
		return fmt.Errorf("genesis block: %w", err)
	}
	return l.chain.apply(b, entry{pos: pos, time: b.time, size: uint32(len(frame)), hash: hash})
}

func (l *ledger) checkGenesis(b *block) error {
	if b.mode != l.mode() {
		return fmt.Errorf("the ledger was made %s: set devledger.sequenced to %t, or use another data directory", b.mode, b.mode == genesisSequenced)
	}
	return nil
}

// Start begins to make blocks.
func (l *ledger) Start(ctx context.Context) error {
	if err := l.group.Start(ctx); err != nil {
		return err
	}
	l.group.Go("block producer", l.produce)
	return nil
}

// Stop ends the making of blocks. What waits in the pool is lost, as at any other end of a node.
func (l *ledger) Stop(ctx context.Context) error {
	l.stopOnce.Do(func() { close(l.stopping) })
	return l.group.Stop(ctx)
}

// Close stops and closes the files.
func (l *ledger) Close() error {
	l.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := l.Stop(ctx)
		close(l.closed)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closeErr = errors.Join(err, l.pool.shelf.close(), l.store.close())
	})
	return l.closeErr
}

// Knobs implements Connector.
func (l *ledger) Knobs() *Knobs { return &l.knobs }

// Ledger implements ffcapi.Connector.
func (l *ledger) Ledger(ctx context.Context, name string) (*ffcapi.Ledger, error) {
	if err := l.enter(ctx, MethodLedger, name); err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return &ffcapi.Ledger{ID: l.chain.ref(0).Hash, Finality: l.cfg.Finality, Head: l.chain.ref(l.visible() - 1)}, nil
}

// Health implements ffcapi.Health.
func (l *ledger) Health(context.Context) (json.RawMessage, error) {
	l.mu.RLock()
	head, waiting := l.chain.length()-1, len(l.pool.places)
	l.mu.RUnlock()
	details := json.RawMessage(fmt.Sprintf(`{"head":%d,"waiting":%d}`, head, waiting))
	if err := l.trouble.Load(); err != nil {
		return details, ffcapi.Errorf(ffcapi.Unavailable, "blocks cannot be stored: %w", *err)
	}
	return details, nil
}

// enter is the beginning of every call: the knobs' delay and failures, and the name of the ledger.
func (l *ledger) enter(ctx context.Context, m Method, name string) error {
	if name != "" {
		return ffcapi.Errorf(ffcapi.NotFound, "ledger %q does not exist: the dev ledger has just one, whose name is empty", name)
	}
	select {
	case <-l.closed:
		return ffcapi.Errorf(ffcapi.Unavailable, "the dev ledger is closed")
	default:
	}
	if err := ctx.Err(); err != nil {
		return ended(ctx)
	}
	return l.knobs.enter(ctx, m)
}

// ended is the answer of a call whose context is done.
func ended(ctx context.Context) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.Timeout, "gave up: %w", context.Cause(ctx))
}

// visible is the number of blocks that the outside sees: all of them, unless a knob makes this a node that lags. The caller
// holds mu.
func (l *ledger) visible() uint64 {
	n := l.chain.length()
	return n - min(l.knobs.lag.Load(), n-1)
}
