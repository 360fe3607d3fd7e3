package txn

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

const (
	storeRetry  = time.Second      // until a transaction that could not be read or written is tried again
	ledgerRetry = 5 * time.Second  // until one is tried again whose ledger is stopped
	engineRetry = 10 * time.Second // until the policy engine is asked again about one over which it panicked
	againAfter  = time.Second      // until one is prepared again that was prepared, or was not to be, a moment ago
	writeWithin = 30 * time.Second // for a write of a store that is alive
)

// errTooManyConflicts is the answer of a store that says again and again that somebody else was faster.
var errTooManyConflicts = errors.New("changed by others all the time")

// job is one transaction in the hands of a worker.
type job struct {
	it      *item
	state   txstate.State
	payload *store.Payload // as far as it is known
	effects txstate.Effects
	verdict verdict
	err     error // what keeps it from being worked on now
}

// worker carries out what is due, one batch after the other.
func (m *Manager) worker(ctx context.Context) {
	for {
		batch := m.sched.take(ctx)
		if batch == nil {
			return
		}
		m.sched.done(batch, m.work(batch))
	}
}

// work begins the items' sends together, sends in order, and stores the answers as they come. Beginning is what waits for the disk,
// and the store lets those who wait together share one commit.
func (m *Manager) work(batch []*item) []verdict {
	jobs := make([]*job, len(batch))
	for i, it := range batch {
		jobs[i] = &job{it: it}
	}
	together(jobs, func(j *job) { m.begin(m.life, j) })

	var answers sync.WaitGroup
	blocked := false
	for _, j := range jobs {
		sending := j.err == nil && j.effects.Do == txstate.Send
		switch {
		case !sending:
		case m.life.Err() != nil:
			m.drop(j, m.life.Err())
		case blocked && j.it.ordered:
			// What has to go before did not.
			m.spread(&answers, len(jobs), func() { m.unsend(m.life, j) })
			continue
		default:
			in := m.submit(m.life, j)
			if j.it.ordered && !takenBy(in) {
				blocked = true
			}
			m.spread(&answers, len(jobs), func() { m.answer(m.life, j, in) })
			continue
		}
		if j.it.ordered && (j.err != nil || !j.state.Taken()) {
			blocked = true
		}
	}
	answers.Wait()

	verdicts := make([]verdict, len(jobs))
	for i, j := range jobs {
		verdicts[i] = m.judge(j)
	}
	return verdicts
}

// together calls fn for all jobs at once.
func together(jobs []*job, fn func(*job)) {
	if len(jobs) == 1 {
		fn(jobs[0])
		return
	}
	var wg sync.WaitGroup
	for _, j := range jobs {
		wg.Go(func() { fn(j) })
	}
	wg.Wait()
}

// spread calls fn beside what follows when there is something that follows.
func (m *Manager) spread(wg *sync.WaitGroup, jobs int, fn func()) {
	if jobs == 1 {
		fn()
		return
	}
	wg.Go(fn)
}

// takenBy reports whether what comes after in the order of nonces may be sent.
func takenBy(in txstate.Answered) bool {
	return in.Err == nil || in.Err.Kind == ffcapi.KnownTransaction || in.Err.Kind == ffcapi.NonceTooLow
}

// judge says what becomes of a job's item.
func (m *Manager) judge(j *job) verdict {
	it := j.it
	switch {
	case j.err == nil && j.state.Tx.Status.Terminal():
		return verdict{gone: true}
	case errors.Is(j.err, store.ErrNotFound):
		return verdict{gone: true}
	case j.err != nil:
		// What it looks like now is not known: it is read again.
		it.resume, it.doubt, it.lastErr = true, true, nil
		if j.verdict.due.IsZero() {
			j.verdict.due = m.opts.Now().Add(storeRetry)
		}
		return verdict{ordered: it.ordered, due: j.verdict.due}
	}
	it.lastErr = j.state.LastError
	v := verdict{ordered: !j.state.Taken(), due: j.state.Tx.Due}
	if !j.verdict.due.IsZero() {
		v.due = j.verdict.due
	}
	return v
}

// begin reads a transaction and takes it to where it is to be sent, or has to wait.
func (m *Manager) begin(ctx context.Context, j *job) {
	if err := m.use(ctx, j.it.lane.key.ledger); err != nil {
		j.verdict.due = m.opts.Now().Add(ledgerRetry)
		m.drop(j, err)
		return
	}
	if err := m.read(ctx, j); err != nil {
		m.drop(j, err)
		return
	}
	if j.state.Tx.Status.Terminal() {
		return
	}
	var in txstate.Input = txstate.Woken{}
	if j.it.resume {
		in = txstate.Resumed{Now: m.opts.Now()}
	}
	err := m.apply(ctx, j, in)
	if err == nil {
		j.it.resume, j.it.doubt = false, false
		err = m.follow(ctx, j)
	}
	if err == nil && j.effects.Do == txstate.Send && j.payload == nil {
		j.payload, err = m.opts.Store.Payload(ctx, j.it.id, j.state.Tx.Attempt)
	}
	if err != nil {
		m.drop(j, err)
	}
}

// read fills in the job's state, from what was just accepted or from the store.
func (m *Manager) read(ctx context.Context, j *job) error {
	j.state = txstate.State{Generation: m.opts.Fence().Generation, LastError: j.it.lastErr}
	if h := j.it.fresh; h != nil {
		j.it.fresh = nil
		m.sched.took(h)
		j.state.Tx, j.state.Attempts = *h.tx, []store.Attempt{h.attempt}
		j.payload = &h.payload
		return nil
	}
	return m.reload(ctx, j)
}

