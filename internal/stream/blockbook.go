package stream

import (
	"container/list"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
)

const (
	// bookPage is how many blocks are read at once, at most.
	bookPage = 100
	// bookPageBytes ends a page early.
	bookPageBytes = 1 << 20
	// bookBytes bounds what is kept of a ledger's blocks.
	bookBytes = 4 << 20
	// bookSingles is how many blocks are asked for one by one before it is worth a session of its own.
	bookSingles = 3
	// blockDigits pads the number in the id of a block, so that ids sort in order.
	blockDigits = 12
)

// chainBlock is a block as an event, encoded once for all listeners.
type chainBlock struct {
	ref            ffcapi.BlockRef
	parent         string
	json           []byte // the event, but for what differs between listeners; the object is left open
	idStart, idEnd int    // where the id of the event is in it
}

// size is about what a block takes in memory.
func (b *chainBlock) size() int {
	const fixed = 512
	return fixed + len(b.json)
}

// newChainBlock encodes a block.
func newChainBlock(connector, ledger string, finality ffcapi.Finality, b *ffcapi.Block) *chainBlock {
	c := &chainBlock{ref: b.BlockRef, parent: b.ParentHash}
	number := strconv.FormatUint(b.Number, 10)
	padded := number
	for len(padded) < blockDigits {
		padded = "0" + padded
	}
	id := connector + ":" + ledger + ":" + padded
	if finality != ffcapi.Instant {
		id += "/" + forkID(b.Hash)
	}
	const each = 72
	j := append(make([]byte, 0, 512+each*len(b.Transactions)), `{"id":`...)
	c.idStart = len(j) + 1
	j = appendJSONString(j, id)
	c.idEnd = len(j) - 1
	j = append(append(append(j, `,"protocolId":"`...), padded...), `","ledger":`...)
	j = appendJSONString(j, ledger)
	j = append(append(append(j, `,"blockNumber":"`...), number...), `","blockHash":`...)
	j = appendJSONString(j, b.Hash)
	j = append(j, `,"parentHash":`...)
	j = appendJSONString(j, b.ParentHash)
	if !b.Timestamp.IsZero() {
		j = append(j, `,"timestamp":"`...)
		j = b.Timestamp.UTC().AppendFormat(j, time.RFC3339Nano)
		j = append(j, '"')
	}
	j = append(j, `,"transactionHashes":[`...)
	for i := range b.Transactions {
		if i > 0 {
			j = append(j, ',')
		}
		j = appendJSONString(j, b.Transactions[i].Hash)
	}
	c.json = append(j, ']')
	return c
}

// blockBook is one ledger's blocks as all listeners of type blocks in the process read them: who comes first reads a page, and those who are
// at the same place wait for it and find it here. Those who are elsewhere read a page of their own meanwhile.
type blockBook struct {
	connector ffcapi.Connector
	name      string // of the connector
	ledger    string
	finality  ffcapi.Finality
	told      survive.Told
	limit     int // bookBytes; smaller in tests

	mu     sync.Mutex
	loads  []*bookLoad              // guarded by mu; under way
	blocks map[uint64]*list.Element // guarded by mu; of *chainBlock, by number
	recent list.List                // guarded by mu; least recently used first
	size   int                      // guarded by mu
}

// bookLoad is the reading of a page.
type bookLoad struct {
	from, to uint64        // the blocks of the page, if it gets them all
	done     chan struct{} // closed when it is over
}

// book returns the blocks of a ledger.
func (m *Manager) book(ledger string, finality ffcapi.Finality) *blockBook {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.books[ledger]
	if b == nil {
		b = newBlockBook(m.opts.Connector, m.opts.ConnectorName, ledger, finality, m.opts.Log)
		m.books[ledger] = b
	}
	return b
}

// forgetBlocks lets go of all blocks: the chain has changed, and some of them may be of the old one although nobody can tell any more.
func (m *Manager) forgetBlocks() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.books {
		b.forget(0)
	}
}

func newBlockBook(c ffcapi.Connector, name, ledger string, finality ffcapi.Finality, log *logrus.Entry) *blockBook {
	return &blockBook{
		connector: c, name: name, ledger: ledger, finality: finality, told: survive.Log(log), limit: bookBytes,
		blocks: make(map[uint64]*list.Element),
	}
}

