package txn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// ledgers is what the manager knows of the ledgers in use.
type ledgers struct {
	mu    sync.Mutex
	ready map[string]bool
	heads map[string]sighting
}

// sighting is when a ledger's head was first seen to be what it is.
type sighting struct {
	number uint64
	at     time.Time
}

func (l *ledgers) init() {
	l.ready, l.heads = map[string]bool{}, map[string]sighting{}
}

// isReady reports whether a ledger was found to be followed.
func (l *ledgers) isReady(ledger string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready[ledger]
}

// use makes sure that a ledger is followed and that its outcomes cannot be missed from here on. It waits for a ledger that is away.
func (m *Manager) use(ctx context.Context, ledger string) error {
	if !m.ledgers.isReady(ledger) {
		m.opts.Chain.Follow(ledger)
		call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
		defer cancel()
		if err := m.opts.Chain.Ready(call, ledger); err != nil {
			return fmt.Errorf("ledger %q: %w", ledger, err)
		}
		m.ledgers.mu.Lock()
		m.ledgers.ready[ledger] = true
		m.ledgers.mu.Unlock()
	}
	if err := m.opts.Chain.Failed(ledger); err != nil {
		return ffcapi.Errorf(ffcapi.Unavailable, "ledger %q is stopped: %w", ledger, err)
	}
	return nil
}

// usable is use for a worker, which waits for no ledger: there are few workers, and all of them would soon wait for the same one. What
// belongs to a ledger that is away stays in the schedule until that is there.
func (m *Manager) usable(ledger string) bool {
	if m.ledgers.isReady(ledger) && m.opts.Chain.Failed(ledger) == nil {
		return true
	}
	if m.sched.pause(ledger) {
		m.Go("ledger", func(context.Context) { m.arrive(ledger) })
	}
	return false
}

// arrive waits until a ledger can be used, and has the workers go on with it.
func (m *Manager) arrive(ledger string) {
	again := time.NewTicker(ledgerRetry)
	defer again.Stop()
	for {
		err := m.use(m.life, ledger)
		if err == nil {
			m.sched.unpause(ledger)
			return
		}
		if m.life.Err() == nil && m.trouble.ok() {
			m.log.WithField("ledger", ledger).WithError(err).Warn("Nothing can be sent to a ledger; it will be tried again")
		}
		select {
		case <-again.C:
		case <-m.life.Done():
			return
		}
	}
}

// heard reports whether a block arrived after a moment.
func (m *Manager) heard(ledger string, since time.Time) bool {
	head, ok := m.opts.Chain.Head(ledger)
	if !ok {
		return false
	}
	now := m.opts.Now()
	m.ledgers.mu.Lock()
	defer m.ledgers.mu.Unlock()
	last, seen := m.ledgers.heads[ledger]
	if !seen || last.number != head.Number {
		last = sighting{head.Number, now}
		if !seen {
			last.at = time.Time{} // it may be old
		}
		m.ledgers.heads[ledger] = last
	}
	return last.at.After(since)
}

// standing says what a block that a node has named is worth: whether it is canonical and whether it is final for a transaction.
func (m *Manager) standing(ctx context.Context, tx *store.Tx, b ffcapi.BlockRef) (canonical, final bool) {
	ledger := tx.Ledger
	final = m.opts.Chain.Final(ledger, b.Number, confirmations(tx))
	hash, known := m.opts.Chain.Canonical(ledger, b.Number)
	if known {
		return hash == b.Hash, final
	}
	if !final {
		return false, false // above everything seen
	}
	// Final, and so deep that the chain view has let go of it.
	block, err := survive.Ask(m.panicked, func() (*ffcapi.Block, error) { return m.opts.Connector.Block(ctx, ledger, b.Number) })
	return err == nil && block.Hash == b.Hash, final
}
