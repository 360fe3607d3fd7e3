package devledger

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// entry is what memory keeps of a stored block.
type entry struct {
	pos    int64 // in the log; meaningless when size is 0
	time   int64 // unix nanoseconds
	size   uint32
	events uint32
	hash   digest
}

// txKey is the first half of a transaction's hash: enough to tell transactions apart, half the memory.
type txKey [16]byte

func keyOf(d digest) txKey { return txKey(d[:len(txKey{})]) }

// txPos packs a block number and a position in it, which is below 2^20.
type txPos uint64

const txPosBits = 20

func newTxPos(block uint64, index int) txPos { return txPos(block<<txPosBits | uint64(index)) }
func (p txPos) block() uint64                { return uint64(p) >> txPosBits }
func (p txPos) index() uint64                { return uint64(p) & (1<<txPosBits - 1) }

// chain is everything that follows from the canonical blocks. The producer alone changes it, under the ledger's lock; so the
// producer reads it without.
//
// With a synthetic load, the blocks up to base exist without entries, and those after it have an entry in live.
type chain struct {
	rules
	syn     *synthetic // nil: none
	base    uint64     // blocks that have no entry
	entries []entry    // block base+i; without a synthetic load
	live    []liveEntry
	txs     map[txKey]txPos // where a transaction is; first occurrences only
	assets  map[string]asset
	nonces  map[string]uint64 // next nonce of a signer; sequenced ledgers
	spent   map[string]uint64 // what a signer has paid; ledgers with balances
	// parents leads from the hash of a replaced block to the block before it.
	parents map[digest]digestRef
}

// digestRef is a BlockRef before it is text.
type digestRef struct {
	number uint64
	hash   digest
}

// maxParents bounds the memory of replaced blocks; what is older is as good as unknown.
const maxParents = 10_000

func newChain(r rules, syn *synthetic) *chain {
	c := &chain{
		rules: r, syn: syn, txs: map[txKey]txPos{}, assets: map[string]asset{}, nonces: map[string]uint64{}, spent: map[string]uint64{},
		parents: map[digest]digestRef{},
	}
	if syn != nil {
		c.base = syn.cfg.HistoryBlocks + 1
	}
	return c
}

// length is the number of blocks, so that the head has number length-1.
func (c *chain) length() uint64 { return c.base + uint64(len(c.entries)+len(c.live)) }

// entry returns what is known of a block that exists.
func (c *chain) entry(n uint64) entry {
	if c.syn == nil {
		return c.entries[n]
	}
	e := entry{hash: c.syn.hash(n), events: uint32(c.syn.count(n))}
	if n >= c.base {
		live := c.live[n-c.base]
		e.pos, e.size, e.time = live.pos, live.size, live.time
		e.events += live.events
	}
	return e
}

func (c *chain) ref(n uint64) ffcapi.BlockRef {
	return ffcapi.BlockRef{Number: n, Hash: c.entry(n).hash.text()}
}

// holds reports whether the chain has a block of that number and hash below end.
func (c *chain) holds(r ffcapi.BlockRef, end uint64) bool {
	d, ok := parseDigest(r.Hash)
	return ok && r.Number < end && c.entry(r.Number).hash == d
}

// after is the number of the block to read after r: the next one, or where the chain left r's branch.
func (c *chain) after(r ffcapi.BlockRef) uint64 {
	if r.IsZero() {
		return 0
	}
	if d, ok := parseDigest(r.Hash); ok {
		ref := digestRef{r.Number, d}
		for {
			if ref.number < c.length() && c.entry(ref.number).hash == ref.hash {
				return ref.number + 1
			}
			if ref, ok = c.parents[ref.hash]; !ok {
				break
			}
		}
	}
	return min(r.Number, c.length()-1) // an unknown branch: the consumer finds out how far back it goes
}

// asset implements assetReader.
func (c *chain) asset(id string) (asset, bool) {
	a, ok := c.assets[id]
	return a, ok
}

// link checks that a stored block goes on top of the chain.
func (c *chain) link(b *block) error {
	n := c.length()
	switch {
	case n == 0 && b.number == 0:
		return nil
	case b.number == 0 || b.number != n:
		return fmt.Errorf("block %d is where block %d should be", b.number, n)
	case c.entries[b.number-1].hash != b.parent:
		return fmt.Errorf("block %d does not follow from the block before it", b.number)
	}
	return nil
}

// cut drops the blocks from number on and remembers where they hung. What the transactions of these blocks did is undone by
// the caller, who executes the rest again.
func (c *chain) cut(number uint64) {
	if len(c.parents) > maxParents {
		clear(c.parents)
	}
	for n := number; n < c.length(); n++ {
		c.parents[c.entries[n].hash] = digestRef{n - 1, c.entries[n-1].hash}
	}
	c.entries = c.entries[:number]
}

