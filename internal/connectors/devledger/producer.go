package devledger

import (
	"context"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

const idlePeriod = time.Second // of empty blocks that confirmations need on a ledger without a block period

// storeBackoff is between attempts to store a block, e.g. while the disk is full.
var storeBackoff = retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Factor: 2}

// command is work for the producer, which alone may change the chain.
type command struct {
	run  func(ctx context.Context) error
	done chan error // has room for the answer
}

// produce makes blocks until ctx is done. It is the only writer of the chain and of the log.
func (l *ledger) produce(ctx context.Context) {
	period, work := l.cfg.period(), l.work
	switch {
	case period > 0:
		work = nil // the pool waits for the tick
	case l.cfg.Finality == ffcapi.Confirmations:
		period = idlePeriod
	}
	var tick <-chan time.Time
	if period > 0 {
		t := time.NewTicker(period)
		defer t.Stop()
		tick = t.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case c := <-l.commands:
			c.done <- c.run(ctx)
		case <-tick:
			if !l.knobs.paused.Load() {
				err = l.mine(ctx)
			}
		case <-work:
			err = l.mineWaiting(ctx)
		}
		if err != nil { // only the end of ctx ends the attempts to store a block
			return
		}
	}
}

// wake makes the producer look at the pool.
func (l *ledger) wake() {
	select {
	case l.work <- struct{}{}:
	default: // it has been told
	}
}

// mineWaiting makes blocks until nothing is ready.
func (l *ledger) mineWaiting(ctx context.Context) error {
	for !l.knobs.paused.Load() && ctx.Err() == nil {
		l.mu.RLock()
		ready := len(l.pool.ready)
		l.mu.RUnlock()
		if ready == 0 {
			return nil
		}
		if err := l.mine(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mine makes one block of what is ready, stores it and shows it, in this order. While it cannot be stored it tries again.
func (l *ledger) mine(ctx context.Context) error {
	number := l.chain.length()
	l.mu.Lock()
	if l.dice.due(number, (*Faults).dropPoolEvery) {
		l.pool.clear()
	}
	taken, err := l.pool.take(l.cfg.MaxBlockTransactions)
	l.mu.Unlock()
	l.lost(err)

	b, over := l.build(l.chain, taken)
	e, err := l.save(ctx, b)
	if err != nil {
		return err
	}

	l.mu.Lock()
	l.chain.add(b, e)
	over.write()
	l.pool.remove(taken)
	l.announce()
	l.mu.Unlock()
	if l.dice.due(number, (*Faults).reorganiseEvery) {
		return l.reorganiseByChance(ctx)
	}
	return nil
}

// lost tells of an error of the disk that the pool is kept on. Like that of a node, it can be lost.
func (l *ledger) lost(err error) {
	if err != nil {
		l.log.WithError(err).Error("What waited for a block is lost")
	}
}

// build executes transactions into a block on top of c.
func (l *ledger) build(c *chain, txs []*poolTx) (*block, *overlay) {
	n := c.length()
	b := &block{number: n, parent: c.entry(n - 1).hash, time: l.now().UnixNano(), txs: make([]txRecord, 0, len(txs))}
	over := c.overlay()
	for _, t := range txs {
		b.txs = append(b.txs, over.record(t))
		if l.knobs.takeDuplicate() || l.dice.happens((*Faults).duplicate) {
			b.txs = append(b.txs, over.record(t))
		}
	}
	return b, over
}

// save makes a block durable. An empty block under a synthetic load leaves nothing behind.
func (l *ledger) save(ctx context.Context, b *block) (entry, error) {
	e := entry{time: b.time, events: b.events()}
	if l.chain.syn != nil && len(b.txs) == 0 {
		return e, nil
	}
	frame, hash := encodeBlock(b)
	e.size, e.hash = uint32(len(frame)), hash
	err := retry.Do(ctx, storeBackoff, func(context.Context, int) (err error) {
		if e.pos, err = l.store.append(frame); err != nil {
			l.log.WithError(err).WithField("block", b.number).Error("A block cannot be stored")
			l.trouble.Store(&err)
			return err
		}
		l.trouble.Store(nil)
		return nil
	})
	return e, err
}

// announce wakes everybody who waits for the chain to change. The caller holds mu.
func (l *ledger) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// command runs f in the producer.
func (l *ledger) command(ctx context.Context, f func(ctx context.Context) error) error {
	c := command{run: f, done: make(chan error, 1)}
	select {
	case l.commands <- c:
	case <-l.stopping:
		return ffcapi.Errorf(ffcapi.Unavailable, "the dev ledger is stopping")
	case <-ctx.Done():
		return ended(ctx)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ended(ctx)
	}
}
