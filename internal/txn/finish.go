package txn

import (
	"context"
	"errors"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/survive"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
)

// finish has the connector do what Prepare has left to be done before the first send, and is nil when nothing was left. That is done before
// the send is claimed: what is refused has then no effect for sure, also when the process dies.
func (m *Manager) finish(ctx context.Context, j *job) (txstate.Input, error) {
	if m.finisher == nil || j.state.Tx.Status != store.Pending || !j.state.Unclaimed() {
		return nil, nil //nolint:nilnil // nothing was left
	}
	if j.payload == nil {
		var err error
		if j.payload, err = m.opts.Store.Payload(ctx, j.it.id, j.state.Tx.Attempt); errors.Is(err, store.ErrSealed) {
			return txstate.Unfinished{Attempt: j.state.Tx.Attempt, Err: m.undecrypted(j, err), Now: m.opts.Now()}, nil
		} else if err != nil {
			return nil, err
		}
	}
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	p, err := m.finished(call, j.state.Submission(j.payload))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err() // cut short by the stop: it says nothing about the request
	case err != nil:
		e := refusal(err)
		m.sched.paced(e.Kind == ffcapi.RateLimited)
		return txstate.Unfinished{Attempt: j.state.Tx.Attempt, Err: e, Now: m.opts.Now()}, nil
	case p == nil:
		return nil, nil //nolint:nilnil // see above
	}
	done := txstate.Finished{Attempt: attemptOf(p, j.state.Tx.From), Payload: payloadOf(p)}
	done.Attempt.Number = j.state.Tx.Attempt
	return done, nil
}

// finishFresh is finish of what was prepared afresh: nobody waits for an answer before it is sent.
func (m *Manager) finishFresh(ctx context.Context, s *txstate.State, in txstate.Fresh) (txstate.Fresh, error) {
	if m.finisher == nil {
		return in, nil
	}
	next, _ := txstate.Step(*s, in)
	if !next.Unclaimed() {
		return in, nil // it is no longer wanted
	}
	p, err := m.finished(ctx, next.Submission(&in.Payload))
	if err == nil && p != nil {
		in.Attempt, in.Payload = attemptOf(p, s.Tx.From), payloadOf(p)
	}
	return in, err
}

func (m *Manager) finished(ctx context.Context, sub *ffcapi.Submission) (p *ffcapi.Prepared, err error) {
	defer survive.Panic(&err, m.panicked)
	p, err = m.finisher.Finish(ctx, sub)
	switch {
	case err != nil || p == nil:
		return nil, err
	case p.Hash != sub.Prepared.Hash || p.Ledger != sub.Prepared.Ledger:
		return nil, ffcapi.Errorf(ffcapi.Internal, "the connector made another transaction of %s on %q", sub.Prepared.Hash, sub.Prepared.Ledger)
	}
	out := *p
	out.Sensitive = p.Sensitive || sub.Prepared.Sensitive // it is made of what is secret
	return &out, nil
}
