package devledger

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Bounds of the pool. A full one answers RateLimited.
const (
	maxPoolTxs   = 100_000
	maxPoolBytes = 256 << 20
)

// poolTx is a transaction on its way into the pool or out of it.
type poolTx struct {
	hash    digest
	nonce   uint64
	from    string
	price   uint64 // offered for a unit of gas
	noop    bool   // it does nothing but use its nonce up
	taken   bool   // in the block that is being made
	arrival uint64
	payload []byte // with its terms
}

// newPoolTx returns what there is of a call, whose payload is as it goes on the chain.
func newPoolTx(payload []byte, c call, t terms) *poolTx {
	return &poolTx{payload: payload, from: c.from, price: t.price, noop: c.op == opNoop}
}

// encode is what the pool keeps.
func (t *poolTx) encode(b []byte) []byte {
	b = append(b, t.hash[:]...)
	b = binary.AppendUvarint(b, t.nonce)
	b = binary.AppendUvarint(b, t.price)
	b = binary.AppendUvarint(b, t.arrival)
	noop := byte(0)
	if t.noop {
		noop = 1
	}
	b = append(b, noop)
	b = appendBytes(b, t.from)
	return append(b, t.payload...)
}

func decodePoolTx(b []byte) (*poolTx, error) {
	d := decoder{b: b}
	t := &poolTx{hash: d.digest(), nonce: d.uvarint(), price: d.uvarint(), arrival: d.uvarint()}
	t.noop, t.from = d.byte() == 1, string(d.bytes())
	t.payload = d.b
	return t, d.err
}

// outbids reports whether t goes before old, which has the same nonce: it offers more, or as much and cancels what does not.
func (t *poolTx) outbids(old *poolTx) bool {
	if t.price != old.price {
		return t.price > old.price
	}
	return t.noop && !old.noop
}

// poolKey is the beginning of a transaction's hash: enough to tell those apart that wait together, of which there may be many.
type poolKey uint64

func poolKeyOf(d digest) poolKey { return poolKey(binary.BigEndian.Uint64(d[:])) }

// pool holds what waits, and knows by heart only where it is: see shelf. Like the pool of a node, it is lost at a crash. The ledger's lock
// guards it. Errors are those of a disk.
//
// On a sequenced ledger a transaction is ready when everything of its signer with a lower nonce is on the chain or ready.
type pool struct {
	sequenced bool
	shelf     *shelf
	places    map[poolKey]place
	ready     []poolKey // in the order in which they go into blocks
	taken     map[poolKey]struct{}
	signers   map[string]*signerPool
	bytes     int
	arrivals  uint64
}

// signerPool is what waits of one signer on a sequenced ledger.
type signerPool struct {
	next    uint64 // lowest nonce that is neither on the chain nor ready
	byNonce map[uint64]poolKey
}

// newPool makes an empty pool. dir is for what does not stay in memory, see shelf.
func newPool(sequenced bool, dir string) *pool {
	return &pool{
		sequenced: sequenced, shelf: newShelf(dir),
		places: map[poolKey]place{}, taken: map[poolKey]struct{}{}, signers: map[string]*signerPool{},
	}
}

func (p *pool) full(payload int) bool {
	return len(p.places) >= maxPoolTxs || max(p.bytes, p.shelf.size()/2)+payload > maxPoolBytes
}

func (p *pool) has(hash digest) bool {
	_, ok := p.places[poolKeyOf(hash)]
	return ok
}

// get reads what waits under a key.
func (p *pool) get(key poolKey) (*poolTx, error) {
	b, err := p.shelf.get(p.places[key])
	if err != nil {
		return nil, err
	}
	t, err := decodePoolTx(b)
	if err == nil {
		_, t.taken = p.taken[key]
	}
	return t, err
}

func (p *pool) put(t *poolTx) {
	at := p.shelf.put(t.encode(nil))
	p.places[poolKeyOf(t.hash)] = at
	p.bytes += int(at.size)
}

