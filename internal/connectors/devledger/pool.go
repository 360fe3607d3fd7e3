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

// poolTx is a transaction that waits for a block.
type poolTx struct {
	hash    digest
	nonce   uint64
	payload []byte // with its terms
	call    call
	terms   terms
	arrival uint64
	taken   bool // in the block that is being made
}

// outbids reports whether t goes before old, which has the same nonce: it offers more, or as much and cancels what does not.
func (t *poolTx) outbids(old *poolTx) bool {
	if t.terms.price != old.terms.price {
		return t.terms.price > old.terms.price
	}
	return t.call.op == opNoop && old.call.op != opNoop
}

// pool holds what waits. It is in memory only: like the pool of a node, it is lost at a crash. The ledger's lock guards it.
//
// On a sequenced ledger a transaction is ready when everything of its signer with a lower nonce is on the chain or ready.
type pool struct {
	sequenced bool
	byHash    map[digest]*poolTx
	ready     []*poolTx // in the order in which they go into blocks
	signers   map[string]*signerPool
	bytes     int
	arrivals  uint64
}

// signerPool is what waits of one signer on a sequenced ledger.
type signerPool struct {
	next    uint64 // lowest nonce that is neither on the chain nor ready
	byNonce map[uint64]*poolTx
}

func newPool(sequenced bool) *pool {
	return &pool{sequenced: sequenced, byHash: map[digest]*poolTx{}, signers: map[string]*signerPool{}}
}

func (p *pool) full(payload int) bool {
	return len(p.byHash) >= maxPoolTxs || p.bytes+payload > maxPoolBytes
}

// sameNonce returns what waits with t's signer and nonce, nil on an unsequenced ledger.
func (p *pool) sameNonce(t *poolTx) *poolTx {
	if s := p.signers[t.call.from]; s != nil {
		return s.byNonce[t.nonce]
	}
	return nil
}

// add takes in a transaction whose hash and nonce the pool does not have. latest is the signer's next nonce on the chain.
func (p *pool) add(t *poolTx, latest uint64) {
	p.arrivals++
	t.arrival = p.arrivals
	p.byHash[t.hash] = t
	p.bytes += len(t.payload)
	if !p.sequenced {
		p.ready = append(p.ready, t)
		return
	}
	s := p.signers[t.call.from]
	if s == nil {
		s = &signerPool{next: latest, byNonce: map[uint64]*poolTx{}}
		p.signers[t.call.from] = s
	}
	s.byNonce[t.nonce] = t
	for w := s.byNonce[s.next]; w != nil; w = s.byNonce[s.next] {
		p.ready = append(p.ready, w)
		s.next++
	}
}

// replace puts t where old is, which has the same signer and nonce and is not taken.
func (p *pool) replace(old, t *poolTx) {
	delete(p.byHash, old.hash)
	p.bytes += len(t.payload) - len(old.payload)
	arrival := old.arrival
	*old = *t
	old.arrival = arrival
	p.byHash[old.hash] = old
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
		if p.byHash[t.hash] != t {
			continue
		}
		delete(p.byHash, t.hash)
		p.bytes -= len(t.payload)
		if s := p.signers[t.call.from]; s != nil {
			if delete(s.byNonce, t.nonce); len(s.byNonce) == 0 {
				delete(p.signers, t.call.from)
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
