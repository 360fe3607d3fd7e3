package txn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	maxGaps   = 1000 // gaps that are shown, and filled, at once
	noncePage = 1000 // open nonces that are read at once
)

// counts are a signer's nonces as the store and the chain count them. A gap was assigned, is not used on the chain, and no open
// transaction holds it.
type counts struct {
	assigned        bool
	next            uint64
	pending, latest uint64
	gaps            []uint64
}

// Signer shows a signer's nonces. Errors: apitypes.ErrNoNonces, *ffcapi.Error, apitypes.ErrStopping, the store's, ctx's.
func (m *Manager) Signer(ctx context.Context, ledger, signer string) (*apitypes.Signer, error) {
	key := laneKey{ledger, signer}
	c, err := m.count(ctx, key)
	if err != nil {
		return nil, err
	}
	s := &apitypes.Signer{
		Ledger: ledger, Signer: signer, Pending: bigintOf(c.pending), Latest: bigintOf(c.latest),
		Gaps: make([]*fftypes.FFBigInt, len(c.gaps)), Open: m.sched.holding(key),
	}
	if c.assigned {
		s.Next = bigintOf(c.next)
	}
	for i, n := range c.gaps {
		s.Gaps[i] = bigintOf(n)
	}
	return s, nil
}

func (m *Manager) count(ctx context.Context, key laneKey) (c counts, err error) {
	switch {
	case m.sequencer == nil:
		return c, fmt.Errorf("signer %s: %w", key.signer, apitypes.ErrNoNonces)
	case m.admitting() != nil:
		return c, m.admitting()
	}
	if c.pending, c.latest, err = m.nonces(ctx, key); err != nil {
		return c, err
	}
	newest, _, err := m.opts.Store.NewestNonce(ctx, key.ledger, key.signer)
	if errors.Is(err, store.ErrNotFound) {
		return c, nil
	} else if err != nil {
		return c, err
	}
	c.assigned, c.next = true, newest+1
	if c.gaps, err = m.gaps(ctx, key, c.latest, c.next); err != nil || len(c.gaps) == 0 {
		return c, err
	}
	// What was open when the chain was asked may have ended since. So it is asked again.
	if c.pending, c.latest, err = m.nonces(ctx, key); err != nil {
		return c, err
	}
	c.gaps = slices.DeleteFunc(c.gaps, func(n uint64) bool { return n < c.latest })
	return c, nil
}

// gaps are the nonces from latest up to next that nobody holds, the lowest maxGaps of them.
func (m *Manager) gaps(ctx context.Context, key laneKey, latest, next uint64) (gaps []uint64, err error) {
	for n := latest; n < next && len(gaps) < maxGaps; {
		page, err := m.opts.Store.OpenNonces(ctx, key.ledger, key.signer, n, noncePage)
		if err != nil {
			return nil, err
		}
		if len(page) < noncePage {
			page = append(page, next)
		}
		for _, held := range page {
			for ; n < min(held, next) && len(gaps) < maxGaps; n++ {
				gaps = append(gaps, n)
			}
			n = held + 1
		}
	}
	return gaps, nil
}

// FillNonces uses up a signer's gaps, each with a transaction of its own. Repeated, it makes none twice.
func (m *Manager) FillNonces(ctx context.Context, ledger, signer string) ([]*apitypes.Transaction, error) {
	key := laneKey{ledger, signer}
	c, err := m.count(ctx, key)
	if err != nil {
		return nil, err
	}
	filled := []*apitypes.Transaction{}
	for _, nonce := range c.gaps {
		row, replay, err := m.fill(ctx, key, nonce)
		if errors.Is(err, apitypes.ErrNonceRefused) {
			continue // it was given back meanwhile: it is no gap any more
		}
		m.opts.Counts.Accepted(acceptance(replay, err))
		if err != nil {
			return nil, err
		}
		filled = append(filled, m.transaction(row))
	}
	return filled, nil
}

// fill accepts a transaction that uses a nonce up. replay: there is one already.
func (m *Manager) fill(ctx context.Context, key laneKey, nonce uint64) (tx *store.Tx, replay bool, err error) {
	id, err := m.fillID(ctx, key, nonce)
	if err != nil {
		return nil, false, err
	}
	p, err := m.useUp(ctx, key, nonce)
	if err != nil {
		return nil, false, err
	}
	if err := m.use(ctx, key.ledger); err != nil {
		return nil, false, err
	}
	lane, ticket, ok := m.sched.begin(key, m.opts.MaxPending, true)
	if !ok {
		return nil, false, m.tooMany()
	}
	n, err := m.newFill(key, id, nonce)
	if err != nil {
		m.sched.abandoned(lane, ticket)
		return nil, false, err
	}
	n.Tx.Gas, n.Tx.Hash = p.Gas, p.Hash
	n.Attempt, n.Payload = attemptOf(p, key.signer), payloadOf(p)
	n.Attempt.Number, n.Attempt.Ledger = 1, key.ledger
	acc, err := m.opts.Store.Accept(context.WithoutCancel(ctx), m.opts.Fence(), n)
	if err != nil {
		return nil, false, m.refused(lane, ticket, &request{id: id, nonce: &nonce}, err)
	}
	if acc.Replay {
		m.sched.abandoned(lane, ticket)
		return acc.Tx, true, nil
	}
	m.sched.accepted(lane, ticket, newItem(acc.Tx, n))
	return acc.Tx, false, nil
}

func (m *Manager) newFill(key laneKey, id string, nonce uint64) (*store.NewTx, error) {
	body, err := json.Marshal(map[string]any{"from": key.signer, "nonce": bigintOf(nonce)})
	if err != nil {
		return nil, fmt.Errorf("request of transaction %s: %w", id, err)
	}
	return &store.NewTx{
		Tx: store.Tx{
			ID: id, Kind: apitypes.FillNonce, Sub: store.SubReceived, Ledger: key.ledger, From: key.signer, Nonce: &nonce, Attempt: 1,
		},
		BodyHash:   sha256.Sum256([]byte(id)),
		KeyExpires: m.opts.Now().Add(m.opts.IdempotencyRetention),
		Request:    body,
		Sequenced:  true,
		Fill:       true,
		History:    []store.History{{Sub: store.SubReceived, Action: txstate.ActionAssignNonce}},
	}, nil
}

// fillID is the id of the transaction that fills a gap: that of the one that is about to do so, or of the next one. A gap can come back,
// when the chain forgets what it had.
func (m *Manager) fillID(ctx context.Context, key laneKey, nonce uint64) (string, error) {
	digest := sha256.Sum256([]byte(key.ledger + "\x00" + key.signer))
	for n := 1; ; n++ {
		id := fmt.Sprintf("fill-%s-%d-%d", hex.EncodeToString(digest[:8]), nonce, n)
		tx, err := m.opts.Store.Transaction(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			_, _, err := m.opts.Store.Key(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				return id, nil
			} else if err != nil {
				return "", err
			}
		case err != nil:
			return "", err
		case !tx.Status.Terminal():
			return id, nil
		}
	}
}
