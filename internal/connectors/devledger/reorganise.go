package devledger

import (
	"context"
	"errors"
	"fmt"
)

func (l *ledger) chainIsSynthetic() bool { return l.cfg.Synthetic.Enabled() }

// reorganise runs in the producer. The new blocks are stored before any of them is seen. A crash in between leaves a shorter
// chain, which is a reorganisation, too.
func (l *ledger) reorganise(ctx context.Context, depth uint64, drop func(hash string) bool) error {
	old := l.chain
	if depth >= old.length() {
		return fmt.Errorf("%d blocks cannot be replaced: there are %d after the genesis block", depth, old.length()-1)
	}
	from := old.length() - depth
	txs, err := l.txsFrom(old, from)
	if err != nil {
		return err
	}
	c, err := l.rewound(from)
	if err != nil {
		return err
	}

	l.mu.Lock()
	waited, err := l.pool.drain()
	l.mu.Unlock()
	l.lost(err)
	txs = append(txs, waited...)
	waiting := newPool(l.cfg.Sequenced, l.pool.shelf.dir)
	for _, t := range txs {
		if drop == nil || !drop(t.hash.text()) {
			waiting.add(t, c.nonces[t.from])
		}
	}
	if err := l.grow(ctx, c, old, waiting, depth); err != nil {
		return errors.Join(err, waiting.shelf.close())
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	late, err := l.pool.drain() // what came in meanwhile
	l.lost(err)
	for _, t := range late {
		_, onChain := c.txs[keyOf(t.hash)]
		latest := c.nonces[t.from]
		_, waits := waiting.rival(t)
		if !onChain && !waits && !waiting.has(t.hash) && t.nonce >= latest {
			waiting.add(t, latest)
		}
	}
	l.chain, l.pool = c, waiting
	l.announce()
	l.wake()
	return nil
}

// grow puts blocks of what waits on top of c, in the place of those of old. Only the end of ctx ends it before.
func (l *ledger) grow(ctx context.Context, c, old *chain, waiting *pool, depth uint64) error {
	for range depth {
		taken, err := waiting.take(l.cfg.MaxBlockTransactions)
		l.lost(err)
		b, over := l.build(c, taken)
		// With the content and the time of the block it replaces it would be that one.
		b.time = max(b.time, old.entry(b.number).time+1)
		e, err := l.save(ctx, b)
		if err != nil {
			return err
		}
		c.add(b, e)
		over.write()
		waiting.remove(taken)
	}
	return nil
}

// reorganiseByChance is a reorganisation that nobody asked for.
func (l *ledger) reorganiseByChance(ctx context.Context) error {
	depth := l.dice.depth(l.chain.length() - 1)
	replaced, err := l.txsFrom(l.chain, l.chain.length()-depth)
	forgotten := map[string]bool{} // of those in the blocks only: what waits loses nothing
	for _, t := range replaced {
		if l.dice.happens((*Faults).reorganiseDrop) {
			forgotten[t.hash.text()] = true
		}
	}
	if err == nil {
		err = l.reorganise(ctx, depth, func(hash string) bool { return forgotten[hash] })
	}
	if err != nil && ctx.Err() == nil {
		l.log.WithError(err).Error("The ledger could not be reorganised")
		return nil
	}
	return err
}

// txsFrom returns the transactions of the blocks from number on, ready to wait again.
func (l *ledger) txsFrom(c *chain, number uint64) (txs []*poolTx, err error) {
	for n := number; n < c.length(); n++ {
		b, err := l.load(c.entry(n), n)
		if err != nil {
			return nil, err
		}
		for _, t := range b.txs {
			if t.status == statusDuplicate {
				continue
			}
			call, terms, err := decodeSigned(t.payload, l.cfg.Sequenced)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", n, err)
			}
			p := newPoolTx(t.payload, call, terms)
			p.hash, p.nonce = t.hash, t.nonce
			txs = append(txs, p)
		}
	}
	return txs, nil
}
