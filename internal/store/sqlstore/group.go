package sqlstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

// command is one write. It may be carried out again when its group failed, so it starts afresh with each load.
type command interface {
	// scope names what two commands of one wave must not share; "" is shared with nobody.
	scope() string
	// load queues what must be read. It queues no writes.
	load(g *group)
	// plan decides and queues the writes. An error refuses this command alone: then nothing of it may have been queued.
	plan(g *group) error
}

// direct is a command that asks several times before it decides. It has a wave of its own and may flush in plan.
type direct interface {
	command
	alone()
}

type signerID struct{ ledger, signer string }

// signerState is a signer's counter as it is in this transaction.
type signerState struct {
	known bool // it was assigned a nonce before
	next  uint64
	dirty bool

	before uint64 // next when the transaction began
}

// keyState is an idempotency key as it is in this transaction.
type keyState struct {
	claim    *acceptCmd // whose insert was tried
	inserted bool       // by that insert
	taken    bool       // a transaction has it
	hash     [32]byte
	seq      int64 // of that transaction, or for the one that takes it
}

// pending are rows that are inserted together at the end of a wave.
type pending struct {
	tx, labels, updates, statuses, progress, bodies, attempts, touches, payloads, history, log [][]any
	wipes                                                                                      []int64
}

// group is one database transaction of the writer.
type group struct {
	session session
	now     int64   // microseconds
	memory  *memory // nil: everything is read

	fences  map[string]int64 // generation by lease
	keys    map[string]*keyState
	signers map[signerID]*signerState

	// of the wave being loaded
	newKeys    []*keyState
	newSigners []signerID
	newHeads   []string
	heads      map[string]txHead // by id

	written map[string]txHead // what was written to, by id

	rows   pending
	logged bool // the status log was written
}

func newGroup(s session, m *memory, now int64) *group {
	return &group{
		session: s, now: now, memory: m, fences: map[string]int64{}, keys: map[string]*keyState{}, signers: map[signerID]*signerState{},
		written: map[string]txHead{},
	}
}

