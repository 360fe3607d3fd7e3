package txn

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Manager is the transaction manager, a lifecycle.Service. Reading works from New on, Submit and Query from Start to Stop.
type Manager struct {
	lifecycle.Group
	opts      Options
	log       *logrus.Entry
	sequencer ffcapi.Sequencer // nil: the chain has no nonces
	deployer  ffcapi.Deployer  // nil: contracts cannot be deployed
	finisher  ffcapi.Finisher  // nil: Prepare leaves nothing to be done

	sched      *schedule
	flights    flights
	recent     *recent // keys
	waiters    waiters
	contention *contention
	ledgers    ledgers
	unsettled  unsettled
	prepares   chan struct{} // a slot for each Prepare under way
	looks      chan struct{} // a slot for each look for a transaction on the chain
	sweeping   chan struct{} // a token: the open transactions have to be read again
	trouble    throttle

	started atomic.Bool
	tailed  atomic.Int64    // Consumed
	life    context.Context //nolint:containedctx // of everything that is sent: ended by Stop and by halt
	kill    context.CancelCauseFunc
}

// errHalted is the cause with which everything that is sent ends when the store is lost.
var errHalted = errors.New("the store is lost to another process")

// New makes a manager; nothing runs before Start.
func New(o Options) (*Manager, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	m := &Manager{
		opts:     o,
		log:      o.Log,
		prepares: make(chan struct{}, o.Prepares),
		looks:    make(chan struct{}, max(1, o.Workers/2)),
		sweeping: make(chan struct{}, 1),
		recent:   newRecent(),
	}
	m.life, m.kill = context.WithCancelCause(context.Background())
	m.trouble.now = o.Now
	m.sequencer, _ = o.Connector.(ffcapi.Sequencer)
	m.deployer, _ = o.Connector.(ffcapi.Deployer)
	m.finisher, _ = o.Connector.(ffcapi.Finisher)
	m.sched = newSchedule(m.sequencer != nil, o.Workers, o.Now)
	m.contention = newContention(o.KeyTurn, o.Now)
	m.ledgers.init()
	m.waiters.init(o.MaxWaiting)
	return m, nil
}

// Start begins to work. What was accepted before is read in the background, and sent before anything newer of the same signer.
func (m *Manager) Start(ctx context.Context) error {
	if err := m.Group.Start(ctx); err != nil {
		return err
	}
	after, err := m.opts.Store.StatusHead(ctx)
	if err != nil {
		return m.failedStart(ctx, fmt.Errorf("start transactions: %w", err))
	}
	open, err := m.opts.Store.CountOpen(ctx)
	if err != nil {
		return m.failedStart(ctx, fmt.Errorf("start transactions: %w", err))
	}
	m.sched.expect(open)
	m.tailed.Store(after)
	m.started.Store(true)
	m.Go("load", m.load)
	m.Go("tail", func(ctx context.Context) { m.tail(ctx, after) })
	m.Go("timers", m.sched.timers)
	for range m.opts.Workers {
		m.Go("worker", m.worker)
	}
	if m.opts.Lost != nil {
		m.Go("lost", m.watch)
	}
	return nil
}

// Load is how busy the manager is.
func (m *Manager) Load() metrics.Load {
	load := m.sched.busyness()
	load.InLine = m.contention.waiting()
	return load
}

// Stop ends what is under way at the connector and waits for the goroutines. An answer that is already there is still stored.
func (m *Manager) Stop(ctx context.Context) error {
	m.kill(lifecycle.ErrStopped)
	return m.Group.Stop(ctx)
}

// failedStart stops again. The caller's context may be what failed, so it does not bound the stop.
func (m *Manager) failedStart(ctx context.Context, err error) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := m.Stop(stop); e != nil {
		m.log.WithError(e).Error("Transactions did not stop after a failed start")
	}
	return err
}

// watch stops all sending when the store is lost.
func (m *Manager) watch(ctx context.Context) {
	select {
	case <-m.opts.Lost:
		m.halt("The store is lost to another process: nothing more is sent")
	case <-ctx.Done():
	}
}

// halt ends all sending for good: somebody else may be the owner. It is idempotent.
func (m *Manager) halt(why string) {
	if m.life.Err() == nil {
		m.log.Error(why)
	}
	m.sched.close()
	m.kill(errHalted)
}

// admitting reports why nothing can be accepted, or nil.
func (m *Manager) admitting() error {
	if !m.started.Load() || m.life.Err() != nil {
		return apitypes.ErrStopping
	}
	return nil
}

// calling is a context for a call of the connector: with ctx's values and deadline, bounded by timeout, ended by Stop and by halt, but
// not by a caller who leaves.
func (m *Manager) calling(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	call, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	stop := context.AfterFunc(m.life, cancel)
	return call, func() { stop(); cancel() }
}
