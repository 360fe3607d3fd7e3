package ffcapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// evmNode is what the sketch uses of a JSON-RPC client.
type evmNode interface {
	blockByNumber(ctx context.Context, n uint64) (fakeBlock, error)   // eth_getBlockByNumber
	newHead(ctx context.Context, seen string) error                   // eth_subscribe newHeads, or polling
	nonce(ctx context.Context, signer, tag string) (uint64, error)    // eth_getTransactionCount
	estimateGas(ctx context.Context, data string) (string, error)     // eth_estimateGas, which also simulates
	sendRaw(ctx context.Context, raw evmRaw) (hash string, err error) // eth_sendRawTransaction
	receipt(ctx context.Context, hash string) (*ffcapi.Receipt, error)
	head(ctx context.Context) (fakeBlock, error)
	// logsAndBlock is eth_getLogs over a range of blocks and eth_getBlockByNumber in one JSON-RPC batch. A batch is answered
	// by one node, also behind a load balancer: so the block says whose logs these are.
	logsAndBlock(ctx context.Context, from, to, block uint64) ([]evmLog, fakeBlock, error)
}

type evmRaw struct {
	from, data string
	nonce      uint64
}

type evmLog struct {
	ffcapi.Cursor
	blockHash, txHash, topic, data string
}

// Words of the node. A real connector has them, too, in one file.
var (
	errNonceTooLow  = errors.New("nonce too low")
	errAlreadyKnown = errors.New("already known")
)

// evmSketch is a connector to one chain, so its ledger's name is empty. Outcomes are in receipts, nonces are the core's to assign,
// and blocks may be replaced.
type evmSketch struct{ node evmNode }

var (
	_ ffcapi.Connector    = (*evmSketch)(nil)
	_ ffcapi.Sequencer    = (*evmSketch)(nil)
	_ ffcapi.FeeEstimator = (*evmSketch)(nil)
)

const (
	evmSpan = 2   // blocks that one eth_getLogs asks for; providers refuse large ranges
	evmFork = 128 // how far back Blocks goes from a block that was replaced
)

func (e *evmSketch) Ledger(ctx context.Context, _ string) (*ffcapi.Ledger, error) {
	genesis, err := e.node.blockByNumber(ctx, 0)
	if err != nil {
		return nil, evmError(err)
	}
	head, err := e.node.head(ctx)
	if err != nil {
		return nil, evmError(err)
	}
	return &ffcapi.Ledger{ID: genesis.hash, Finality: ffcapi.Confirmations, Head: ffcapi.BlockRef{Number: head.number, Hash: head.hash}}, nil
}

// Blocks asks for the next number. When that block does not follow from the last one, it starts again further back.
func (e *evmSketch) Blocks(ctx context.Context, _ string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		for last := after; ; {
			next := uint64(0)
			if !last.IsZero() {
				next = last.Number + 1
			}
			b, err := e.node.blockByNumber(ctx, next)
			if errors.Is(err, errNoBlock) {
				head, err := e.node.head(ctx)
				if err != nil {
					yield(nil, evmError(err))
					return
				}
				if head.hash == last.Hash {
					if err := e.node.newHead(ctx, last.Hash); err != nil {
						yield(nil, evmError(err))
						return
					}
					continue
				}
				b.parent, next = "", min(next, head.number+1) // the head is another or lower one: replaced
			} else if err != nil {
				yield(nil, evmError(err))
				return
			}
			if !last.IsZero() && b.parent != last.Hash {
				if b, err = e.node.blockByNumber(ctx, next-min(next, evmFork)); err != nil {
					yield(nil, evmError(err))
					return
				}
			}
			if !yield(evmBlock(b), nil) {
				return
			}
			last = ffcapi.BlockRef{Number: b.number, Hash: b.hash}
		}
	}
}

func evmBlock(b fakeBlock) *ffcapi.Block {
	out := &ffcapi.Block{BlockRef: ffcapi.BlockRef{Number: b.number, Hash: b.hash}, ParentHash: b.parent}
	for i, tx := range b.txs {
		out.Transactions = append(out.Transactions, ffcapi.TxOutcome{Hash: tx.id, Index: uint64(i), From: tx.from, Nonce: &tx.nonce})
	}
	return out
}

func (e *evmSketch) Block(ctx context.Context, _ string, number uint64) (*ffcapi.Block, error) {
	b, err := e.node.blockByNumber(ctx, number)
	if err != nil {
		return nil, evmError(err)
	}
	return evmBlock(b), nil
}

// Prepare encodes the call. The hash is not known before there is a nonce and a fee.
func (e *evmSketch) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	if req.From == "" {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "from: it is missing")
	}
	data := string(req.Params[0])
	gas, err := e.node.estimateGas(ctx, data)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Reverted, "%w", err)
	}
	return &ffcapi.Prepared{Payload: []byte(data), Gas: gas}, nil
}

