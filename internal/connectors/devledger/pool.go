package devledger

import (
	"cmp"
	"slices"
)

// Bounds of the pool. A full one answers RateLimited.
const (
	maxPoolTxs   = 200_000
	maxPoolBytes = 256 << 20
)

// poolTx is a transaction that waits for a block. There may be many, so it is what must be known of it while it waits; the rest is decoded
// from its payload when its block is made.
type poolTx struct {
	hash    digest
	nonce   uint64
	payload []byte // with its terms
	from    string
	price   uint64 // offered for a unit of gas
	arrival uint64
	noop    bool // it does nothing but use its nonce up
	taken   bool // in the block that is being made
}

// newPoolTx returns what has to wait of a call, whose payload is as it goes on the chain.
func newPoolTx(payload []byte, c call, t terms) *poolTx {
	return &poolTx{payload: payload, from: c.from, price: t.price, noop: c.op == opNoop}
}

// outbids reports whether t goes before old, which has the same nonce: it offers more, or as much and cancels what does not.
func (t *poolTx) outbids(old *poolTx) bool {
	if t.price != old.price {
		return t.price > old.price
	}
	return t.noop && !old.noop
}

// pool holds what waits. It is in memory only: like the pool of a node, it is lost at a crash. The ledger's lock guards it.
//
// On a sequenced ledger a transaction is ready when everything of its signer with a lower nonce is on the chain or ready.
type pool struct {
	sequenced bool
	byHash    map[txKey]*poolTx
	ready     []*poolTx // in the order in which they go into blocks
	signers   map[string]*signerPool
	bytes     int
	arrivals  uint64
}

// signerPool is what waits of one signer on a sequenced ledger.
type signerPool struct {
	name    string
	next    uint64 // lowest nonce that is neither on the chain nor ready
	byNonce map[uint64]*poolTx
}

func newPool(sequenced bool) *pool {
	return &pool{sequenced: sequenced, byHash: map[txKey]*poolTx{}, signers: map[string]*signerPool{}}
}

func (p *pool) full(payload int) bool {
	return len(p.byHash) >= maxPoolTxs || p.bytes+payload > maxPoolBytes
}

// sameNonce returns what waits with t's signer and nonce, nil on an unsequenced ledger.
func (p *pool) sameNonce(t *poolTx) *poolTx {
	if s := p.signers[t.from]; s != nil {
		return s.byNonce[t.nonce]
	}
	return nil
}

// add takes in a transaction whose hash and nonce the pool does not have. latest is the signer's next nonce on the chain.
func (p *pool) add(t *poolTx, latest uint64) {
	p.arrivals++
	t.arrival = p.arrivals
	p.byHash[keyOf(t.hash)] = t
	p.bytes += len(t.payload)
	if !p.sequenced {
		p.ready = append(p.ready, t)
		return
	}
	s := p.signers[t.from]
	if s == nil {
		s = &signerPool{name: t.from, next: latest, byNonce: map[uint64]*poolTx{}}
		p.signers[t.from] = s
	}
	t.from = s.name // one copy for all
	s.byNonce[t.nonce] = t
	for w := s.byNonce[s.next]; w != nil; w = s.byNonce[s.next] {
		p.ready = append(p.ready, w)
		s.next++
	}
}

// replace puts t where old is, which has the same signer and nonce and is not taken.
func (p *pool) replace(old, t *poolTx) {
	delete(p.byHash, keyOf(old.hash))
	p.bytes += len(t.payload) - len(old.payload)
	arrival, from := old.arrival, old.from
	*old = *t
	old.arrival, old.from = arrival, from
	p.byHash[keyOf(old.hash)] = old
}

// pending is the signer's next nonce, counting what is ready.
func (p *pool) pending(signer string, latest uint64) uint64 {
	if s := p.signers[signer]; s != nil {
		return s.next
	}
	return latest
}

// take picks the next transactions for a block. They stay in the pool until they are removed.
func (p *pool) take(most int) []*poolTx {
	n := min(most, len(p.ready))
	txs := slices.Clone(p.ready[:n])
	for _, t := range txs {
		t.taken = true
	}
	p.ready = p.ready[n:]
	if len(p.ready) == 0 {
		p.ready = nil // gives the array back
	}
	return txs
}

// remove forgets transactions that are on the chain now.
func (p *pool) remove(txs []*poolTx) {
	for _, t := range txs {
		if p.byHash[keyOf(t.hash)] != t {
			continue
		}
		delete(p.byHash, keyOf(t.hash))
		p.bytes -= len(t.payload)
		if s := p.signers[t.from]; s != nil {
			if delete(s.byNonce, t.nonce); len(s.byNonce) == 0 {
				delete(p.signers, t.from)
			}
		}
	}
}

// reset empties the pool and returns what was in it, in order of arrival.
func (p *pool) reset() []*poolTx {
	txs := make([]*poolTx, 0, len(p.byHash))
	for _, t := range p.byHash {
		txs = append(txs, t)
	}
	slices.SortFunc(txs, func(a, b *poolTx) int { return cmp.Compare(a.arrival, b.arrival) })
	arrivals := p.arrivals
	*p = *newPool(p.sequenced)
	p.arrivals = arrivals
	return txs
}
