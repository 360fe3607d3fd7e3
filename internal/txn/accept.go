package txn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Submit accepts a transaction: it is prepared and stored when Submit returns. replay says that it was accepted before, and that
// this request changed nothing.
//
// Errors: *apitypes.Invalid; *ffcapi.Error from the connector, final or not; store.ErrKeyReused; apitypes.ErrTooManyPending,
// apitypes.ErrStopping; store.ErrFull, store.ErrUnavailable; ctx's. After any of them but the last two nothing was stored; after
// those the same request can be repeated.
func (m *Manager) Submit(ctx context.Context, sub *apitypes.Submission) (tx *apitypes.Transaction, replay bool, err error) {
	ctx, span := m.opts.Stages.Begin(ctx, metrics.Accept, sub.ID)
	tx, replay, err = m.take(ctx, sub)
	m.opts.Counts.Accepted(acceptance(replay, err))
	id := ""
	if tx != nil {
		id = tx.ID
	}
	span.End(id, err)
	return tx, replay, err
}

// acceptance is what became of a request, for the metrics.
func acceptance(replay bool, err error) metrics.Acceptance {
	var invalid *apitypes.Invalid
	var chain *ffcapi.Error
	switch {
	case err == nil && replay:
		return metrics.AcceptedReplay
	case err == nil:
		return metrics.AcceptedNew
	case errors.Is(err, apitypes.ErrTooManyPending):
		return metrics.Overloaded
	case errors.As(err, &invalid), errors.Is(err, store.ErrKeyReused), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrNoKey),
		errors.Is(err, apitypes.ErrNonceRefused), errors.As(err, &chain) && chain.Kind.Final():
		return metrics.Refused
	default:
		return metrics.Failed
	}
}

// take is Submit, unmeasured.
func (m *Manager) take(ctx context.Context, sub *apitypes.Submission) (tx *apitypes.Transaction, replay bool, err error) {
	if err := m.admitting(); err != nil {
		return nil, false, err
	}
	r, err := m.validate(sub)
	if err != nil {
		return nil, false, err
	}
	var row *store.Tx
	if r.given {
		row, replay, err = m.flights.do(ctx, r, func() (*store.Tx, bool, error) { return m.accept(ctx, r) })
	} else {
		row, replay, err = m.accept(ctx, r)
	}
	if err != nil {
		return nil, false, err
	}
	return m.transaction(row), replay, nil
}

// accept takes a request from its key to its row. When anything refuses it, the key is looked up: it may have been accepted before, or
// another process may have accepted it meanwhile, and then the refusal is about what that one did.
func (m *Manager) accept(ctx context.Context, r *request) (*store.Tx, bool, error) {
	if m.recent.has(r.id) {
		if tx, err := m.replayed(ctx, r); tx != nil || err != nil {
			return tx, true, err
		}
	}
	faultpoint.Visit(faultpoint.KeyLookedUp)
	tx, replay, err := m.acceptNew(ctx, r)
	if err != nil {
		return m.reconsidered(ctx, r, err)
	}
	return tx, replay, nil
}

// reconsidered looks the key of a request up that was refused.
func (m *Manager) reconsidered(ctx context.Context, r *request, err error) (*store.Tx, bool, error) {
	if !r.given || errors.Is(err, store.ErrKeyReused) {
		return nil, false, err
	}
	// A client that has left still gets its answer from the next one that asks; the look-up does not hang on it.
	again, cancel := m.calling(context.WithoutCancel(ctx), m.opts.PrepareTimeout)
	defer cancel()
	if tx, e := m.replayed(again, r); tx != nil {
		return tx, true, nil
	} else if errors.Is(e, store.ErrKeyReused) {
		return nil, false, e
	}
	return nil, false, err
}

// replayed is the transaction that has the request's key; nil if there is none.
func (m *Manager) replayed(ctx context.Context, r *request) (*store.Tx, error) {
	if !r.given {
		return nil, nil //nolint:nilnil // a key that was made up just now is nobody's
	}
	id, hash, err := m.opts.Store.Key(ctx, r.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil //nolint:nilnil // see above
	case err != nil:
		return nil, err
	case hash != r.hash:
		return nil, fmt.Errorf("headers.id %s: %w", r.id, store.ErrKeyReused)
	}
	return m.known(ctx, id)
}

// known is the transaction of a key.
func (m *Manager) known(ctx context.Context, id string) (*store.Tx, error) {
	tx, err := m.opts.Store.Transaction(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return m.opts.Store.Ended(ctx, id) // it was removed; its key still knows how it ended
	}
	return tx, err
}

// acceptNew prepares and stores.
func (m *Manager) acceptNew(ctx context.Context, r *request) (*store.Tx, bool, error) {
	if m.sched.pending() >= m.opts.MaxPending {
		return nil, false, m.tooMany()
	}
	began := time.Now()
	p, err := m.prepare(ctx, r.call)
	if err != nil {
		return nil, false, err
	}
	slow := slowed(began)
	if err := m.use(ctx, p.Ledger); err != nil {
		return nil, false, err
	}
	lane, ticket, ok := m.sched.begin(laneKey{p.Ledger, r.call.From}, m.opts.MaxPending, slow)
	if !ok {
		return nil, false, m.tooMany()
	}
	n := m.newTx(r, p)
	if n.NodeNext, err = m.nodeNext(ctx, lane); err != nil {
		m.sched.abandoned(lane, ticket)
		return nil, false, err
	}
	// From here on a client who leaves changes nothing.
	faultpoint.Visit(faultpoint.BeforeAccept)
	acc, err := m.opts.Store.Accept(context.WithoutCancel(ctx), m.opts.Fence(), n)
	faultpoint.Visit(faultpoint.AfterAccept)
	return m.settled(ctx, lane, ticket, r, n, store.Acceptance{Accepted: acc, Err: err})
}