// Submit signs and sends. The same submission gives the same bytes and so the same hash, whatever the node has to say.
func (e *evmSketch) Submit(ctx context.Context, sub *ffcapi.Submission) (*ffcapi.Submitted, error) {
	raw := evmRaw{sub.From, string(sub.Prepared.Payload), *sub.Nonce}
	hash, err := e.node.sendRaw(ctx, raw)
	switch {
	case errors.Is(err, errAlreadyKnown):
		return nil, &ffcapi.Error{Kind: ffcapi.KnownTransaction, Sent: ffcapi.SentYes, Hash: evmHash(raw), Err: err}
	case errors.Is(err, errNonceTooLow): // by this transaction or by another one: the core finds out
		return nil, &ffcapi.Error{Kind: ffcapi.NonceTooLow, Sent: ffcapi.SentYes, Hash: evmHash(raw), Err: err}
	case err != nil:
		return nil, &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentMaybe, Hash: evmHash(raw), Err: err}
	}
	return &ffcapi.Submitted{Hash: hash}, nil
}

func evmHash(raw evmRaw) string { return fmt.Sprintf("0x%s-%d-%s", raw.from, raw.nonce, raw.data) }

func (e *evmSketch) NextNonce(ctx context.Context, _, signer string) (pending, latest uint64, err error) {
	if pending, err = e.node.nonce(ctx, signer, "pending"); err == nil {
		latest, err = e.node.nonce(ctx, signer, "latest")
	}
	if err != nil {
		return 0, 0, evmError(err)
	}
	return pending, latest, nil
}

// Cancel is a transfer of nothing to oneself.
func (e *evmSketch) Cancel(_ context.Context, _, signer string, nonce uint64) (*ffcapi.Prepared, error) {
	return &ffcapi.Prepared{Payload: nil, Gas: "21000", Exclusive: fmt.Sprintf("%s/%d", signer, nonce)}, nil
}

func (e *evmSketch) EstimateFee(context.Context, string) (json.RawMessage, error) {
	return json.RawMessage(`{"maxFeePerGas":"1","maxPriorityFeePerGas":"1"}`), nil
}

func (e *evmSketch) Query(context.Context, *ffcapi.Request) (json.RawMessage, error) {
	return nil, ffcapi.Errorf(ffcapi.Unsupported, "eth_call is left out of the sketch")
}

func (e *evmSketch) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	r, err := e.node.receipt(ctx, q.Hash)
	if err != nil {
		return nil, evmError(err)
	}
	return r, nil
}

func (e *evmSketch) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	var filter sketchFilter
	if err := json.Unmarshal(spec.Filters[0], &filter); err != nil {
		return nil, ffcapi.Errorf(ffcapi.InvalidInput, "filters[0]: %w", err)
	}
	l := &ffcapi.Listener{Key: filter.Event, Signature: filter.Event, Resolved: spec.Filters[0]}
	if spec.FromBlock == "earliest" {
		return l, nil
	}
	head, err := e.node.head(ctx)
	if err != nil {
		return nil, evmError(err)
	}
	l.Start = ffcapi.BlockStart(head.number + 1)
	return l, nil
}

// Events makes a page of each eth_getLogs. The logs count only if the node that gave them holds Upto, and so everything below.
func (e *evmSketch) Events(ctx context.Context, q *ffcapi.EventQuery) iter.Seq2[*ffcapi.EventPage, error] {
	return func(yield func(*ffcapi.EventPage, error) bool) {
		for pos := q.From; !q.Upto.IsZero() && pos.Block <= q.Upto.Number; {
			to := min(pos.Block+evmSpan-1, q.Upto.Number)
			logs, upto, err := e.node.logsAndBlock(ctx, pos.Block, to, q.Upto.Number)
			if err != nil || upto.hash != q.Upto.Hash {
				yield(nil, ffcapi.Errorf(ffcapi.Unavailable, "the node does not hold block %d %s", q.Upto.Number, q.Upto.Hash))
				return
			}
			last, err := e.node.blockByNumber(ctx, to) // its hash for Through, which the core checks
			if err != nil {
				yield(nil, evmError(err))
				return
			}
			page := &ffcapi.EventPage{Next: ffcapi.BlockStart(to + 1), Through: ffcapi.BlockRef{Number: to, Hash: last.hash}}
			for _, log := range logs {
				if ev := evmEvent(log, q); len(ev.Matches) > 0 && !ev.Cursor.Before(pos) {
					page.Events = append(page.Events, ev)
				}
			}
			pos = page.Next
			if !yield(page, nil) {
				return
			}
		}
	}
}

func evmEvent(log evmLog, q *ffcapi.EventQuery) ffcapi.Event {
	ev := ffcapi.Event{Cursor: log.Cursor, BlockHash: log.blockHash, TxHash: log.txHash, Name: log.topic, Data: json.RawMessage(log.data)}
	for i, l := range q.Listeners {
		if l.Signature == log.topic {
			ev.Matches = append(ev.Matches, i)
		}
	}
	return ev
}

