package fees

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

const (
	// askWithin bounds a question to the connector; that to an oracle has a bound of its own.
	askWithin = 10 * time.Second
	// askAgain is the pause after a question that nobody answered.
	askAgain = 5 * time.Second
)

// cache keeps one fee for each ledger.
type cache struct {
	ask      func(ctx context.Context, ledger string) (json.RawMessage, error)
	end      func()
	interval time.Duration
	maxAge   time.Duration
	now      func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is guarded by cache.mu.
type entry struct {
	fee    json.RawMessage // nil: never known
	at     time.Time       // when it was asked for
	err    error           // of the newest question, nil if it was answered
	tried  time.Time       // when that one ended
	asking chan struct{}   // closed when the question under way ends; nil: none is
}

func newCache(o *Options, ask func(context.Context, string) (json.RawMessage, error), end func()) *cache {
	c := &cache{ask: ask, end: end, interval: o.QueryInterval, maxAge: o.MaxAge, now: o.Now, entries: map[string]*entry{}}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// answer is a fee, or why there is none.
type answer struct {
	fee json.RawMessage
	err error
}

// Fee implements Source.
func (c *cache) Fee(ctx context.Context, ledger string) (json.RawMessage, error) {
	for {
		a, wait := c.look(ledger)
		switch {
		case a != nil:
			return a.fee, a.err
		case wait == nil:
			a := c.query(ctx, ledger)
			return a.fee, a.err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look returns what is known, or a channel that is closed when somebody else has asked. Neither: the caller has to call query.
func (c *cache) look(ledger string) (*answer, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[ledger]
	if e == nil {
		e = &entry{}
		c.entries[ledger] = e
	}
	now := c.now()
	switch {
	case e.fee != nil && now.Sub(e.at).Abs() < c.interval:
		return &answer{fee: e.fee}, nil
	case e.asking != nil && c.usable(e):
		return &answer{fee: e.fee}, nil // the old one, while somebody else asks
	case e.asking != nil:
		return nil, e.asking
	case e.err != nil && now.Sub(e.tried).Abs() < askAgain:
		return c.failed(e), nil
	default:
		e.asking = make(chan struct{})
		return nil, nil
	}
}

// usable reports whether an old fee may still be offered.
func (c *cache) usable(e *entry) bool { return e.fee != nil && c.now().Sub(e.at).Abs() < c.maxAge }

// failed is the answer while nobody can be asked.
func (c *cache) failed(e *entry) *answer {
	if c.usable(e) {
		return &answer{fee: e.fee}
	}
	return &answer{err: e.err}
}

// query asks and keeps the answer. A caller who leaves in the middle of it has not asked.
func (c *cache) query(ctx context.Context, ledger string) *answer {
	call, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	began := c.now()
	fee, err := c.ask(call, ledger)
	if err == nil && !offers(fee) {
		err = fmt.Errorf("the answer names no fee: %.40s", fee)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[ledger]
	close(e.asking)
	e.asking = nil
	switch {
	case err == nil:
		e.fee, e.at, e.err = fee, began, nil
		return &answer{fee: fee}
	case ctx.Err() != nil:
		return &answer{err: ctx.Err()}
	default:
		e.err, e.tried = err, c.now()
		return c.failed(e)
	}
}

// offers reports whether a fee is JSON, and something.
func offers(fee json.RawMessage) bool { return json.Valid(fee) && string(fee) != "null" }

// Close implements Source.
func (c *cache) Close() error {
	c.end()
	return nil
}