// read returns blocks from a number on, in order, without a gap and none above upto: at least one, at most a page. They are what a node has
// answered at some time. What is returned is shared.
func (b *blockBook) read(ctx context.Context, from, upto uint64) ([]*chainBlock, error) {
	for {
		known, load, mine := b.look(from, upto)
		switch {
		case len(known) > 0:
			return known, nil
		case mine:
			return b.load(ctx, load)
		}
		select {
		case <-load.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// look returns what is kept from a number on or, if that is nothing, the load that will have it; mine says that the caller is to carry it out.
func (b *blockBook) look(from, upto uint64) (known []*chainBlock, load *bookLoad, mine bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.known(from, upto); len(known) > 0 {
		return known, nil, false
	}
	for _, l := range b.loads {
		if l.from <= from && from <= l.to {
			return nil, l, false
		}
	}
	load = &bookLoad{from: from, to: min(upto, from+bookPage-1), done: make(chan struct{})}
	b.loads = append(b.loads, load)
	return nil, load, true
}

// loaded says that a load is over.
func (b *blockBook) loaded(load *bookLoad) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loads = slices.DeleteFunc(b.loads, func(l *bookLoad) bool { return l == load })
	close(load.done)
}

// known returns what is kept from a number on. The caller holds mu.
func (b *blockBook) known(from, upto uint64) []*chainBlock {
	var found []*chainBlock
	for n := from; n <= upto && len(found) < bookPage; n++ {
		e, ok := b.blocks[n]
		if !ok {
			break
		}
		b.recent.MoveToBack(e)
		found = append(found, e.Value.(*chainBlock)) //nolint:errcheck,forcetypeassert // nothing else is put in
	}
	return found
}

// load reads a page. When it gets only some of the blocks, it returns those.
func (b *blockBook) load(ctx context.Context, load *bookLoad) ([]*chainBlock, error) {
	defer b.loaded(load)
	from, to := load.from, load.to
	ctx, cancel := call(ctx)
	defer cancel()
	var page []*chainBlock
	size := 0
	add := func(block *ffcapi.Block) (goesOn bool) {
		c := newChainBlock(b.name, b.ledger, b.finality, block)
		page = append(page, c)
		b.keep(c)
		size += c.size()
		return block.Number < to && size < bookPageBytes
	}
	for n := from; n < from+bookSingles; n++ {
		block, err := survive.Ask(b.told, func() (*ffcapi.Block, error) { return b.connector.Block(ctx, b.ledger, n) })
		switch {
		case err == nil && block.Number != n:
			err = ffcapi.Errorf(ffcapi.Internal, "the connector gives block %d of ledger %q for block %d", block.Number, b.ledger, n)
		case err != nil:
			err = fmt.Errorf("block %d of ledger %q: %w", n, b.ledger, err)
		}
		switch {
		case err != nil && len(page) > 0:
			return page, nil // who wants the next one is told
		case err != nil:
			return nil, err
		case !add(block):
			return page, nil
		}
	}
	last := page[len(page)-1].ref
	for block, err := range survive.Seq(b.told, func() iter.Seq2[*ffcapi.Block, error] { return b.connector.Blocks(ctx, b.ledger, last) }) {
		if err != nil || block.Number > last.Number+1 {
			break
		}
		if block.Number <= last.Number {
			continue // repeated
		}
		last = block.BlockRef
		if !add(block) {
			break
		}
	}
	return page, nil
}

// keep takes a block in, and lets go of those that were not used for longest.
func (b *blockBook) keep(c *chainBlock) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.blocks[c.ref.Number]; ok {
		b.drop(e)
	}
	b.blocks[c.ref.Number] = b.recent.PushBack(c)
	b.size += c.size()
	for b.size > b.limit && b.recent.Len() > 1 {
		b.drop(b.recent.Front())
	}
}

// drop lets go of a block. The caller holds mu.
func (b *blockBook) drop(e *list.Element) {
	c := b.recent.Remove(e).(*chainBlock) //nolint:errcheck,forcetypeassert // nothing else is put in
	delete(b.blocks, c.ref.Number)
	b.size -= c.size()
}

// forget lets go of the blocks from a number on, which have turned out not to be canonical.
func (b *blockBook) forget(from uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, e := range b.blocks {
		if n >= from {
			b.drop(e)
		}
	}
}