// reload reads what is stored now and keeps what only the process knows.
func (m *Manager) reload(ctx context.Context, j *job) error {
	tx, err := m.opts.Store.Transaction(ctx, j.it.id)
	if err != nil {
		return err
	}
	attempts, err := m.opts.Store.Attempts(ctx, j.it.id)
	if err != nil {
		return err
	}
	if len(attempts) == 0 {
		return fmt.Errorf("transaction %s has no attempts: %w", j.it.id, store.ErrNotFound)
	}
	j.state = j.state.Reload(tx, attempts)
	return nil
}

// drop lets go of a transaction for now.
func (m *Manager) drop(j *job, err error) {
	j.err = err
	j.effects = txstate.Effects{}
	switch {
	case errors.Is(err, store.ErrFenced):
		m.halt("Another owner has taken over: nothing more is sent")
	case m.life.Err() != nil, errors.Is(err, store.ErrNotFound):
	case m.trouble.ok():
		m.log.WithField("tx", j.it.id).WithError(err).Warn("A transaction could not be worked on; it will be tried again")
	}
}

// apply steps the transaction with an input, asks the policy engine if need be, and stores what changed. When somebody else
// changed the transaction meanwhile, the input is applied to what he made of it.
func (m *Manager) apply(ctx context.Context, j *job, in txstate.Input) error {
	for range 10 {
		state, effects := txstate.Step(j.state, in)
		if state.Tx.Status.Terminal() && !effects.Write {
			j.state, j.effects = state, txstate.Effects{}
			return nil
		}
		state, effects = m.ask(ctx, state, effects)
		update := effects.Update(&state)
		if update == nil {
			j.state, j.effects = state, effects
			return nil
		}
		err := m.write(ctx, update)
		if err == nil {
			state.Tx.Version, state.Tx.Updated = update.Tx.Version, update.Tx.Updated
			j.state, j.effects = state, effects
			if effects.Payload != nil {
				j.payload = effects.Payload
			}
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := m.reload(ctx, j); err != nil {
			return err
		}
	}
	return fmt.Errorf("transaction %s: %w", j.it.id, errTooManyConflicts)
}

// write stores an update. It is not cut short: what is half-way through is settled faster by waiting for it than by finding out
// later what became of it.
func (m *Manager) write(ctx context.Context, u *store.TxUpdate) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	return m.opts.Store.Update(ctx, m.opts.Fence(), u)
}

// ask lets the policy engine decide.
func (m *Manager) ask(ctx context.Context, state txstate.State, effects txstate.Effects) (txstate.State, txstate.Effects) {
	if state, effects = m.pass(ctx, state, effects); !effects.Ask || state.Tx.Status.Terminal() {
		return state, effects
	}
	v := state.View()
	v.Now = m.opts.Now()
	v.Tx.Heard = m.heard(state.Tx.Ledger, state.Tx.LastSubmit)
	v.Fee = m.fee(ctx, &state)
	in := txstate.Decided{Decision: m.decide(v), Fee: v.Fee, Now: v.Now}
	state, next := txstate.Step(state, in)
	return state, effects.Then(next)
}

// decide asks the policy engine, which is somebody else's code: a panic there costs this transaction some time. Ending the process
// would cost all of them, and again after each restart.
func (m *Manager) decide(v policy.View) (d policy.Decision) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		d = policy.Decision{Do: policy.Wait, Until: v.Now.Add(engineRetry), State: v.State}
		if m.trouble.ok() {
			m.log.WithField("tx", v.Tx.ID).Errorf("The policy engine panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return m.opts.Policy.Decide(v)
}

// fee is what to offer now. It matters before the first send only.
func (m *Manager) fee(ctx context.Context, s *txstate.State) []byte {
	if m.opts.Fees == nil {
		return nil
	}
	if !s.Tx.FirstSubmit.IsZero() && s.Tx.Fee != nil {
		return s.Tx.Fee
	}
	call, cancel := m.calling(ctx, m.opts.PrepareTimeout)
	defer cancel()
	fee, err := m.opts.Fees.Fee(call, s.Tx.Ledger)
	if err != nil {
		m.log.WithField("tx", s.Tx.ID).WithError(err).Warn("No fee is known; the transaction is offered without")
		return nil
	}
	return fee
}

// pass ends attempts that can no longer be on the chain, because it is final past the last block that could hold them.
func (m *Manager) pass(ctx context.Context, s txstate.State, e txstate.Effects) (txstate.State, txstate.Effects) {
	if !e.Ask || !s.Expires() {
		return s, e
	}
	safe, ok, _ := m.opts.Chain.Safe(s.Tx.Ledger)
	if !ok {
		return s, e
	}
	ledger, err := m.opts.Store.Ledger(ctx, s.Tx.Ledger)
	if err != nil {
		return s, e // another time
	}
	next, passed := txstate.Step(s, txstate.Passed{Block: min(safe.Number, ledger.Position.Number), Now: m.opts.Now()})
	return next, e.Then(passed).Asking()
}

// follow does what the last step asked for, until the transaction is to be sent or has to wait. It prepares once at most: an engine that
// always wants that must not keep a worker for ever.
func (m *Manager) follow(ctx context.Context, j *job) error {
	for prepared := false; ; {
		var in txstate.Input
		switch j.effects.Do {
		case txstate.Look:
			in = m.look(ctx, j)
		case txstate.Prepare:
			if prepared {
				j.effects = txstate.Effects{}
				j.verdict.due = m.opts.Now().Add(againAfter)
				return nil
			}
			prepared = true
			var err error
			if in, err = m.prepareAfresh(ctx, j); err != nil {
				return err
			}
		default:
			return nil
		}
		if err := m.apply(ctx, j, in); err != nil {
			return err
		}
	}
}
