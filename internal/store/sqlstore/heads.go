package sqlstore

import "github.com/pyralis-io/pyralis/internal/store"

// maxHeads bounds what a writer remembers of transactions, and of signers.
const maxHeads = 8192

// txHead is what an update must know of what is stored.
type txHead struct {
	seq, version int64
	status       store.TxStatus
	nonce        any // as it is in its row
	history      historyHead
	attempt      attemptShape // of an attempt as it was written last, if that is remembered
}

// attemptShape is what is in an index of an attempt. A write that does not change it names none of these columns, because the
// database visits an index for each column that is named.
type attemptShape struct {
	number             int64
	ledger, state      string
	hash               string
	block, final, upto any
}

// Where what is in an index is in a row of an attempt, see attemptColumns.
const (
	attemptNumber, attemptLedger, attemptState, attemptHash = 1, 2, 3, 5
	attemptBlock, attemptFinal, attemptFinalAt              = 16, 17, 20
)

// updateWidth is the number of arguments of sqlUpdateTx.
const updateWidth = 23

func shapeOf(r row) attemptShape {
	return attemptShape{
		number: r.int(attemptNumber), ledger: r.text(attemptLedger), state: r.text(attemptState), hash: r.text(attemptHash),
		block: r[attemptBlock], final: r[attemptFinal], upto: r[attemptFinalAt],
	}
}

// touchRow is the rest of an attempt in the order of sqlTouchAttempt.
func touchRow(r row) []any {
	return []any{r[4], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15], r[18], r[19], r[21], r[attemptSeq], r[attemptNumber]}
}

// memory is what the writer remembers of what it wrote, so that it need not read it. It may be out of date only when somebody else wrote
// to the database: each update names the version that it expects, so the group fails then, and is repeated with nothing remembered; or its
// caller comes again, and what is stored is read.
type memory struct {
	heads   map[string]txHead
	signers map[signerID]signerState
}

func newMemory() *memory {
	return &memory{heads: map[string]txHead{}, signers: map[signerID]signerState{}}
}

// forget reports whether anything was remembered.
func (m *memory) forget() bool {
	if m == nil || len(m.heads)+len(m.signers) == 0 {
		return false
	}
	clear(m.heads)
	clear(m.signers)
	return true
}

// learn takes over what a group has committed.
func (m *memory) learn(g *group) {
	if m == nil {
		return
	}
	for id, h := range g.written {
		if h.status.Terminal() {
			delete(m.heads, id)
		} else {
			m.heads[id] = h
		}
	}
	for id, s := range g.signers {
		m.signers[id] = signerState{known: s.known, next: s.next}
	}
	shrink(m.heads)
	shrink(m.signers)
}

// shrink takes any entries out until there are no more than maxHeads.
func shrink[K comparable, V any](m map[K]V) {
	for k := range m {
		if len(m) <= maxHeads {
			return
		}
		delete(m, k)
	}
}

// wantHead asks for the head of a transaction.
func (g *group) wantHead(id string) {
	h, ok := g.written[id]
	if !ok && g.memory != nil {
		h, ok = g.memory.heads[id]
	}
	if ok {
		g.heads[id] = h
		return
	}
	g.newHeads = append(g.newHeads, id)
}

// setHead keeps what this group has made of a transaction.
func (g *group) setHead(id string, h txHead) { g.written[id] = h }

// doubt has the head of a transaction read again by whoever wants it next: a caller that knows better found it wrong.
func (g *group) doubt(id string) {
	if g.memory != nil {
		delete(g.memory.heads, id)
	}
}

func (g *group) wantSigner(id signerID) {
	if _, ok := g.signers[id]; ok {
		return
	}
	s := &signerState{}
	g.signers[id] = s
	if g.memory != nil {
		if known, ok := g.memory.signers[id]; ok {
			*s = known
			s.before = s.next
			return
		}
	}
	g.newSigners = append(g.newSigners, id)
}
