package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// fakeChain is a ledger with knobs: a connector and the view of its chain in one. A listener matches the events whose name is in
// its filters, given as JSON strings; "*" matches all.
type fakeChain struct {
	ffcapi.Connector // what the engine does not call

	mu       sync.Mutex
	finality ffcapi.Finality
	blocks   []*fakeBlock
	safe     int // number of the newest final block, -1 for none
	moved    chan struct{}
	alarm    error
	window   int                                       // blocks Canonical knows; 0: all
	tamper   func(*ffcapi.EventPage) *ffcapi.EventPage // changes a page before it is given out
	fault    func(call string) error                   // makes a call fail
	pageCap  int                                       // largest page; 0: as asked
	reads    int                                       // pages given out
	sessions int                                       // sessions opened
	timeless bool                                      // blocks carry none either
	noTimes  bool                                      // events carry no timestamp
	first    uint64                                    // blocks before it are pruned
	given    map[uint64]int                            // how often each block was given out by Block and Blocks
	pretend  map[uint64]*ffcapi.Block                  // given out in the place of the canonical ones
}

type fakeBlock struct {
	ref    ffcapi.BlockRef
	events []string // names, one transaction each
}

func newFakeChain() *fakeChain {
	c := &fakeChain{finality: ffcapi.Instant, safe: -1, moved: make(chan struct{})}
	c.mine()
	return c
}

// mine appends a final block with events of these names.
func (c *fakeChain) mine(events ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendLocked("a", events)
	c.safe = len(c.blocks) - 1
	c.moveLocked()
}

func (c *fakeChain) appendLocked(fork string, events []string) {
	n := uint64(len(c.blocks))
	c.blocks = append(c.blocks, &fakeBlock{ref: ffcapi.BlockRef{Number: n, Hash: fmt.Sprintf("0x%s%07d", fork, n)}, events: events})
}

func (c *fakeChain) moveLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// reorganise replaces every block from number on by the same number of others with these events each.
func (c *fakeChain) reorganise(number int, fork string, events ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.blocks)
	c.blocks = c.blocks[:number]
	for len(c.blocks) < n {
		c.appendLocked(fork, events)
	}
	c.moveLocked()
}

func (c *fakeChain) set(change func(*fakeChain)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	c.moveLocked()
}

// spoil has pages changed before they are given out.
func (c *fakeChain) spoil(change func(p *ffcapi.EventPage)) {
	c.set(func(c *fakeChain) {
		c.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
			change(p)
			return p
		}
	})
}

func (c *fakeChain) pagesRead() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

func (c *fakeChain) Follow(string) {}

// SafeAt counts confirmations from the newest block; safe is what is configured.
func (c *fakeChain) SafeAt(_ string, required int) (ffcapi.BlockRef, bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	safe := c.safe
	if required >= 0 {
		safe = len(c.blocks) - 1 - required
	}
	if safe < 0 {
		return ffcapi.BlockRef{}, false, c.moved
	}
	return c.blocks[safe].ref, true, c.moved
}

func (c *fakeChain) Head(string) (ffcapi.BlockRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1].ref, true
}

// Time knows the blocks that Canonical knows.
func (c *fakeChain) Time(ledger string, number uint64) (time.Time, bool) {
	_, known := c.Canonical(ledger, number)
	return blockTime(number), known && !c.timeless
}

func (c *fakeChain) Canonical(_ string, number uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number >= uint64(len(c.blocks)) || c.window > 0 && int(number) < len(c.blocks)-c.window {
		return "", false
	}
	return c.blocks[number].ref.Hash, true
}

func (c *fakeChain) Failed(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarm
}

func (c *fakeChain) faulty(call string) error {
	if c.fault == nil {
		return nil
	}
	return c.fault(call)
}

func (c *fakeChain) Ledger(context.Context, string) (*ffcapi.Ledger, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Ledger"); err != nil {
		return nil, err
	}
	return &ffcapi.Ledger{ID: "genesis", Finality: c.finality, Head: c.blocks[len(c.blocks)-1].ref}, nil
}

func (c *fakeChain) Block(_ context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Block"); err != nil {
		return nil, err
	}
	if number >= uint64(len(c.blocks)) {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "no block %d", number)
	}
	return c.blockLocked(number)
}

