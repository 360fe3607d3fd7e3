package sqlstore

import (
	"context"
	"slices"

	"github.com/pyralis-io/pyralis/internal/store"
)

// stranger is an outcome that is none of ours, with the nonce of a transaction in flight: somebody else signs for our signer.
type stranger struct {
	at spot
	spotOutcome
}

// strangers finds them among the outcomes with nonces that were not matched. Where nobody else signs there are none of our signers'.
func (s *Store) strangers(ctx context.Context, ledger string, spots map[spot]spotOutcome, ours []string) ([]stranger, error) {
	mine := map[string]bool{}
	for _, h := range ours {
		mine[h] = true
	}
	var left []stranger
	var signers []string
	for at, o := range spots {
		if !mine[o.hash] && name("signer", at.signer) == nil {
			left = append(left, stranger{at, o})
			signers = append(signers, at.signer)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	slices.Sort(signers)
	known := map[string]bool{}
	err := s.read(ctx, readSigners, func(r row) error {
		known[r.text(0)] = true
		return nil
	}, ledger, s.texts(slices.Compact(signers)))
	if err != nil {
		return nil, err
	}
	var found []stranger
	for _, x := range left {
		if !known[x.at.signer] {
			continue
		}
		hit := false
		err := s.read(ctx, readAtNonce, func(row) error {
			hit = true
			return nil
		}, x.args(ledger)...)
		if err != nil {
			return nil, err
		}
		if hit {
			found = append(found, x)
		}
	}
	return found, nil
}

func (x *stranger) args(ledger string) []any {
	n := bits(x.at.nonce)
	return []any{ledger, x.at.signer, n, ledger, x.at.signer, n}
}

// findStrangers queues the reads that tell which attempts have the nonces of others. An attempt whose hash is not known may be what the
// block holds, so nothing is said against its transaction.
func (c *advanceCmd) findStrangers(g *group, hit func(attemptID, spotOutcome)) (decide func()) {
	type match struct {
		newest attemptID
		own    bool
	}
	matches := make([]match, len(c.c.strangers))
	for i := range c.c.strangers {
		x, m := &c.c.strangers[i], &matches[i]
		g.session.query(sqlAttemptsAtNonce, func(r row) error {
			m.newest = attemptID{r.int(0), r.int(1)}
			m.own = m.own || r.text(2) == "" || r.text(2) == x.hash
			return nil
		}, x.args(c.a.Ledger)...)
	}
	return func() {
		for i, m := range matches {
			if m.newest.number == 0 || m.own {
				continue
			}
			x := c.c.strangers[i]
			o := store.Outcome{Block: x.outcome.Block, Index: x.outcome.Index, Final: x.outcome.Final, By: x.hash}
			hit(m.newest, spotOutcome{hash: x.hash, outcome: &o})
		}
	}
}
