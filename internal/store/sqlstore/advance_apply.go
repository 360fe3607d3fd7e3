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
			tx: tx, version: tx.Version, head: historyHead{n: r.int(txWidth), mark: r.int(txWidth + 1)}, dirty: map[int]bool{},
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
	for _, id := range t.undone {
		if a := states[id.tx].attempt(id.number); a != nil {
			a.Outcome = nil
		}
	}
	for _, id := range t.found {
		a := states[id.tx].attempt(id.number)
		if a == nil || a.Outcome != nil { // the first occurrence counts
			continue
		}
		o := *t.hits[id].outcome
		a.Outcome, a.Hash = &o, t.hits[id].hash
		found = append(found, id)
	}
	for _, id := range t.undone {
		if a := states[id.tx].attempt(id.number); a != nil && a.Outcome == nil {
			undone = append(undone, id)
		}
	}
	for _, id := range t.final {
		if a := states[id.tx].attempt(id.number); a != nil && a.Outcome != nil && !a.Outcome.Final && a.Outcome.Block.Number <= c.a.Final {
			a.Outcome.Final = true
			final = append(final, id)
		}
	}
	return slices.Concat(undone, found, final)
}

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
		return nil
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
	if u.Payload != nil {
		st.update.Payload = u.Payload
	}
}

// writeState queues what changed of a transaction.
func (g *group) writeState(seq int64, st *txState) error {
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
		g.rows.attempts = append(g.rows.attempts, r)
	}
	if st.update == nil {
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
	g.writeTx(st.update, outcome, seq, st.head)
	return nil
}
