package ffcapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// The sketches in this package show the contract on three different chains. Each is a whole connector, but to a small fake of
// the client that a real one would use:
//
//	sketch_fabric_test.go   two channels, endorsed envelopes, outcomes in blocks
//	sketch_evm_test.go      nonces, receipts, logs by eth_getLogs, reorganisations
//	sketch_fftm_test.go     FFTM's connector interface, which pushes events, behind an adapter that pages
//
// A fakeChain is what the fakes have behind them.
type fakeChain struct {
	mu      sync.Mutex
	blocks  []fakeBlock   // guarded by mu
	forks   int           // guarded by mu; makes hashes of replaced blocks differ
	changed chan struct{} // guarded by mu; closed and replaced when blocks changes
}

type fakeBlock struct {
	number       uint64
	hash, parent string
	txs          []fakeTx
}

type fakeTx struct {
	id, from string
	nonce    uint64
	invalid  string // why it has no effect
	event    string
	data     string // JSON
}

var errNoBlock = errors.New("no such block")

func newFakeChain(name string) *fakeChain {
	return &fakeChain{blocks: []fakeBlock{{hash: name + "-0"}}, changed: make(chan struct{})}
}

// add puts transactions in a new block.
func (c *fakeChain) add(txs ...fakeTx) fakeBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addLocked(txs)
}

func (c *fakeChain) addLocked(txs []fakeTx) fakeBlock {
	last := c.blocks[len(c.blocks)-1]
	b := fakeBlock{number: last.number + 1, parent: last.hash, txs: txs}
	b.hash = fmt.Sprintf("%s-%d.%d", c.blocks[0].hash, b.number, c.forks)
	c.blocks = append(c.blocks, b)
	close(c.changed)
	c.changed = make(chan struct{})
	return b
}

// replace drops the blocks from number on and adds others.
func (c *fakeChain) replace(number uint64, blocks ...[]fakeTx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forks++
	c.blocks = slices.Clone(c.blocks[:number])
	for _, txs := range blocks {
		c.addLocked(txs)
	}
}

func (c *fakeChain) at(n uint64) (fakeBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= uint64(len(c.blocks)) {
		return fakeBlock{}, errNoBlock
	}
	return c.blocks[n], nil
}

func (c *fakeChain) head() fakeBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1]
}

// find returns the first block with a transaction.
func (c *fakeChain) find(id string) (fakeBlock, int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		for i, tx := range b.txs {
			if tx.id == id {
				return b, i, true
			}
		}
	}
	return fakeBlock{}, 0, false
}

// wait returns block n once it is there.
func (c *fakeChain) wait(ctx context.Context, n uint64) (fakeBlock, error) {
	if _, err := c.until(ctx, func(head fakeBlock) bool { return head.number >= n }); err != nil {
		return fakeBlock{}, err
	}
	return c.at(n)
}

// until waits for a head.
func (c *fakeChain) until(ctx context.Context, good func(head fakeBlock) bool) (fakeBlock, error) {
	for {
		c.mu.Lock()
		changed, head := c.changed, c.blocks[len(c.blocks)-1]
		c.mu.Unlock()
		if good(head) {
			return head, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fakeBlock{}, ctx.Err()
		}
	}
}

// sketchFilter is a filter of all sketches.
type sketchFilter struct {
	Channel string `json:"channel"` // Fabric
	Event   string `json:"event"`
}

// sketchTimeout bounds what a sketch's test waits for.
const sketchTimeout = 10 * time.Second

// core stands in for what calls a connector.
type core struct {
	*testing.T
	ffcapi.Connector
	ctx    context.Context
	ledger string
}

func newCore(t *testing.T, c ffcapi.Connector, ledger string) *core {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sketchTimeout)
	t.Cleanup(cancel)
	return &core{t, c, ctx, ledger}
}

// send prepares and submits, twice, and returns the outcome from the chain.
func (c *core) send(req *ffcapi.Request) *ffcapi.Receipt {
	c.Helper()
	p, err := c.Prepare(c.ctx, req)
	require.NoError(c, err)
	require.Equal(c, c.ledger, p.Ledger)
	sub := &ffcapi.Submission{Prepared: p, From: req.From, To: req.To}
	if s, ok := c.Connector.(ffcapi.Sequencer); ok {
		n, _, err := s.NextNonce(c.ctx, c.ledger, req.From)
		require.NoError(c, err)
		sub.Nonce = &n
	}
	s, err := c.Submit(c.ctx, sub)
	require.NoError(c, err)
	_, err = c.Submit(c.ctx, sub)
	require.True(c, err == nil || ffcapi.KindOf(err) == ffcapi.KnownTransaction, "%v", err)

	for b, err := range c.Blocks(c.ctx, c.ledger, ffcapi.BlockRef{}) {
		require.NoError(c, err)
		if slices.ContainsFunc(b.Transactions, func(tx ffcapi.TxOutcome) bool { return tx.Hash == s.Hash }) {
			break
		}
	}
	r, err := c.Receipt(c.ctx, &ffcapi.ReceiptQuery{Ledger: c.ledger, Hash: s.Hash})
	require.NoError(c, err)
	return r
}

func (c *core) head() ffcapi.BlockRef {
	c.Helper()
	l, err := c.Ledger(c.ctx, c.ledger)
	require.NoError(c, err)
	return l.Head
}

// read returns the events up to a block as "name data@listeners" and where the session ended.
func (c *core) read(from ffcapi.Cursor, upto ffcapi.BlockRef, filters ...string) (events []string, next ffcapi.Cursor, err error) {
	c.Helper()
	q := &ffcapi.EventQuery{Ledger: c.ledger, From: from, Upto: upto, Max: 2}
	for _, f := range filters {
		l, err := c.Listener(c.ctx, &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(f)}, FromBlock: "earliest"})
		require.NoError(c, err)
		require.Equal(c, c.ledger, l.Ledger)
		q.Listeners = append(q.Listeners, l)
	}
	next = from
	for page, err := range c.Events(c.ctx, q) {
		if err != nil {
			return events, next, err
		}
		next = page.Next
		for _, ev := range page.Events {
			events = append(events, fmt.Sprintf("%s %s@%v", ev.Name, ev.Data, ev.Matches))
		}
	}
	return events, next, nil
}