func (p *pool) drop(key poolKey) {
	at := p.places[key]
	delete(p.places, key)
	p.shelf.drop(at)
	p.bytes -= int(at.size)
}

// rival is the key of what waits with t's signer and nonce. On an unsequenced ledger nothing does.
func (p *pool) rival(t *poolTx) (key poolKey, waits bool) {
	if s := p.signers[t.from]; s != nil {
		key, waits = s.byNonce[t.nonce]
	}
	return key, waits
}

// add takes in a transaction whose hash and nonce the pool does not have. latest is the signer's next nonce on the chain.
func (p *pool) add(t *poolTx, latest uint64) {
	p.arrivals++
	t.arrival = p.arrivals
	p.put(t)
	if !p.sequenced {
		p.ready = append(p.ready, poolKeyOf(t.hash))
		return
	}
	s := p.signers[t.from]
	if s == nil {
		s = &signerPool{next: latest, byNonce: map[uint64]poolKey{}}
		p.signers[t.from] = s
	}
	s.byNonce[t.nonce] = poolKeyOf(t.hash)
	for {
		key, ok := s.byNonce[s.next]
		if !ok {
			return
		}
		p.ready = append(p.ready, key)
		s.next++
	}
}

// replace puts t where old is, which has the same signer and nonce and is not taken.
func (p *pool) replace(old, t *poolTx) {
	was, is := poolKeyOf(old.hash), poolKeyOf(t.hash)
	t.arrival = old.arrival
	p.drop(was)
	p.put(t)
	p.signers[t.from].byNonce[t.nonce] = is
	if i := slices.Index(p.ready, was); i >= 0 {
		p.ready[i] = is
	}
}

// pending is the signer's next nonce, counting what is ready.
func (p *pool) pending(signer string, latest uint64) uint64 {
	if s := p.signers[signer]; s != nil {
		return s.next
	}
	return latest
}

// take picks the next transactions for a block. They stay in the pool until they are removed. After an error the pool is empty.
func (p *pool) take(most int) ([]*poolTx, error) {
	n := min(most, len(p.ready))
	txs := make([]*poolTx, n)
	for i, key := range p.ready[:n] {
		t, err := p.get(key)
		if err != nil {
			p.clear()
			return nil, err
		}
		p.taken[key] = struct{}{}
		txs[i] = t
	}
	p.ready = p.ready[n:]
	if len(p.ready) == 0 {
		p.ready = nil // gives the array back
	}
	return txs, nil
}

// remove forgets transactions that were taken and are on the chain now.
func (p *pool) remove(txs []*poolTx) {
	for _, t := range txs {
		key := poolKeyOf(t.hash)
		if _, ok := p.taken[key]; !ok {
			continue
		}
		delete(p.taken, key)
		p.drop(key)
		if s := p.signers[t.from]; s != nil {
			if delete(s.byNonce, t.nonce); len(s.byNonce) == 0 {
				delete(p.signers, t.from)
			}
		}
	}
}

// drain empties the pool and returns what was in it, in order of arrival. What an error keeps from being returned is lost.
func (p *pool) drain() ([]*poolTx, error) {
	txs := make([]*poolTx, 0, len(p.places))
	var failed error
	for key := range p.places {
		t, err := p.get(key)
		if err != nil {
			failed = err
			continue
		}
		txs = append(txs, t)
	}
	slices.SortFunc(txs, func(a, b *poolTx) int { return cmp.Compare(a.arrival, b.arrival) })
	p.clear()
	return txs, failed
}

// clear empties the pool and returns how many transactions that were.
func (p *pool) clear() int {
	n, arrivals := len(p.places), p.arrivals
	_ = p.shelf.close() // nothing in it is wanted
	*p = *newPool(p.sequenced, p.shelf.dir)
	p.arrivals = arrivals
	return n
}
