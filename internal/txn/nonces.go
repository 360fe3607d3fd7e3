package txn

import (
	"context"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// nonces asks the chain for a signer's next nonces.
func (m *Manager) nonces(ctx context.Context, key laneKey) (pending, latest uint64, err error) {
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	func() {
		defer survive.Panic(&err, m.panicked)
		pending, latest, err = m.sequencer.NextNonce(call, key.ledger, key.signer)
	}()
	if err != nil {
		return 0, 0, m.tooLate(ctx, err)
	}
	return pending, latest, nil
}

// askNonce asks whether the chain has used a transaction's nonce.
func (m *Manager) askNonce(ctx context.Context, j *job) txstate.Input {
	_, latest, err := m.nonces(ctx, laneKey{j.state.Tx.Ledger, j.state.Tx.From})
	if err != nil && m.trouble.ok() {
		m.log.WithField("tx", j.it.id).WithError(err).Warn("The chain does not tell the signer's next nonce")
	}
	return txstate.Latest{Next: latest}
}

// nodeNextFor asks the node where a transaction's nonce has to be assigned anew; nil where it keeps its own.
func (m *Manager) nodeNextFor(ctx context.Context, s *txstate.State) (*uint64, error) {
	if !s.Renumbers() {
		return nil, nil //nolint:nilnil // nothing to ask
	}
	pending, latest, err := m.nonces(ctx, laneKey{s.Tx.Ledger, s.Tx.From})
	if err != nil {
		return nil, err
	}
	next := max(pending, latest)
	return &next, nil
}

// useUp prepares a harmless transaction with a nonce.
func (m *Manager) useUp(ctx context.Context, key laneKey, nonce uint64) (*ffcapi.Prepared, error) {
	if m.sequencer == nil {
		return nil, apitypes.ErrNoNonces
	}
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	p, err := survive.Ask(m.panicked, func() (*ffcapi.Prepared, error) { return m.sequencer.Cancel(call, key.ledger, key.signer, nonce) })
	if err != nil {
		return nil, m.tooLate(ctx, err)
	}
	return p, nil
}
