package devledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// signOfLife is how often Blocks repeats the head while nothing happens.
const signOfLife = 30 * time.Second

// load reads a block that exists. Without transactions there may be nothing to read.
func (l *ledger) load(e entry, n uint64) (*block, error) {
	if e.size == 0 {
		return &block{number: n, time: e.time}, nil
	}
	frame, err := l.store.read(e.pos, e.size)
	if err == nil {
		var b *block
		if b, _, err = decodeBlock(frame); err == nil {
			return b, nil
		}
	}
	kind := ffcapi.Internal
	if errors.Is(err, fs.ErrClosed) {
		kind = ffcapi.Unavailable
	}
	return nil, ffcapi.Errorf(kind, "block %d cannot be read: %w", n, err)
}

// blockRefs is what a block is in the words of the contract, before its content.
type blockRefs struct {
	entry
	number uint64
	parent digest
	offset int // index of the first transaction
}

// refs describes a block that exists. The caller holds mu.
func (l *ledger) refs(n uint64) blockRefs {
	r := blockRefs{entry: l.chain.entry(n), number: n, offset: l.chain.offset(n)}
	if n > 0 {
		r.parent = l.chain.entry(n - 1).hash
	}
	return r
}

// view reads a block and puts it in the words of the contract.
func (l *ledger) view(r blockRefs) (*ffcapi.Block, error) {
	b, err := l.load(r.entry, r.number)
	if err != nil {
		return nil, err
	}
	out := &ffcapi.Block{
		BlockRef:     ffcapi.BlockRef{Number: r.number, Hash: r.hash.text()},
		Timestamp:    timeOf(r.time),
		Outcomes:     l.cfg.OutcomesInBlocks,
		Transactions: make([]ffcapi.TxOutcome, 0, len(b.txs)),
	}
	if r.number > 0 {
		out.ParentHash = r.parent.text()
	}
	for i := range b.txs {
		if t := &b.txs[i]; t.status != statusDuplicate {
			out.Transactions = append(out.Transactions, l.outcome(t, uint64(r.offset+i)))
		}
	}
	return out, nil
}

func (l *ledger) outcome(t *txRecord, index uint64) ffcapi.TxOutcome {
	o := ffcapi.TxOutcome{Hash: t.hash.text(), Index: index, From: t.from}
	if l.cfg.Sequenced {
		o.Nonce = &t.nonce
	}
	if !l.cfg.OutcomesInBlocks {
		return o
	}
	o.Success, o.Reason = t.status == statusOK, t.reason
	if len(t.result) > 0 {
		o.Result = t.result
	}
	o.ContractLocation = deployed(t)
	return o
}

// Block implements ffcapi.Connector.
func (l *ledger) Block(ctx context.Context, name string, number uint64) (*ffcapi.Block, error) {
	if err := l.enter(ctx, MethodBlock, name); err != nil {
		return nil, err
	}
	l.mu.RLock()
	end := l.visible()
	if number >= end {
		l.mu.RUnlock()
		return nil, ffcapi.Errorf(ffcapi.NotFound, "block %d: the head is block %d", number, end-1)
	}
	r := l.refs(number)
	l.mu.RUnlock()
	return l.view(r)
}

// Blocks implements ffcapi.Connector. When ctx is done the sequence ends without an error.
func (l *ledger) Blocks(ctx context.Context, name string, after ffcapi.BlockRef) iter.Seq2[*ffcapi.Block, error] {
	return func(yield func(*ffcapi.Block, error) bool) {
		for last := after; ctx.Err() == nil; {
			b, err := l.nextBlock(ctx, name, last)
			if ctx.Err() != nil {
				return
			}
			if !yield(b, err) || err != nil {
				return
			}
			last = b.BlockRef
		}
	}
}