// apply adds a stored block and repeats what its transactions did. Their outcomes are taken as they are.
func (c *chain) apply(b *block, e entry) error {
	c.add(b, e)
	for i := range b.txs {
		t := &b.txs[i]
		if t.status == statusOK || t.status == statusFailed && c.balance > 0 {
			if err := c.execute(t); err != nil {
				return fmt.Errorf("block %d, transaction %s: %w", b.number, t.hash.text(), err)
			}
		}
	}
	return nil
}

// add indexes a block whose effects on the assets are somebody else's to write.
func (c *chain) add(b *block, e entry) {
	if c.syn != nil {
		c.live = append(c.live, liveEntry{time: b.time, pos: e.pos, size: e.size, events: e.events})
	} else {
		c.entries = append(c.entries, e)
	}
	offset := c.offset(b.number)
	for i := range b.txs {
		t := &b.txs[i]
		if t.status == statusDuplicate {
			continue
		}
		c.txs[keyOf(t.hash)] = newTxPos(b.number, offset+i)
		if c.sequenced {
			c.nonces[t.from] = t.nonce + 1
		}
	}
}

// offset is the index of a block's first real transaction: in a block made under a synthetic load the made-up ones come first.
func (c *chain) offset(number uint64) int {
	if c.syn == nil {
		return 0
	}
	return c.syn.count(number)
}

// execute repeats what a transaction did: its outcome is known.
func (c *chain) execute(t *txRecord) error {
	call, terms, err := decodeSigned(t.payload, c.sequenced)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if c.balance > 0 {
		charge, _ := settle(call, terms, c.funds(t.from))
		c.spent[t.from] += charge
	}
	if t.status != statusOK {
		return nil
	}
	eff, err := call.run(c)
	if err != nil {
		return fmt.Errorf("it succeeded once and does not now: %w", err)
	}
	switch {
	case eff.del:
		delete(c.assets, call.id)
	case eff.put != nil:
		c.put(call.id, eff.put)
	}
	return nil
}

// put stores a copy: it must not pin the block that the value came in.
func (c *chain) put(id string, a *asset) {
	c.assets[strings.Clone(id)] = asset{owner: strings.Clone(a.owner), value: bytes.Clone(a.value)}
}

// fork returns a chain that has c's blocks below number and c's memory of replaced ones, and no effects yet.
func (c *chain) fork(number uint64) *chain {
	f := newChain(c.rules, c.syn)
	f.entries = append([]entry(nil), c.entries...)
	f.parents = maps.Clone(c.parents)
	f.cut(number)
	return f
}

// overlay executes a block's transactions one after the other without touching the chain.
type overlay struct {
	*chain
	changed map[string]*asset // nil: deleted
	seen    map[txKey]bool
	paid    map[string]uint64 // on top of what the chain says; ledgers with balances
}

func (c *chain) overlay() *overlay {
	return &overlay{chain: c, changed: map[string]*asset{}, seen: map[txKey]bool{}, paid: map[string]uint64{}}
}

// asset implements assetReader.
func (o *overlay) asset(id string) (asset, bool) {
	if a, ok := o.changed[id]; ok {
		if a == nil {
			return asset{}, false
		}
		return *a, true
	}
	return o.chain.asset(id)
}

// record executes one transaction and says how it ended.
func (o *overlay) record(t *poolTx) txRecord {
	key := keyOf(t.hash)
	if _, onChain := o.txs[key]; onChain || o.seen[key] {
		return txRecord{hash: t.hash, status: statusDuplicate}
	}
	o.seen[key] = true
	r := txRecord{hash: t.hash, from: t.from, nonce: t.nonce, payload: t.payload}
	c, offer, err := decodeSigned(t.payload, o.sequenced)
	if err == nil {
		err = o.pay(c, offer)
	}
	var eff effect
	if err == nil {
		eff, err = c.run(o)
	}
	if err != nil {
		r.status, r.reason = statusFailed, err.Error()
		return r
	}
	switch {
	case eff.del:
		o.changed[c.id] = nil
	case eff.put != nil:
		o.changed[c.id] = eff.put
	}
	r.event, r.data, r.result = eff.event, eff.data, eff.result
	return r
}

// pay charges the gas of a transaction, and refuses one that has too little.
func (o *overlay) pay(c call, offer terms) error {
	have := uint64(noBound)
	if o.balance > 0 {
		have = o.funds(c.from) - o.paid[c.from]
	}
	charge, err := settle(c, offer, have)
	if o.balance > 0 {
		o.paid[c.from] += charge
	}
	return err
}

// write makes the changes of the overlay the chain's own.
func (o *overlay) write() {
	for signer, n := range o.paid {
		o.spent[signer] += n
	}
	for id, a := range o.changed {
		if a == nil {
			delete(o.assets, id)
		} else {
			o.put(id, a)
		}
	}
}
