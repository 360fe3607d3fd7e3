package confirm_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// chain is a scripted ledger: an honest node, unless a field makes it a bad one. Calls that it does not implement panic.
type chain struct {
	ffcapi.Connector

	mu       sync.Mutex
	id       string
	finality ffcapi.Finality
	blocks   []*ffcapi.Block // the canonical ones, by number
	all      map[string]*ffcapi.Block
	made     int
	changed  chan struct{} // closed and replaced when anything changes

	noOutcomes bool            // new blocks list hashes only; Receipt has the outcomes
	receipts   map[string]int  // number of Receipt calls that fail first, by hash
	stuck      map[string]bool // Receipt calls for these do not return
	flying     int             // Receipt calls under way
	most       int             // of these, the most there were
	foreign    map[string]int  // number of Receipt calls that a node on another branch answers first, by hash
	mute       int             // so many sessions of Blocks yield nothing, as a half-open connection does
	frozen     int             // the first so many sessions of Blocks yield nothing any more
	headsOnly  bool            // after its first block, a session shows heads only
	lag        int             // Blocks sees so many blocks fewer
	first      uint64          // lower blocks are pruned
	hold       uint64          // Blocks does not yield this block or a higher one; 0: no limit
	broken     int             // so many sessions of Blocks end with an error after a block
	unread     int             // so many Block calls fail
	down       error           // every call answers this
	sessions   []ffcapi.BlockRef
	reads      []uint64 // of Block
	asked      int      // Receipt calls
}

func newChain(finality ffcapi.Finality, blocks int) *chain {
	c := &chain{id: "genesis", finality: finality, changed: make(chan struct{}), all: map[string]*ffcapi.Block{}}
	c.grow(blocks)
	return c
}

// set changes the node.
func (c *chain) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *chain) add(txs ...ffcapi.TxOutcome) {
	c.made++
	b := &ffcapi.Block{Outcomes: !c.noOutcomes}
	b.Number = uint64(len(c.blocks))
	b.Hash = fmt.Sprintf("%d-%d", b.Number, c.made)
	b.Timestamp = time.Unix(int64(c.made), 0)
	if b.Number > 0 {
		b.ParentHash = c.blocks[b.Number-1].Hash
	}
	for i := range txs {
		txs[i].Index = uint64(i)
	}
	b.Transactions = txs
	c.blocks = append(c.blocks, b)
	c.all[b.Hash] = b
}

// grow adds empty blocks.
func (c *chain) grow(n int) {
	c.set(func() {
		for range n {
			c.add()
		}
	})
}

// mine adds a block with transactions. A hash that ends in "!" fails.
func (c *chain) mine(hashes ...string) ffcapi.BlockRef {
	var ref ffcapi.BlockRef
	c.set(func() {
		c.add(txs(hashes)...)
		ref = c.blocks[len(c.blocks)-1].BlockRef
	})
	return ref
}

func txs(hashes []string) []ffcapi.TxOutcome {
	var out []ffcapi.TxOutcome
	for _, h := range hashes {
		failed := h[len(h)-1] == '!'
		if failed {
			h = h[:len(h)-1]
		}
		out = append(out, ffcapi.TxOutcome{Hash: h, Success: !failed})
	}
	return out
}

// replace cuts the newest blocks off and adds others, one per list of hashes.
func (c *chain) replace(depth int, blocks ...[]string) {
	c.set(func() {
		c.blocks = c.blocks[: len(c.blocks)-depth : len(c.blocks)-depth]
		for _, hashes := range blocks {
			c.add(txs(hashes)...)
		}
	})
}

func (c *chain) head() ffcapi.BlockRef { return c.at(-1) }

// at returns a block's name; negative numbers count from the end.
func (c *chain) at(n int) ffcapi.BlockRef {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 0 {
		n += len(c.blocks)
	}
	return c.blocks[n].BlockRef
}

func (c *chain) Ledger(ctx context.Context, name string) (*ffcapi.Ledger, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return nil, c.down
	}
	return &ffcapi.Ledger{ID: c.id, Name: name, Finality: c.finality, Head: c.blocks[len(c.blocks)-1].BlockRef}, ctx.Err()
}