func (c *fakeChain) blockLocked(number uint64) (*ffcapi.Block, error) {
	if number < c.first {
		return nil, &ffcapi.Error{Kind: ffcapi.Pruned, Message: fmt.Sprintf("block %d is pruned", number), FirstBlock: c.first}
	}
	if c.given == nil {
		c.given = make(map[uint64]int)
	}
	c.given[number]++
	if b := c.pretend[number]; b != nil {
		return b, nil
	}
	b := &ffcapi.Block{BlockRef: c.blocks[number].ref}
	if !c.timeless {
		b.Timestamp = blockTime(number)
	}
	if number > 0 {
		b.ParentHash = c.blocks[number-1].ref.Hash
	}
	for tx := range c.blocks[number].events {
		b.Transactions = append(b.Transactions, ffcapi.TxOutcome{Hash: fmt.Sprintf("%s-%d", b.Hash, tx), Index: uint64(tx), Success: true})
	}
	return b, nil
}

// Blocks gives what there is. Whoever wants more waits for the end of his context.
func (c *fakeChain) Blocks(ctx context.Context, _ string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		for n := after.Number + 1; ; n++ {
			c.mu.Lock()
			var b *ffcapi.Block
			err := c.faulty("Blocks")
			switch {
			case err != nil:
			case n >= uint64(len(c.blocks)):
				c.mu.Unlock()
				<-ctx.Done()
				return
			default:
				b, err = c.blockLocked(n)
			}
			c.mu.Unlock()
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (c *fakeChain) sessionsOpened() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}

// mostGiven is how often the block was given out that was asked for most.
func (c *fakeChain) mostGiven() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for _, n := range c.given {
		most = max(most, n)
	}
	return most
}

func blockTime(number uint64) time.Time { return time.Unix(int64(1700000000+number), 5000).UTC() }

func (c *fakeChain) Listener(_ context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Listener"); err != nil {
		return nil, err
	}
	if len(spec.Filters) == 0 {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters is missing")
	}
	var names []string
	for _, f := range spec.Filters {
		var name string
		if err := json.Unmarshal(f, &name); err != nil {
			return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	resolved, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	l := &ffcapi.Listener{Key: string(resolved), Signature: "fake:" + names[0], Resolved: resolved}
	switch spec.FromBlock {
	case "earliest":
	case "latest":
		l.Start = ffcapi.BlockStart(uint64(len(c.blocks)))
	default:
		n, err := strconv.ParseUint(spec.FromBlock, 10, 64)
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.InvalidInput, "fromBlock: %w", err)
		}
		l.Start = ffcapi.BlockStart(n)
	}
	return l, nil
}

func (c *fakeChain) Events(_ context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	filters := make([][]string, len(q.Listeners))
	for i, l := range q.Listeners {
		if err := json.Unmarshal(l.Resolved, &filters[i]); err != nil {
			panic(err)
		}
	}
	return func(yield func(*ffcapi.EventPage, error) bool) {
		c.mu.Lock()
		c.sessions++
		c.mu.Unlock()
		for at := q.From; at.Block <= q.Upto.Number; {
			p, err := c.page(q, filters, at)
			if !yield(p, err) || err != nil {
				return
			}
			at = p.Next
		}
	}
}

func (c *fakeChain) page(q *ffcapi.EventQuery, filters [][]string, at ffcapi.Cursor) (*ffcapi.EventPage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.faulty("Events"); err != nil {
		return nil, err
	}
	c.reads++
	limit := q.Max
	if c.pageCap > 0 {
		limit = min(limit, c.pageCap)
	}
	p := &ffcapi.EventPage{Next: at}
	for p.Next.Block <= q.Upto.Number && p.Next.Block < uint64(len(c.blocks)) && len(p.Events) < limit {
		b := c.blocks[p.Next.Block]
		p.Through = b.ref
		for tx := p.Next.Tx; tx < uint64(len(b.events)); tx++ {
			if len(p.Events) == limit {
				break
			}
			ev := ffcapi.Event{
				Cursor: ffcapi.Cursor{Block: b.ref.Number, Tx: tx}, BlockHash: b.ref.Hash, TxHash: fmt.Sprintf("%s-%d", b.ref.Hash, tx),
				Name: b.events[tx], Address: "fake", Data: json.RawMessage(`{"n":` + strconv.Itoa(int(tx)) + `}`),
			}
			if t := blockTime(b.ref.Number); !c.noTimes {
				ev.Timestamp = &t
			}
			for i, names := range filters {
				if slices.Contains(names, "*") || slices.Contains(names, ev.Name) {
					ev.Matches = append(ev.Matches, i)
				}
			}
			p.Next = ffcapi.Cursor{Block: b.ref.Number, Tx: tx + 1}
			if len(ev.Matches) > 0 {
				p.Events = append(p.Events, ev)
			}
		}
		if p.Next.Tx >= uint64(len(b.events)) {
			p.Next = ffcapi.BlockStart(b.ref.Number + 1)
		}
	}
	if c.tamper != nil {
		p = c.tamper(p)
	}
	return p, nil
}