// settled does what follows from the store's answer.
func (m *Manager) settled(
	ctx context.Context, lane *lane, ticket uint64, r *request, n *store.NewTx, answer store.Acceptance,
) (*store.Tx, bool, error) {
	acc := answer.Accepted
	if r.given { // whatever the answer is
		m.recent.add(r.id)
	}
	if answer.Err != nil {
		return nil, false, m.refused(lane, ticket, r, answer.Err)
	}
	if acc.Replay {
		m.sched.abandoned(lane, ticket)
		return acc.Tx, true, nil
	}
	it := newItem(acc.Tx, n)
	it.trace = m.opts.Stages.Trace(ctx)
	m.sched.accepted(lane, ticket, it)
	return acc.Tx, false, nil
}

// refused sorts out why the store did not accept. When that leaves open whether it was committed, the open transactions are
// read again; until then nothing newer of the signer is sent, because what is not known of may hold a lower nonce.
func (m *Manager) refused(l *lane, ticket uint64, r *request, err error) error {
	switch {
	case errors.Is(err, store.ErrKeyReused), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrFull), errors.Is(err, store.ErrNoKey):
		m.sched.abandoned(l, ticket)
	case errors.Is(err, store.ErrConflict) && r.nonce != nil:
		m.sched.abandoned(l, ticket)
		return fmt.Errorf("%w: leave it out to have the next one assigned: %w", apitypes.ErrNonceRefused, err)
	case errors.Is(err, store.ErrFenced):
		m.sched.abandoned(l, ticket)
		m.halt("Another owner has taken over: nothing is accepted or sent any more")
		return apitypes.ErrStopping
	default:
		m.sweep(l, ticket)
	}
	return err
}

// prepare calls the connector, with a bound on how many do.
func (m *Manager) prepare(ctx context.Context, req order) (*ffcapi.Prepared, error) {
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	select {
	case m.prepares <- struct{}{}:
		defer func() { <-m.prepares }()
	case <-call.Done():
		return nil, m.tooLate(ctx, ffcapi.Errorf(ffcapi.RateLimited, "too many transactions are being prepared"))
	}
	call, span := m.opts.Stages.Begin(call, metrics.Prepare, "")
	faultpoint.Visit(faultpoint.BeforePrepare)
	p, err := m.prepared(call, req)
	faultpoint.Visit(faultpoint.AfterPrepare)
	span.End("", err)
	if err != nil {
		return nil, m.tooLate(ctx, err)
	}
	return p, nil
}

// tooLate puts the caller's own deadline, and the end of the service, before what a call says about them.
func (m *Manager) tooLate(ctx context.Context, err error) error {
	if m.life.Err() != nil {
		return apitypes.ErrStopping
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}

// nodeNext asks the node for the signer's next nonce, where it may know of some that were used past us. What the caller gives is
// measured by it too.
func (m *Manager) nodeNext(ctx context.Context, l *lane) (*uint64, error) {
	if m.sequencer == nil {
		return nil, nil //nolint:nilnil // nothing to ask
	}
	age, known := m.sched.age(l)
	if !known {
		read, cancel := m.calling(ctx, m.opts.PrepareTimeout) // it is prepared: who leaves now changes nothing
		defer cancel()
		_, at, err := m.opts.Store.NewestNonce(read, l.key.ledger, l.key.signer)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			age, known = m.opts.Now().Sub(at), true
		}
	}
	if known && age < m.opts.NonceStateTimeout {
		return nil, nil //nolint:nilnil // what is stored is newer than anybody else's would be
	}
	pending, latest, err := m.nonces(ctx, l.key)
	if err != nil {
		return nil, err
	}
	next := max(pending, latest)
	return &next, nil
}

// newTx is what is stored of a request.
func (m *Manager) newTx(r *request, p *ffcapi.Prepared) *store.NewTx {
	gas := r.call.Gas
	if p.Gas != "" {
		gas = p.Gas
	}
	n := &store.NewTx{
		Tx: store.Tx{
			ID: r.id, Kind: r.kind, Sub: store.SubReceived, Ledger: p.Ledger,
			From: r.call.From, To: r.call.To, Nonce: r.nonce, Value: r.call.Value, Gas: gas, Fee: r.call.fee, Attempt: 1, Hash: p.Hash,
			Labels: r.labels, Required: r.required, RetryOf: r.retryOf,
		},
		BodyHash:   r.hash,
		KeyExpires: m.opts.Now().Add(m.opts.IdempotencyRetention),
		Request:    r.stored,
		Attempt:    attemptOf(p, r.call.From),
		Payload:    payloadOf(p),
		Sequenced:  m.sequencer != nil,
	}
	n.Attempt.Number = 1
	if n.Sequenced {
		n.History = []store.History{{Sub: store.SubReceived, Action: txstate.ActionAssignNonce}}
	}
	return n
}

// newItem is the schedule's item of what was just stored.
func newItem(tx *store.Tx, n *store.NewTx) *item {
	it := itemOf(tx)
	it.fresh = handoverOf(tx, n)
	return it
}

// itemOf is the schedule's item of a transaction that no node has taken yet.
func itemOf(tx *store.Tx) *item {
	it := &item{id: tx.ID, seq: tx.Seq, ordered: tx.Nonce != nil, unsent: true, slot: noTimer}
	if tx.Nonce != nil {
		it.order = *tx.Nonce
	}
	return it
}