func (c *chain) Block(ctx context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, number)
	switch {
	case c.down != nil:
		return nil, c.down
	case takeOne(&c.unread):
		return nil, ffcapi.Errorf(ffcapi.Timeout, "block %d took too long", number)
	case number < c.first:
		return nil, c.pruned()
	case number >= uint64(len(c.blocks)):
		return nil, ffcapi.Errorf(ffcapi.NotFound, "no block %d", number)
	}
	return c.blocks[number], ctx.Err()
}

func (c *chain) pruned() error {
	return &ffcapi.Error{Kind: ffcapi.Pruned, Message: "pruned", FirstBlock: c.first}
}

func (c *chain) Blocks(ctx context.Context, _ string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		var mute, broken bool
		var session int
		c.set(func() {
			session = len(c.sessions)
			c.sessions = append(c.sessions, after)
			mute, broken = takeOne(&c.mute), takeOne(&c.broken)
		})
		if mute {
			<-ctx.Done()
			return
		}
		for last, n := after, 0; ; n++ {
			b, err := c.next(ctx, session, last, n)
			if ctx.Err() != nil {
				return
			}
			if broken && n == 1 {
				b, err = nil, ffcapi.Errorf(ffcapi.Unavailable, "connection reset")
			}
			if !yield(b, err) || err != nil {
				return
			}
			last = b.BlockRef
		}
	}
}

func takeOne(n *int) bool {
	if *n > 0 {
		*n--
		return true
	}
	return false
}

// next waits for the block that follows last, or repeats the head.
func (c *chain) next(ctx context.Context, session int, last ffcapi.BlockRef, n int) (*ffcapi.Block, error) {
	life := time.NewTimer(30 * time.Second)
	defer life.Stop()
	for {
		c.mu.Lock()
		number, end, changed, down := c.follow(last), max(1, len(c.blocks)-c.lag), c.changed, c.down
		if c.headsOnly && n > 0 && number < end {
			number = end - 1
		}
		if c.hold > 0 {
			end = min(end, int(c.hold))
		}
		var next, head *ffcapi.Block
		if number < end {
			next = c.blocks[number]
		}
		head = c.blocks[max(1, len(c.blocks)-c.lag)-1]
		gone, frozen := uint64(number) < c.first, session < c.frozen
		c.mu.Unlock()
		switch {
		case frozen:
			<-ctx.Done()
			return nil, ctx.Err()
		case down != nil:
			return nil, down
		case gone:
			return nil, c.pruned()
		case next != nil:
			return next, nil
		}
		select {
		case <-changed:
		case <-life.C:
			return head, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// follow returns the number of the canonical block after the newest canonical ancestor of last.
func (c *chain) follow(last ffcapi.BlockRef) int {
	for b := c.all[last.Hash]; b != nil; b = c.all[b.ParentHash] {
		if b.Number < uint64(len(c.blocks)) && c.blocks[b.Number].Hash == b.Hash {
			return int(b.Number) + 1
		}
	}
	if last.IsZero() {
		return 0
	}
	return min(int(last.Number), len(c.blocks)-1)
}

func (c *chain) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.flying++
	c.most = max(c.most, c.flying)
	defer func() { c.flying-- }()
	if c.stuck[q.Hash] {
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return nil, ctx.Err()
	}
	if c.receipts[q.Hash] > 0 {
		c.receipts[q.Hash]--
		return nil, ffcapi.Errorf(ffcapi.NotFound, "no transaction %s", q.Hash)
	}
	for _, b := range c.blocks {
		for _, tx := range b.Transactions {
			if tx.Hash != q.Hash {
				continue
			}
			r := &ffcapi.Receipt{Block: b.BlockRef, TxIndex: tx.Index, Success: tx.Success}
			if c.foreign[q.Hash] > 0 {
				c.foreign[q.Hash]--
				r.Block.Hash, r.Success = "elsewhere", !tx.Success
			}
			return r, nil
		}
	}
	return nil, ffcapi.Errorf(ffcapi.NotFound, "no transaction %s", q.Hash)
}