// run carries the jobs out. A returned error spoils the whole group; what a command decided against itself is in its job.
func (g *group) run(jobs []*job) error {
	for len(jobs) > 0 {
		n := waveLength(jobs)
		if err := g.wave(jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	g.writeSigners()
	return nil
}

// waveLength returns how many of the jobs can be loaded before the first of them is planned: none may depend on what
// another one of them writes.
func waveLength(jobs []*job) int {
	if _, alone := jobs[0].cmd.(direct); alone {
		return 1
	}
	seen := map[string]struct{}{}
	for i, j := range jobs {
		if _, alone := j.cmd.(direct); alone {
			return i
		}
		scope := j.cmd.scope()
		if scope == "" {
			continue
		}
		if _, ok := seen[scope]; ok {
			return i
		}
		seen[scope] = struct{}{}
	}
	return len(jobs)
}

func (g *group) wave(jobs []*job) error {
	g.heads = map[string]txHead{}
	for _, j := range jobs {
		g.loadFence(j.fence)
		j.cmd.load(g)
	}
	g.loadShared()
	if err := g.session.flush(); err != nil {
		return err
	}
	if err := g.resolveKeys(); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.err = g.checkFence(j.fence); j.err == nil {
			j.err = j.cmd.plan(g)
		}
	}
	g.dropUnusedKeys()
	g.writeRows()
	return nil
}

func (g *group) loadFence(f *store.Fence) {
	if f == nil {
		return
	}
	if _, ok := g.fences[f.Lease]; ok {
		return
	}
	lease := f.Lease
	g.fences[lease] = 0 // generations start at 1
	g.session.query(sqlLease, func(r row) error {
		g.fences[lease] = r.int(0)
		return nil
	}, lease)
}

func (g *group) checkFence(f *store.Fence) error {
	if f == nil || g.fences[f.Lease] == f.Generation {
		return nil
	}
	return fmt.Errorf("lease %q generation %d, now %d: %w", f.Lease, f.Generation, g.fences[f.Lease], store.ErrFenced)
}

// wantKey asks for a key on behalf of c.
func (g *group) wantKey(c *acceptCmd) {
	if _, ok := g.keys[c.tx.ID]; ok {
		return
	}
	k := &keyState{claim: c}
	g.keys[c.tx.ID] = k
	g.newKeys = append(g.newKeys, k)
}

// loadShared queues the reads that commands of a wave have in common: keys first, in the order of the commands, which is the order
// of acceptance; then signers in sorted order, which is the order of locks for every writer of this database.
func (g *group) loadShared() {
	if len(g.newKeys) > 0 {
		rows := make([][]any, len(g.newKeys))
		for i, k := range g.newKeys {
			rows[i] = k.claim.keyRow
		}
		g.session.claim(rows, func(key string, seq int64) {
			k := g.keys[key]
			k.inserted, k.seq = true, seq
		})
	}
	slices.SortFunc(g.newSigners, func(a, b signerID) int {
		return cmp.Or(cmp.Compare(a.ledger, b.ledger), cmp.Compare(a.signer, b.signer))
	})
	for _, id := range g.newSigners {
		s := g.signers[id]
		g.session.query(sqlSigner, func(r row) error {
			s.known, s.next, s.before = true, *r.number(0), *r.number(0)
			return nil
		}, id.ledger, id.signer)
	}
	g.newSigners = g.newSigners[:0]
	if len(g.newHeads) > 0 {
		g.session.query(sqlTxHeads, func(r row) error {
			g.heads[r.text(0)] = txHead{
				seq: r.int(1), version: r.int(2), status: store.TxStatus(r.text(3)), nonce: r[4], history: historyHead{n: r.int(5), mark: r.int(6)},
			}
			return nil
		}, g.session.texts(g.newHeads))
		g.newHeads = g.newHeads[:0]
	}
}

// resolveKeys reads the keys that were there already, and gets new numbers for those that have expired.
func (g *group) resolveKeys() error {
	var expired []*keyState
	for _, k := range g.newKeys {
		if k.inserted {
			continue
		}
		g.session.query(sqlKey, func(r row) error {
			k.taken, k.seq = r.int(3) > g.now || r.flag(4), r.int(2)
			copy(k.hash[:], r.blob(1))
			if !k.taken {
				expired = append(expired, k)
			}
			return nil
		}, k.claim.tx.ID)
	}
	if err := g.session.flush(); err != nil || len(expired) == 0 {
		return err
	}
	g.session.reserve(len(expired), func(seq int64) {
		expired[0].seq = seq
		expired = expired[1:]
	})
	return g.session.flush()
}

// takeKey gives a key that nobody has to c.
func (g *group) takeKey(k *keyState, c *acceptCmd) {
	if !k.inserted || k.claim != c {
		g.session.exec(sqlReviveKey, 1, c.keyRow[1], k.seq, c.keyRow[3], c.tx.ID)
	}
	k.taken, k.hash = true, c.n.BodyHash
}

// dropUnusedKeys takes keys back that were inserted for commands which were then refused.
func (g *group) dropUnusedKeys() {
	for _, k := range g.newKeys {
		if k.inserted && !k.taken {
			g.session.exec(sqlDeleteKey, 1, k.claim.tx.ID)
			delete(g.keys, k.claim.tx.ID)
		}
	}
	g.newKeys = g.newKeys[:0]
}

// log announces a transaction's status.
func (g *group) log(tx *store.Tx) {
	g.rows.log = append(g.rows.log, []any{tx.Seq, tx.ID, string(tx.Status), string(tx.Sub), g.now})
}

// writeRows inserts what the wave collected, the status log last: its lock is held to the commit.
func (g *group) writeRows() {
	p := &g.rows
	if len(p.wipes) > 0 {
		g.session.exec(sqlWipe, anyRows, g.session.ints(p.wipes))
		p.wipes = nil
	}
	for _, b := range [...]struct {
		id   stmtID
		rows *[][]any
	}{
		{sqlUpdateTx, &p.updates}, {sqlStatusTx, &p.statuses}, {sqlProgressTx, &p.progress}, {sqlInsertTx, &p.tx}, {sqlInsertLabel, &p.labels}, {sqlInsertBody, &p.bodies}, {sqlPutAttempt, &p.attempts},
		{sqlTouchAttempt, &p.touches}, {sqlPutPayload, &p.payloads},
		{sqlInsertHistory, &p.history}, {sqlInsertLog, &p.log},
	} {
		if len(*b.rows) == 0 {
			continue
		}
		if b.id == sqlInsertLog {
			g.session.lockLog()
			g.logged = true
		}
		g.session.bulk(b.id, *b.rows)
		*b.rows = nil
	}
}

func (g *group) writeSigners() {
	var ids []signerID
	for id, s := range g.signers {
		if s.dirty {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b signerID) int {
		return cmp.Or(cmp.Compare(a.ledger, b.ledger), cmp.Compare(a.signer, b.signer))
	})
	if len(ids) == 0 {
		return
	}
	rows := make([][]any, len(ids))
	for i, id := range ids {
		rows[i] = []any{id.ledger, id.signer, bits(g.signers[id].next), g.now}
	}
	g.session.bulk(sqlSetSigner, rows)
}
