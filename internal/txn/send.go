package txn

import (
	"context"
	"errors"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// send hands the jobs that are to be sent to the node, in order, and what came of each to later. It reports whether the node has taken all.
func (m *Manager) send(jobs []*job, later func(func())) (left bool) {
	blocked, refused := false, false
	left = true
	for _, j := range jobs {
		sending := j.err == nil && j.effects.Do == txstate.Send
		switch {
		case !sending:
		case m.life.Err() != nil:
			m.drop(j, m.life.Err())
		case m.withheld(j, blocked, refused):
			blocked, left = true, false
			later(func() { m.unsend(m.life, j) })
			continue
		default:
			in := m.submit(m.life, j)
			if !takenBy(in) {
				refused, blocked = true, blocked || j.it.ordered
			}
			left = left && in.Err == nil
			later(func() { m.answer(m.life, j, in) })
			continue
		}
		left = false
		if j.it.ordered && (j.err != nil || !j.state.Taken()) {
			blocked = true
		}
	}
	return left
}

// withheld reports whether a send that was claimed must not begin: what has to go before did not, somebody has suspended it meanwhile, or it
// has got another nonce, and with it another turn. Nor what is sent again, when one with a lower nonce was refused just now.
func (m *Manager) withheld(j *job, blocked, refused bool) bool {
	if refused && m.sequencer != nil && !j.it.ordered {
		j.verdict.due = m.opts.Now().Add(behindPause)
		return true
	}
	return blocked && j.it.ordered || j.moved() || m.sched.recalled(j.it)
}

// takenBy reports whether what comes after in the order of nonces may be sent.
func takenBy(in txstate.Answered) bool {
	return in.Err == nil || in.Err.Kind == ffcapi.KnownTransaction || in.Err.Kind == ffcapi.NonceTooLow
}

// submit sends. Its claim is stored.
func (m *Manager) submit(ctx context.Context, j *job) txstate.Answered {
	call, cancel := m.calling(ctx, m.opts.SubmitTimeout)
	defer cancel()
	m.unnamed(j)
	call, span := m.opts.Stages.Begin(j.it.trace.Into(call), metrics.Send, j.it.id)
	faultpoint.Visit(faultpoint.BeforeSubmit)
	sent, err := m.handOver(call, j)
	span.End("", err)
	in := txstate.Answered{Now: m.opts.Now()}
	switch {
	case err != nil:
		in.Err = refusal(err)
	case sent == nil:
		in.Err = ffcapi.Errorf(ffcapi.Internal, "the connector answered nothing")
	default:
		in.Hash = sent.Hash
	}
	kind := ""
	if in.Err != nil {
		kind = string(in.Err.Kind)
	}
	m.opts.Counts.Sent(kind)
	m.sched.paced(in.Err != nil && in.Err.Kind == ffcapi.RateLimited)
	return in
}

// handOver gives a transaction to the connector.
func (m *Manager) handOver(ctx context.Context, j *job) (sent *ffcapi.Submitted, err error) {
	defer survive.Panic(&err, m.panicked)
	if j.sealed != nil {
		return nil, j.sealed
	}
	return m.opts.Connector.Submit(ctx, j.state.Submission(j.payload))
}

// receipt asks the connector what became of an attempt.
func (m *Manager) receipt(ctx context.Context, attempt *store.Attempt, ledger string) (r *ffcapi.Receipt, err error) {
	defer survive.Panic(&err, m.panicked)
	return m.opts.Connector.Receipt(ctx, &ffcapi.ReceiptQuery{Ledger: ledger, Hash: attempt.Hash})
}

// panicked is told of the connector's panics. Where one transaction makes it panic, a thousand may.
func (m *Manager) panicked(p any, stack []byte) {
	if m.trouble.ok() {
		survive.Log(m.log)(p, stack)
	}
}

// answer stores what a Submit answered and does what follows from it.
func (m *Manager) answer(ctx context.Context, j *job, in txstate.Answered) {
	if ctx.Err() != nil && in.Err != nil {
		m.drop(j, ctx.Err()) // cut short by the stop: it says nothing that is not stored
		return
	}
	faultpoint.Visit(faultpoint.AfterSubmit)
	err := m.apply(ctx, j, in)
	faultpoint.Visit(faultpoint.AfterAnswer)
	if err == nil {
		err = m.follow(ctx, j)
	}
	if err != nil {
		m.drop(j, err)
		return
	}
	if j.effects.Do == txstate.Send {
		// The engine wants to go on at once. That takes another turn, so that others get theirs.
		j.verdict.due = m.opts.Now()
		m.unsend(ctx, j)
	}
}

// unsend takes a claim back whose send was not begun.
func (m *Manager) unsend(ctx context.Context, j *job) {
	if err := m.apply(ctx, j, txstate.Unsent{Now: m.opts.Now()}); err != nil {
		m.drop(j, err)
	}
}

// look looks for the attempts on the chain.
func (m *Manager) look(ctx context.Context, j *job) txstate.Input {
	call, cancel := m.calling(ctx, m.opts.SubmitTimeout)
	defer cancel()
	for _, attempt := range j.state.Sought() {
		if in := m.lookFor(call, &j.state.Tx, &attempt); in != nil {
			return in
		}
	}
	if in := m.search(call, j); in != nil {
		return in
	}
	return txstate.Missing{Resend: j.effects.Resend, Fee: j.effects.Fee, Now: m.opts.Now()}
}

// lookFor looks for one attempt; nil: it is not there, or nobody could be asked.
func (m *Manager) lookFor(call context.Context, tx *store.Tx, attempt *store.Attempt) txstate.Input {
	r, err := m.receipt(call, attempt, tx.Ledger)
	if err != nil || r == nil {
		if kind := ffcapi.KindOf(err); kind != ffcapi.NotFound && m.trouble.ok() {
			m.log.WithField("tx", tx.ID).WithError(err).Warn("A transaction could not be looked for")
		}
		return nil
	}
	canonical, final := m.standing(call, tx, r.Block)
	switch _, known := m.opts.Chain.Canonical(tx.Ledger, r.Block.Number); {
	case canonical && final:
		return txstate.Found{Attempt: attempt.Number, Now: m.opts.Now(), Outcome: store.Outcome{
			Block: r.Block, Index: r.TxIndex, Success: r.Success, Reason: r.Reason, Retryable: r.Retryable, Result: r.Result,
			ContractLocation: r.ContractLocation, Final: true,
		}}
	case canonical, !final && !known: // it may still change, or the node is ahead of what was seen
		return txstate.Sighted{Now: m.opts.Now()}
	default: // the node is on another branch
		return nil
	}
}

// prepareAfresh makes a new attempt from the request as it was accepted.
func (m *Manager) prepareAfresh(ctx context.Context, j *job) (txstate.Input, error) {
	raw, err := m.opts.Store.Request(ctx, j.it.id)
	if errors.Is(err, store.ErrSealed) {
		return txstate.Unprepared{Err: m.undecrypted(j, err), Now: m.opts.Now()}, nil
	} else if err != nil {
		return nil, err
	}
	req, err := storedRequest(j.state.Tx.Kind, raw)
	if err != nil {
		err = ffcapi.Errorf(ffcapi.Internal, "the request as it was accepted cannot be read: %s", err)
		return txstate.Unprepared{Err: refusal(err), Now: m.opts.Now()}, nil
	}
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	fresh, err := m.fresh(call, &j.state, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err() // cut short by the stop: it says nothing about the request
	case err != nil:
		return txstate.Unprepared{Err: refusal(err), Now: m.opts.Now()}, nil
	}
	m.opts.Counts.Renewed(j.state.View().Outcome != nil)
	return fresh, nil
}

// fresh has the chain prepare a new attempt.
func (m *Manager) fresh(call context.Context, s *txstate.State, req order) (in txstate.Fresh, err error) {
	p, err := m.prepared(call, req)
	switch {
	case err != nil:
		return in, err
	case p.Ledger != s.Tx.Ledger:
		return in, ffcapi.Errorf(ffcapi.Internal, "prepared for ledger %q, before it was %q", p.Ledger, s.Tx.Ledger)
	}
	next, err := m.nodeNextFor(call, s)
	if err != nil {
		return in, err
	}
	return m.finishFresh(call, s, txstate.Fresh{
		Attempt: attemptOf(p, req.From), Payload: payloadOf(p), Gas: p.Gas, Fee: req.fee, NodeNext: next, Now: m.opts.Now(),
	})
}

func attemptOf(p *ffcapi.Prepared, from string) store.Attempt {
	return store.Attempt{
		Ledger: p.Ledger, State: store.AttemptPrepared, Hash: p.Hash, From: from,
		Expires: p.Expires, Exclusive: p.Exclusive, ConflictKeys: p.ConflictKeys, SendBefore: p.SendBefore,
	}
}

func payloadOf(p *ffcapi.Prepared) store.Payload {
	return store.Payload{Prepared: p.Payload, Result: p.Result, Secret: p.Sensitive}
}
