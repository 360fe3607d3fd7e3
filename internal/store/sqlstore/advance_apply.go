package sqlstore

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

func compareOutcomes(a, b *store.Outcome) int {
	return cmp.Or(cmp.Compare(a.Block.Number, b.Block.Number), cmp.Compare(a.Index, b.Index))
}

func sortedKeys(m map[int64]*txState) []int64 { return slices.Sorted(maps.Keys(m)) }

// loadStates reads the transactions touched, with all their attempts.
func (c *advanceCmd) loadStates(g *group, t *touches) (map[int64]*txState, error) {
	states := map[int64]*txState{}
	for _, ids := range [...][]attemptID{t.undone, t.found, t.final} {
		for _, id := range ids {
			states[id.tx] = nil
		}
	}
	if len(states) == 0 {
		return states, nil
	}
	seqs := g.session.ints(sortedKeys(states))
	g.session.query(sqlTxBySeqs, func(r row) error {
		tx, err := scanTx(r[:txWidth])
		if err != nil {
			return err
		}
		states[tx.Seq] = &txState{
			tx: tx, version: tx.Version, status: tx.Status, nonce: bitsOf(tx.Nonce), head: historyHead{n: r.int(txWidth), mark: r.int(txWidth + 1)}, dirty: map[int]bool{},
		}
		return nil
	}, seqs)
	// The second query's rows come after all of the first's.
	g.session.query(sqlAttemptsBySeqs, func(r row) error {
		st := states[r.int(0)]
		if st == nil {
			return nil // its transaction was removed
		}
		a, err := scanAttempt(r, st.tx.ID)
		st.attempts = append(st.attempts, a)
		return err
	}, seqs)
	if err := g.session.flush(); err != nil {
		return nil, err
	}
	maps.DeleteFunc(states, func(_ int64, st *txState) bool { return st == nil })
	return states, nil
}

// change gives the attempts their new outcomes and returns those for which the rule is to be called: each once, first what was undone
// and not found again, then what was found, in the order of the chain, then what became final.
func (c *advanceCmd) change(states map[int64]*txState, t *touches) []attemptID {
	var undone, found, final []attemptID
	t.undo(states)
	for _, id := range t.found {
		a := states[id.tx].attempt(id.number)
		if a == nil || a.Outcome != nil { // the first occurrence counts
			continue
		}
		o := *t.hits[id].outcome
		c.require(states[id.tx].tx, &o)
		takeOutcome(a, &o, t.hits[id].hash)
		found = append(found, id)
	}
	for _, id := range t.undone {
		if a := states[id.tx].attempt(id.number); a != nil && a.Outcome == nil {
			undone = append(undone, id)
		}
	}
	for _, id := range t.final {
		if a := states[id.tx].attempt(id.number); a != nil && a.Outcome != nil && !a.Outcome.Final && c.isFinal(a.Outcome) {
			a.Outcome.Final = true
			final = append(final, id)
		}
	}
	return slices.Concat(undone, found, final)
}

// undo takes the outcomes away that a reorganisation undoes.
func (t *touches) undo(states map[int64]*txState) {
	for _, id := range t.undone {
		if a := states[id.tx].attempt(id.number); a != nil && a.Outcome != nil {
			a.Undone, a.Outcome = &a.Outcome.Block, nil
		}
	}
}

// require gives an outcome the number of confirmations that its transaction asked for.
func (c *advanceCmd) require(tx *store.Tx, o *store.Outcome) {
	if tx.Required != nil && c.a.Head != nil {
		o.Required = tx.Required
		o.Final = c.isFinal(o)
	}
}

// isFinal reports whether an outcome's block cannot change any more, by its own number of confirmations if it has one.
func (c *advanceCmd) isFinal(o *store.Outcome) bool {
	if o.Required != nil {
		return c.a.Head != nil && finalAt(o) <= *c.a.Head
	}
	return c.a.HasFinal && o.Block.Number <= c.a.Final
}

// finalAt is the height of the chain at which an outcome with a number of confirmations of its own is final.
func finalAt(o *store.Outcome) uint64 { return o.Block.Number + uint64(max(*o.Required, 0)) }

func (st *txState) index(number int64) int {
	if st == nil {
		return -1
	}
	return slices.IndexFunc(st.attempts, func(a *store.Attempt) bool { return int64(a.Number) == number })
}

func (st *txState) attempt(number int64) *store.Attempt {
	if i := st.index(number); i >= 0 {
		return st.attempts[i]
	}
	return nil
}

// decide calls the rule for one attempt and merges what it wants into the state.
func (c *advanceCmd) decide(st *txState, id attemptID) error {
	hit := st.index(id.number)
	a := st.attempts[hit]
	st.dirty[a.Number] = true
	terminal := st.tx.Status.Terminal()
	var stays store.Tx
	if terminal {
		stays = *st.tx
	}
	u := c.rule(st.tx, st.attempts, hit)
	if a.Outcome != nil && a.Outcome.Final && a.State == store.AttemptSubmitting {
		a.State = store.AttemptDone
	}
	if terminal {
		*st.tx = stays
	}
	if u == nil {
		u = &store.TxUpdate{} // the version is raised even so: who read the attempt before must not write it back
	}
	for _, x := range u.Attempts {
		st.put(x)
	}
	if terminal {
		// Never rewritten, whatever a rule says; failing here would stop the ledger for good.
		c.s.opts.Log.WithField("tx", st.tx.ID).Error("An outcome would have changed a transaction that has ended")
		return nil
	}
	st.merge(u)
	return nil
}

// put stores an attempt that the rule changed or made.
func (st *txState) put(x *store.Attempt) {
	st.dirty[x.Number] = true
	if i := st.index(int64(x.Number)); i >= 0 {
		st.attempts[i] = x
		return
	}
	st.attempts = append(st.attempts, x)
}

// merge adds an update to those that the rule made for this transaction before.
func (st *txState) merge(u *store.TxUpdate) {
	if u.Tx != nil && u.Tx != st.tx {
		*st.tx = *u.Tx
	}
	if st.update == nil {
		st.update = &store.TxUpdate{Tx: st.tx}
	}
	st.update.History = append(st.update.History, u.History...)
	st.update.Announce = st.update.Announce || u.Announce
	st.update.Wipe = st.update.Wipe || u.Wipe
	st.update.Progressed = st.update.Progressed || u.Progressed
	if u.Payload != nil {
		st.update.Payload = u.Payload
	}
}

// writeState queues what changed of a transaction.
func (g *group) writeState(seq int64, st *txState) error {
	h := txHead{seq: seq, version: st.version, status: st.status, nonce: st.nonce, history: st.head}
	var rows [][]any
	for _, a := range st.attempts {
		if !st.dirty[a.Number] {
			continue
		}
		if err := checkAttempt(a); err != nil {
			return err
		}
		r, err := attemptRow(seq, a)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	g.writeAttempts(&h, rows)
	if st.update == nil {
		g.setHead(st.tx.ID, h)
		return nil
	}
	if err := checkTx(st.tx); err != nil {
		return err
	}
	outcome, err := outcomeValue(st.tx.Outcome)
	if err != nil {
		return err
	}
	st.tx.Version = st.version
	g.writeTx(st.update, outcome, h)
	return nil
}

// takeOutcome gives an attempt its outcome, and with it its hash, unless what the block holds is another transaction.
func takeOutcome(a *store.Attempt, o *store.Outcome, hash string) {
	if a.Outcome = o; o.By == "" {
		a.Hash = hash
	}
}
