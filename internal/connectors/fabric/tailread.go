package fabric

import (
	"context"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// tails are the tails of all channels.
type tails struct {
	mu     sync.Mutex
	by     map[string]*tail // guarded by mu
	closed bool             // guarded by mu
}

// of returns the tail of a channel.
func (ts *tails) of(c *Connector, channel string) *tail {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.by == nil {
		ts.by = map[string]*tail{}
	}
	t := ts.by[channel]
	if t == nil {
		t = &tail{c: c, channel: channel, changed: make(chan struct{}), again: make(chan struct{}, 1), finished: ts.closed}
		t.ring.limit = tailBytes / len(c.cfg.Channels)
		ts.by[channel] = t
	}
	return t
}

// close ends them all, and those that somebody asks for later.
func (ts *tails) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
	for _, t := range ts.by {
		t.close()
	}
}

// at returns a block of the ring, nil when it is not there.
func (t *tail) at(number uint64) *block {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring.at(number)
}

// newest is the newest block of the ring, block 0 if there is none.
func (t *tail) newest() ffcapi.BlockRef {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.ring.newest(); b != nil {
		return b.BlockRef
	}
	return ffcapi.BlockRef{}
}

// below returns a block of the ring if upto is in it as well, so that the block is known to be on its chain.
func (t *tail) below(number uint64, upto ffcapi.BlockRef) *block {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ring.holds(upto) {
		return nil
	}
	return t.ring.at(number)
}

// source returns the peer that the tail reads from if it has delivered a block, nil otherwise.
func (t *tail) source(ref ffcapi.BlockRef) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ring.holds(ref) {
		return nil
	}
	return t.node
}

// head waits until the newest block is another one than at, or until life has passed since and a peer has shown meanwhile that at is
// still the newest. It returns the newest block and, if it is not above at, the peer that says so.
func (t *tail) head(ctx context.Context, at ffcapi.BlockRef, since time.Time, life time.Duration) (*block, *node, error) {
	for {
		b, n, changed, err := t.look(at, since, life)
		if b != nil || err != nil {
			return b, n, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, inContext(ctx, stageLedger)
		}
	}
}

func (t *tail) look(at ffcapi.BlockRef, since time.Time, life time.Duration) (*block, *node, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.ring.newest()
	switch {
	case t.finished:
		return nil, nil, nil, ffcapi.Errorf(ffcapi.Unavailable, "the connector is closed")
	case t.fault != nil:
		return nil, nil, nil, t.fault
	case b == nil:
	case at.IsZero(), b.Number > at.Number:
		return b, t.node, nil, nil
	case t.node == nil: // another peer may have more
	case b.BlockRef != at, t.lived.Sub(since) >= life:
		return b, t.node, nil, nil
	}
	return nil, nil, t.changed, nil
}

// shun gives up a peer that is behind what a reader knows.
func (t *tail) shun(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n != nil && t.node == n {
		t.leave()
		t.node, t.leave = nil, nil
	}
}