func evmError(err error) error {
	if errors.Is(err, errNoBlock) {
		return ffcapi.Errorf(ffcapi.NotFound, "%w", err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ffcapi.Errorf(ffcapi.Timeout, "%w", err)
	}
	return ffcapi.Errorf(ffcapi.Unavailable, "%w", err)
}

// fakeNode mines every transaction at once.
type fakeNode struct {
	*fakeChain
	mu     sync.Mutex
	nonces map[string]uint64 // guarded by mu
}

func (n *fakeNode) blockByNumber(_ context.Context, number uint64) (fakeBlock, error) {
	return n.at(number)
}
func (n *fakeNode) head(context.Context) (fakeBlock, error)             { return n.fakeChain.head(), nil }
func (n *fakeNode) estimateGas(context.Context, string) (string, error) { return "50000", nil }

func (n *fakeNode) newHead(ctx context.Context, seen string) error {
	_, err := n.until(ctx, func(head fakeBlock) bool { return head.hash != seen })
	return err
}

func (n *fakeNode) nonce(_ context.Context, signer, _ string) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nonces[signer], nil
}

func (n *fakeNode) sendRaw(_ context.Context, raw evmRaw) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hash := evmHash(raw)
	if _, _, known := n.find(hash); known {
		return "", errAlreadyKnown
	}
	if raw.nonce < n.nonces[raw.from] {
		return "", errNonceTooLow
	}
	n.nonces[raw.from] = raw.nonce + 1
	n.add(fakeTx{id: hash, from: raw.from, nonce: raw.nonce, event: "Changed", data: raw.data})
	return hash, nil
}

func (n *fakeNode) receipt(_ context.Context, hash string) (*ffcapi.Receipt, error) {
	b, i, ok := n.find(hash)
	if !ok {
		return nil, errNoBlock
	}
	return &ffcapi.Receipt{Block: ffcapi.BlockRef{Number: b.number, Hash: b.hash}, TxIndex: uint64(i), Success: true}, nil
}

func (n *fakeNode) logsAndBlock(_ context.Context, from, to, block uint64) (logs []evmLog, b fakeBlock, err error) {
	for k := from; k <= to; k++ {
		b, err := n.at(k)
		if err != nil {
			break // a real node has no error for a range above its head either: the trap
		}
		for i, tx := range b.txs {
			logs = append(logs, evmLog{ffcapi.Cursor{Block: k, Tx: uint64(i)}, b.hash, tx.id, tx.event, tx.data})
		}
	}
	b, err = n.at(block)
	return logs, b, err
}

func TestEVMSketch(t *testing.T) {
	t.Parallel()
	chain := newFakeChain("evm")
	c := newCore(t, &evmSketch{&fakeNode{fakeChain: chain, nonces: map[string]uint64{}}}, "")
	for i := range 5 {
		require.True(t, c.send(&ffcapi.Request{From: "ann", To: "0xc", Params: []json.RawMessage{json.RawMessage(strconv.Itoa(i))}}).Success)
	}
	const changed, other = `{"event":"Changed"}`, `{"event":"Other"}`
	events, next, err := c.read(ffcapi.Cursor{}, c.head(), other, changed)
	require.NoError(t, err)
	require.Equal(t, []string{"Changed 0@[1]", "Changed 1@[1]", "Changed 2@[1]", "Changed 3@[1]", "Changed 4@[1]"}, events)
	require.Equal(t, ffcapi.BlockStart(6), next)

	old := c.head()
	ahead := ffcapi.BlockRef{Number: old.Number + 3, Hash: "of another node"}
	_, next, err = c.read(ffcapi.Cursor{}, ahead, changed)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err), "this node lags")
	require.LessOrEqual(t, next.Block, old.Number)

	chain.replace(4, []fakeTx{{id: "0xnew", event: "Changed", data: `"new"`}})
	_, _, err = c.read(ffcapi.Cursor{}, old, changed)
	require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err), "block 5 is gone")
	for b, err := range c.Blocks(c.ctx, "", old) {
		require.NoError(t, err)
		require.LessOrEqual(t, b.Number, old.Number, "the consumer rewinds")
		break
	}
	events, _, err = c.read(ffcapi.BlockStart(4), c.head(), changed)
	require.NoError(t, err)
	require.Equal(t, []string{`Changed "new"@[0]`}, events)
}

func TestEVMSketchFollowsTheHead(t *testing.T) {
	t.Parallel()
	chain := newFakeChain("evm")
	ctx, cancel := context.WithTimeout(t.Context(), sketchTimeout)
	defer cancel()
	e := &evmSketch{&fakeNode{fakeChain: chain, nonces: map[string]uint64{}}}
	var numbers []uint64
	for b, err := range e.Blocks(ctx, "", ffcapi.BlockRef{}) {
		require.NoError(t, err)
		if numbers = append(numbers, b.Number); len(numbers) == 6 {
			break
		}
		switch len(numbers) {
		case 1, 2, 3:
			time.AfterFunc(time.Millisecond, func() { chain.add() }) // while Blocks waits
		case 4:
			chain.replace(3, nil, nil)
		}
	}
	require.Equal(t, []uint64{0, 1, 2, 3, 0, 1}, numbers, "it goes back far enough, and on from there")
}
