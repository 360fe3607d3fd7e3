package txn

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// operateTries is how often an operation is begun again because others change the transaction at the same time.
const operateTries = 20

// SuspendTransaction stops the sending of a transaction. Errors of this and the other operations: store.ErrNotFound, the refusals of
// apitypes (ErrFinished, ErrMayBeOut, ErrCancelling, ErrNotFailed), *apitypes.Invalid, *ffcapi.Error, apitypes.ErrStopping, the
// store's, ctx's. All can be repeated.
func (m *Manager) SuspendTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	// Before it is stored: afterwards somebody may have resumed it already. What is held for nothing is read again when it is roused.
	m.sched.hold(id)
	row, err := m.operate(ctx, id, "suspended", txstate.Suspend{Now: m.opts.Now()})
	if err != nil {
		m.sched.rouse(id, false)
		return nil, err
	}
	m.yield(id)
	m.sched.recall(id) // it may have been taken since, to ask what became of it
	if m.sequencer == nil {
		m.sched.rouse(id, false) // or resumed since, and have joined the line that it was just taken out of
	}
	return m.transaction(row), nil
}

// ResumeTransaction goes on with a suspended transaction.
func (m *Manager) ResumeTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	row, err := m.operate(ctx, id, "resumed", txstate.Resume{Now: m.opts.Now()})
	if err != nil {
		return nil, err
	}
	m.sched.rouse(id, true)
	return m.transaction(row), nil
}

// CancelTransaction ends a transaction of which nothing has left. One that holds a nonce stays Pending until that is used up.
func (m *Manager) CancelTransaction(ctx context.Context, id string) (*apitypes.Transaction, error) {
	row, err := m.change(ctx, id, "cancelled", func(s *txstate.State) (txstate.Input, error) { return m.cancelling(ctx, s) })
	if err != nil {
		return nil, err
	}
	m.sched.rouse(id, true)
	return m.transaction(row), nil
}

// cancelling decides how a transaction's nonce, if it has one, is kept from being a gap.
func (m *Manager) cancelling(ctx context.Context, s *txstate.State) (txstate.Input, error) {
	in := txstate.Cancel{Now: m.opts.Now()}
	if _, e := txstate.Step(*s, in); e.Do != txstate.UseUp {
		return in, nil
	}
	newest, _, err := m.opts.Store.NewestNonce(ctx, s.Tx.Ledger, s.Tx.From)
	if err != nil {
		return nil, err
	}
	if newest == *s.Tx.Nonce && s.NeverSent() && s.Tx.Kind != apitypes.FillNonce {
		in.GiveBack = true
		return in, nil
	}
	p, err := m.useUp(ctx, laneKey{s.Tx.Ledger, s.Tx.From}, *s.Tx.Nonce)
	if err != nil {
		return nil, err
	}
	attempt := attemptOf(p, s.Tx.From)
	attempt.Ledger = s.Tx.Ledger
	in.Attempt, in.Payload, in.Gas = &attempt, payloadOf(p), p.Gas
	return in, nil
}

func refused(s *txstate.State, in txstate.Input) bool {
	_, e := txstate.Step(*s, in)
	return e.Refused != nil
}

// operate applies an operation that needs nothing but the transaction.
func (m *Manager) operate(ctx context.Context, id, what string, in txstate.Input) (*store.Tx, error) {
	return m.change(ctx, id, what, func(*txstate.State) (txstate.Input, error) { return in, nil })
}

// change applies an operation beside whatever the workers do with the transaction: the version of its row decides who was first. what
// names it for the error of a refusal.
func (m *Manager) change(ctx context.Context, id, what string, input func(*txstate.State) (txstate.Input, error)) (*store.Tx, error) {
	if err := m.admitting(); err != nil {
		return nil, err
	}
	for range operateTries {
		j := &job{it: &item{id: id}, state: txstate.State{Generation: m.opts.Fence().Generation}}
		if err := m.reload(ctx, j); err != nil {
			return nil, err
		}
		in, err := input(&j.state)
		if err != nil {
			return nil, err
		}
		next, effects := txstate.Step(j.state, in)
		if effects.Refused != nil {
			return nil, fmt.Errorf("transaction %s is %s/%s and cannot be %s: %w", id, j.state.Tx.Status, j.state.Tx.Sub, what, effects.Refused)
		}
		update := effects.Update(&next)
		if update == nil {
			return &j.state.Tx, nil
		}
		switch err := m.write(ctx, update); {
		case err == nil:
			return update.Tx, nil
		case errors.Is(err, store.ErrFenced):
			m.halt("Another owner has taken over: nothing more is sent")
			return nil, apitypes.ErrStopping
		case !errors.Is(err, store.ErrConflict):
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, fmt.Errorf("transaction %s: %w: %w", id, errTooManyConflicts, store.ErrConflict)
}
