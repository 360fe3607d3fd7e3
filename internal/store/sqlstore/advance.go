package sqlstore

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/store"
)

// advanceCmd applies outcomes and moves a ledger's position.
type advanceCmd struct {
	a    *store.Advance
	rule store.OutcomeRule
	c    *candidates
	s    *Store
}

// attemptID names an attempt by the number of its transaction's row.
type attemptID struct{ tx, number int64 }

// txState is a transaction that an Advance touches.
type txState struct {
	tx       *store.Tx
	head     historyHead
	version  int64 // as stored, like the next two
	status   store.TxStatus
	nonce    any
	attempts []*store.Attempt
	dirty    map[int]bool    // numbers of attempts to store
	update   *store.TxUpdate // all updates of the rule in one, nil: none
}

// Advance implements store.Ledgers.
func (s *Store) Advance(ctx context.Context, f store.Fence, a *store.Advance, rule store.OutcomeRule) (stored bool, err error) {
	if stored, err = s.advance(ctx, f, a, rule); err != nil {
		return false, fmt.Errorf("advance ledger %q to block %d: %w", a.Ledger, a.To.Number, err)
	}
	return stored, nil
}

func (s *Store) advance(ctx context.Context, f store.Fence, a *store.Advance, rule store.OutcomeRule) (bool, error) {
	c, err := outcomesOf(a)
	if err == nil {
		err = names("hash", a.To.Hash)
	}
	if err == nil {
		err = s.keepOurs(ctx, a.Ledger, c)
	}
	if err != nil {
		return false, err
	}
	if a.Lazy && len(c.hashes) == 0 && len(c.bySpot) == 0 && len(c.strangers) == 0 {
		idle, err := s.nothingOpen(ctx, f, a)
		if err != nil || idle {
			return false, err
		}
	}
	return true, s.writer.submit(ctx, classOutcome, &f, &advanceCmd{a: a, rule: rule, c: c, s: s})
}

// nothingOpen reports whether no outcome has to be undone or becomes final, and checks what the write would have checked.
func (s *Store) nothingOpen(ctx context.Context, f store.Fence, a *store.Advance) (bool, error) {
	if f != s.fence {
		return false, store.ErrFenced
	}
	l, err := s.Ledger(ctx, a.Ledger)
	if err != nil {
		return false, err
	}
	if l.Position != a.From {
		return false, fmt.Errorf("position is block %d %s: %w", l.Position.Number, l.Position.Hash, store.ErrConflict)
	}
	open := false
	found := func(row) error {
		open = true
		return nil
	}
	if a.Rewind != nil {
		above := clampBlock(*a.Rewind)
		err = s.read(ctx, readOpenAbove, found, a.Ledger, above, a.Ledger, above)
	}
	if upTo, at := finalHeights(a); err == nil && !open {
		err = s.read(ctx, readOpenUpTo, found, a.Ledger, upTo, a.Ledger, at)
	}
	return !open, err
}

// finalHeights are the block up to which outcomes become final, and the highest final_at at which those do that have one; -1: none.
func finalHeights(a *store.Advance) (upTo, at int64) {
	upTo, at = -1, -1
	if a.HasFinal {
		upTo = clampBlock(a.Final)
	}
	if a.Head != nil {
		at = clampBlock(*a.Head)
	}
	return upTo, at
}

// clampBlock is a block number that SQL can compare with those of outcomes, which are all below 2⁶³.
func clampBlock(n uint64) int64 { return bits(min(n, math.MaxInt64)) }

func (*advanceCmd) scope() string { return "" }
func (*advanceCmd) load(*group)   {}
func (*advanceCmd) alone()        {}

// plan runs the rule, which is somebody else's code: a panic there spoils the transaction and fails this command alone.
func (c *advanceCmd) plan(g *group) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("outcome rule: %v\n%s", p, debug.Stack())
			g.session.fail(err)
		}
	}()
	moved := false
	there, err := g.ask(sqlPosition, func(r row) {
		l := scanLedger(r, c.a.Ledger)
		moved = l.Position != c.a.From
	}, c.a.Ledger)
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("ledger %q: %w", c.a.Ledger, store.ErrNotFound)
	case moved:
		return fmt.Errorf("position is not block %d %s: %w", c.a.From.Number, c.a.From.Hash, store.ErrConflict)
	}
	if err := c.apply(g); err != nil {
		g.session.fail(err)
		return err
	}
	faultpoint.VisitIf(len(c.a.Blocks) > 0, faultpoint.OutcomesUnfinished)
	g.session.exec(sqlSetPosition, 1, bits(c.a.To.Number), c.a.To.Hash, g.now, c.a.Ledger)
	return nil
}

// touches are the attempts that an Advance may change, each kind in the order in which the rule is called for it.
type touches struct {
	undone []attemptID
	found  []attemptID
	hits   map[attemptID]spotOutcome // outcome and hash of those found
	final  []attemptID
}

func (c *advanceCmd) apply(g *group) error {
	t, err := c.find(g)
	if err != nil {
		return err
	}
	states, err := c.loadStates(g, t)
	if err != nil {
		return err
	}
	for _, id := range c.change(states, t) {
		if err := c.decide(states[id.tx], id); err != nil {
			return err
		}
	}
	for _, seq := range sortedKeys(states) {
		if err := g.writeState(seq, states[seq]); err != nil {
			return err
		}
	}
	return nil
}

// find asks which attempts are touched.
func (c *advanceCmd) find(g *group) (*touches, error) {
	t := &touches{hits: map[attemptID]spotOutcome{}}
	into := func(ids *[]attemptID) func(r row) error {
		return func(r row) error {
			*ids = append(*ids, attemptID{r.int(0), r.int(1)})
			return nil
		}
	}
	hit := func(id attemptID, o spotOutcome) {
		if _, ok := t.hits[id]; !ok {
			t.hits[id] = o
			t.found = append(t.found, id)
		}
	}
	a := c.a
	byHash := map[string]bool{} // the outcomes that were matched by it
	if a.Rewind != nil {
		above := clampBlock(*a.Rewind)
		g.session.query(sqlAttemptsAbove, into(&t.undone), a.Ledger, above, a.Ledger, above)
	}
	if len(c.c.hashes) > 0 {
		g.session.query(sqlAttemptsByHash, func(r row) error {
			h := r.text(2)
			if o := c.c.byHash[h]; o != nil {
				byHash[h] = true
				hit(attemptID{r.int(0), r.int(1)}, spotOutcome{hash: h, outcome: o})
			}
			return nil
		}, a.Ledger, g.session.texts(c.c.hashes))
	}
	if len(c.c.bySpot) > 0 {
		g.session.query(sqlAttemptsHashless, func(r row) error {
			// What is known to be another attempt of the nonce says nothing about this one.
			if o, ok := c.c.bySpot[spot{signer: r.text(2), nonce: *r.number(3)}]; ok && !byHash[o.hash] {
				hit(attemptID{r.int(0), r.int(1)}, o)
			}
			return nil
		}, a.Ledger)
	}
	upTo, at := finalHeights(a)
	if a.HasFinal {
		g.session.query(sqlAttemptsUpTo, into(&t.final), a.Ledger, upTo)
	}
	if a.Head != nil {
		g.session.query(sqlAttemptsFinalAt, into(&t.final), a.Ledger, at)
	}
	strangers := c.findStrangers(g, hit)
	if err := g.session.flush(); err != nil {
		return nil, err
	}
	strangers()
	slices.SortStableFunc(t.found, func(x, y attemptID) int {
		return compareOutcomes(t.hits[x].outcome, t.hits[y].outcome)
	})
	return t, nil
}
