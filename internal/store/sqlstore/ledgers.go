package sqlstore

import (
	"context"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// Ledger implements store.Ledgers.
func (s *Store) Ledger(ctx context.Context, name string) (*store.LedgerState, error) {
	var l *store.LedgerState
	err := s.read(ctx, readLedger, func(r row) error {
		l = scanLedger(r, name)
		return nil
	}, name)
	if err != nil {
		return nil, fmt.Errorf("ledger %q: %w", name, err)
	}
	if l == nil {
		return nil, notFound("ledger", name)
	}
	return l, nil
}

func scanLedger(r row, name string) *store.LedgerState {
	return &store.LedgerState{
		Name: name, ID: r.text(0), Position: ffcapi.BlockRef{Number: *r.number(1), Hash: r.text(2)},
	}
}

// OpenBlocks implements store.Ledgers.
func (s *Store) OpenBlocks(ctx context.Context, ledger string, upTo uint64) ([]ffcapi.BlockRef, error) {
	var blocks []ffcapi.BlockRef
	err := s.read(ctx, readOpenBlocks, func(r row) error {
		o, err := r.outcome(1)
		if err == nil {
			blocks = append(blocks, o.Block)
		}
		return err
	}, ledger, clampBlock(upTo), ledger, clampBlock(upTo))
	if err != nil {
		return nil, fmt.Errorf("open blocks of ledger %q: %w", ledger, err)
	}
	return blocks, nil
}

// UseLedger implements store.Ledgers.
func (s *Store) UseLedger(ctx context.Context, f store.Fence, l store.LedgerState) (*store.LedgerState, error) {
	var stored *store.LedgerState
	err := names("name", l.Name, "id", l.ID, "hash", l.Position.Hash)
	if err == nil {
		err = s.lone(ctx, &f, func(g *group) error {
			there, err := g.ask(sqlPosition, func(r row) { stored = scanLedger(r, l.Name) }, l.Name)
			if err != nil || there {
				return err
			}
			stored = &l
			g.session.exec(sqlInsertLedger, 1, l.Name, l.ID, bits(l.Position.Number), l.Position.Hash, g.now)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("use ledger %q: %w", l.Name, err)
	}
	return stored, nil
}

// InFlight implements store.Ledgers.
func (s *Store) InFlight(ctx context.Context, ledger string, listed []ffcapi.TxOutcome) ([]ffcapi.TxOutcome, error) {
	c, err := outcomesOf(&store.Advance{Ledger: ledger, Blocks: []store.BlockOutcomes{{Outcomes: listed}}})
	if err == nil {
		err = s.keepOurs(ctx, ledger, c)
	}
	if err != nil {
		return nil, fmt.Errorf("transactions in flight on ledger %q: %w", ledger, err)
	}
	ours := make(map[string]bool, len(c.hashes))
	for _, hash := range c.hashes {
		ours[hash] = true
	}
	var mine []ffcapi.TxOutcome
	for i := range listed {
		if ours[listed[i].Hash] {
			mine = append(mine, listed[i])
		}
	}
	return mine, nil
}

// spot is where an outcome without a known hash is found again.
type spot struct {
	signer string
	nonce  uint64
}

// candidates are the outcomes of an Advance that may be ours, by what they are matched with.
type candidates struct {
	hashes []string
	byHash map[string]*store.Outcome
	bySpot map[spot]spotOutcome

	strangers []stranger
}

type spotOutcome struct {
	hash    string
	outcome *store.Outcome
}

// outcomesOf collects all outcomes of an Advance that can be ours; of two with one hash the first counts. On some chains whoever sends a
// transaction chooses its hash: one that could not be stored is none of ours, and must not keep the ledger from moving on.
func outcomesOf(a *store.Advance) (*candidates, error) {
	c := &candidates{byHash: map[string]*store.Outcome{}, bySpot: map[spot]spotOutcome{}}
	for i := range a.Blocks {
		b := &a.Blocks[i]
		if err := checkNumber(b.Block.Number); err != nil {
			return nil, err
		}
		for j := range b.Outcomes {
			o := &b.Outcomes[j]
			if _, ok := c.byHash[o.Hash]; ok || o.Hash == "" || name("hash", o.Hash) != nil {
				continue
			}
			out := &store.Outcome{
				Block: b.Block, Index: o.Index, Success: o.Success, Reason: text(o.Reason), Retryable: o.Retryable, Result: o.Result,
				ContractLocation: o.ContractLocation, Final: a.HasFinal && b.Block.Number <= a.Final,
			}
			c.hashes = append(c.hashes, o.Hash)
			c.byHash[o.Hash] = out
			if o.Nonce == nil {
				continue
			}
			at := spot{signer: o.From, nonce: *o.Nonce}
			if _, ok := c.bySpot[at]; !ok {
				c.bySpot[at] = spotOutcome{hash: o.Hash, outcome: out}
			}
		}
	}
	return c, nil
}

// keepOurs drops what no attempt in flight can be matched with, reading beside the writer. An attempt is claimed, durably, before its
// first byte leaves: whatever is in a block that was read before this call was in flight before it, so nothing is overlooked.
func (s *Store) keepOurs(ctx context.Context, ledger string, c *candidates) error {
	if len(c.hashes) == 0 {
		return nil
	}
	// Those without a hash come first: one that gets its hash meanwhile is then found by it. And what is found by its spot is looked for
	// by hash as well when the write decides, because it may have got its hash by then.
	spots := map[spot]spotOutcome{}
	var ours []string
	if len(c.bySpot) > 0 {
		err := s.read(ctx, readHashless, func(r row) error {
			at := spot{signer: r.text(0), nonce: *r.number(1)}
			if o, ok := c.bySpot[at]; ok {
				spots[at] = o
				ours = append(ours, o.hash)
			}
			return nil
		}, ledger)
		if err != nil {
			return err
		}
	}
	err := s.read(ctx, readHashes, func(r row) error {
		if h := r.text(0); c.byHash[h] != nil {
			ours = append(ours, h)
		}
		return nil
	}, ledger, s.texts(c.hashes))
	if err == nil {
		c.strangers, err = s.strangers(ctx, ledger, c.bySpot, ours)
	}
	c.hashes, c.bySpot = ours, spots
	return err
}