// nextBlock returns the block to show after last: the next one, or the head once more when nothing came for a while.
func (l *ledger) nextBlock(ctx context.Context, name string, last ffcapi.BlockRef) (*ffcapi.Block, error) {
	if err := l.enter(ctx, MethodBlocks, name); err != nil {
		return nil, err
	}
	life := time.NewTimer(signOfLife)
	defer life.Stop()
	for {
		l.mu.RLock()
		n, end, changed := l.chain.after(last), l.visible(), l.changed
		if n < end {
			r := l.refs(n)
			l.mu.RUnlock()
			return l.view(r)
		}
		r := l.refs(end - 1)
		l.mu.RUnlock()
		select {
		case <-changed:
		case <-life.C:
			return l.view(r)
		case <-l.closed:
			return nil, ffcapi.Errorf(ffcapi.Unavailable, "the dev ledger is closed")
		case <-ctx.Done():
			return nil, ended(ctx)
		}
	}
}

// Receipt implements ffcapi.Connector.
func (l *ledger) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	if err := l.enter(ctx, MethodReceipt, q.Ledger); err != nil {
		return nil, err
	}
	filters, err := l.parseFilters("eventFilters", q.EventFilters)
	if err != nil {
		return nil, err
	}
	hash, ok := parseDigest(q.Hash)
	if !ok {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "transaction %s: that is no hash of this ledger", q.Hash)
	}
	l.mu.RLock()
	pos, ok := l.chain.txs[keyOf(hash)]
	if !ok || pos.block() >= l.visible() {
		l.mu.RUnlock()
		return nil, ffcapi.Errorf(ffcapi.NotFound, "transaction %s is not on the chain", q.Hash)
	}
	r := l.refs(pos.block())
	l.mu.RUnlock()
	b, err := l.load(r.entry, r.number)
	if err != nil {
		return nil, err
	}
	t := &b.txs[pos.index()-uint64(r.offset)]
	if t.hash != hash {
		return nil, ffcapi.Errorf(ffcapi.NotFound, "transaction %s is not on the chain", q.Hash)
	}
	return l.receipt(q, filters, r, t, pos)
}

func (l *ledger) receipt(q *ffcapi.ReceiptQuery, filters []filter, r blockRefs, t *txRecord, pos txPos) (*ffcapi.Receipt, error) {
	out := &ffcapi.Receipt{
		Block:      ffcapi.BlockRef{Number: r.number, Hash: r.hash.text()},
		TxIndex:    pos.index(),
		Success:    t.status == statusOK,
		Reason:     t.reason,
		ProtocolID: fmt.Sprintf("%012d/%06d", r.number, pos.index()),
	}
	if len(t.result) > 0 {
		out.Result = t.result
	}
	if t.event != noEvent {
		ev := assetEvent(r, out.Block.Hash, t, pos.index())
		if q.IncludeLogs {
			raw, err := json.Marshal(map[string]any{"address": ev.Address, "event": ev.Name, "data": ev.Data})
			if err != nil {
				return nil, ffcapi.Errorf(ffcapi.Internal, "log of %s: %w", q.Hash, err)
			}
			out.Logs = append(out.Logs, raw)
		}
		for _, f := range filters {
			if f.matchesAsset(ev.Address, t.event) {
				out.Events = append(out.Events, &ev)
				break
			}
		}
	}
	out.ContractLocation = deployed(t)
	extra := map[string]any{"contract": contractOf(t.payload)}
	if q.ExtractSigner {
		extra["from"] = t.from
	}
	raw, err := json.Marshal(extra)
	if err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "receipt of %s: %w", q.Hash, err)
	}
	out.Extra = raw
	return out, nil
}

// assetEvent is the event of a transaction.
func assetEvent(r blockRefs, blockHash string, t *txRecord, index uint64) ffcapi.Event {
	ts := timeOf(r.time)
	return ffcapi.Event{
		Cursor:    ffcapi.Cursor{Block: r.number, Tx: index},
		BlockHash: blockHash,
		TxHash:    t.hash.text(),
		Name:      eventNames[t.event],
		Address:   contractOf(t.payload),
		Timestamp: &ts,
		Data:      t.data,
	}
}
