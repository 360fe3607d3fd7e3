package txn

import (
	"context"
	"encoding/json"

	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// fee is what to offer now, or why that is not known although it has to be. What a transaction has before its first send, or without a
// nonce, it keeps.
func (m *Manager) fee(ctx context.Context, s *txstate.State) (fee json.RawMessage, problem string) {
	if s.Tx.Fee != nil && (s.Tx.Nonce == nil || s.Tx.FirstSubmit.IsZero()) {
		return s.Tx.Fee, ""
	}
	if m.opts.Fees == nil {
		return nil, ""
	}
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	fee, err := survive.Call(m.panicked, func() (json.RawMessage, error) { return m.opts.Fees.Fee(call, s.Tx.Ledger) })
	if err == nil {
		return fee, ""
	}
	if m.opts.FeesRequired {
		problem = "no fee is known: " + err.Error()
	}
	if m.trouble.ok() {
		m.log.WithField("tx", s.Tx.ID).WithError(err).Warn("No fee is known")
	}
	return nil, problem
}

// repeat fills in the payload of an attempt that replaces another.
func (m *Manager) repeat(ctx context.Context, id string, e *txstate.Effects) (err error) {
	if e.Repeats > 0 && e.Payload == nil {
		e.Payload, err = m.opts.Store.Payload(ctx, id, e.Repeats)
	}
	return err
}
