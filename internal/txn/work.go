package txn

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

const (
	storeRetry  = time.Second      // until a transaction that could not be read or written is tried again
	ledgerRetry = 5 * time.Second  // from one try to use a ledger that is away to the next, if it did not last longer
	doubtRetry  = time.Second      // until it is asked again what became of one that is suspended
	engineRetry = 10 * time.Second // until the policy engine is asked again about one over which it panicked
	behindPause = time.Second      // from the send of one that was refused to the next look at those behind it
	againAfter  = time.Second      // until one is prepared again that was prepared, or was not to be, a moment ago
	writeWithin = 30 * time.Second // for a write of a store that is alive

	doubtRetryMost = time.Minute
	behindMost     = 10 * time.Second // behindPause, where no time of the next send is known
)

// errTooManyConflicts is the answer of a store that says again and again that somebody else was faster.
var errTooManyConflicts = errors.New("changed by others all the time")

// job is one transaction in the hands of a worker.
type job struct {
	it      *item
	state   txstate.State
	payload *store.Payload // as far as it is known
	sealed  *ffcapi.Error  // in its place: it cannot be decrypted
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
		faultpoint.Visit(faultpoint.WorkerTook)
		verdicts := m.work(batch)
		for i, v := range verdicts {
			if v.held {
				m.yield(batch[i].id) // not afterwards: it may be resumed, and have its turn by then
			}
		}
		for _, id := range m.sched.done(batch, verdicts) {
			m.yield(id) // it may have asked for its turn after it was told of that this ended
		}
	}
}

// work begins the items' sends together, sends in order, and stores the answers as they come. Beginning is what waits for the disk,
// and the store lets those who wait together share one commit. When the node has taken all of them, their signer's next ones may go: it
// has nothing to wait for but the disk.
func (m *Manager) work(batch []*item) []verdict {
	if !m.usable(batch[0].lane.key.ledger) {
		return m.untouched(batch)
	}
	jobs := make([]*job, len(batch))
	for i, it := range batch {
		jobs[i] = &job{it: it}
	}
	together(jobs, func(j *job) { m.begin(m.life, j) })

	var answers sync.WaitGroup
	later := answers.Go // beside what follows
	var last func()
	if len(jobs) == 1 {
		later = func(fn func()) { last = fn } // nothing follows
	}
	if m.send(jobs, later) {
		m.sched.left(batch)
	}
	if last != nil {
		last()
	}
	answers.Wait()

	verdicts := make([]verdict, len(jobs))
	for i, j := range jobs {
		verdicts[i] = m.judge(j)
	}
	return verdicts
}

// untouched leaves the items of a ledger that is away as they are.
func (m *Manager) untouched(batch []*item) []verdict {
	now := m.opts.Now()
	verdicts := make([]verdict, len(batch))
	for i, it := range batch {
		verdicts[i] = verdict{unsent: it.unsent, ordered: it.ordered, held: it.held, due: now, untouched: true}
	}
	return verdicts
}

// moved reports whether the transaction has another nonce than the one in whose turn it was taken.
func (j *job) moved() bool { return j.state.Tx.Nonce != nil && *j.state.Tx.Nonce != j.it.order }

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
		it.resume, it.doubt = true, true
		it.answered(nil, 0)
		if j.verdict.due.IsZero() {
			j.verdict.due = m.opts.Now().Add(storeRetry)
		}
		return verdict{unsent: it.unsent, ordered: it.ordered, due: j.verdict.due}
	}
	it.answered(j.state.LastError, j.state.Tx.Attempt)
	taken := j.state.Taken()
	v := verdict{unsent: !taken, ordered: !taken, due: j.state.Tx.Due, held: j.state.Tx.Status == store.Suspended}
	if it.doubt = it.doubt || j.state.Doubtful(); it.doubt && v.held {
		// The longer nobody could tell, the longer it may take.
		now := m.opts.Now()
		v.due = now.Add(min(max(now.Sub(j.state.Tx.SubSince), doubtRetry), doubtRetryMost))
	}
	v.refused = j.state.Refused()
	if j.moved() {
		v.moved, v.order = true, *j.state.Tx.Nonce
	}
	if !j.verdict.due.IsZero() {
		v.due = j.verdict.due
	}
	return v
}

// begin reads a transaction and takes it to where it is to be sent, or has to wait.
func (m *Manager) begin(ctx context.Context, j *job) {
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
	done, err := m.finish(ctx, j)
	if done != nil {
		in = done
	}
	if err == nil {
		err = m.apply(ctx, j, in)
	}
	if err == nil {
		j.it.resume, j.it.doubt = false, false
		err = m.follow(ctx, j)
	}
	if err == nil && j.effects.Do == txstate.Send && j.payload == nil {
		if j.payload, err = m.opts.Store.Payload(ctx, j.it.id, j.state.Tx.Attempt); errors.Is(err, store.ErrSealed) {
			j.sealed, err = m.undecrypted(j, err), nil
		}
	}
	if err != nil {
		m.drop(j, err)
	}
}

// undecrypted is the error of a transaction that has something secret in it of which the key is not there. It is shown, and the transaction waits as for
// a chain that is away: the key may come back.
func (m *Manager) undecrypted(j *job, err error) *ffcapi.Error {
	if m.trouble.ok() {
		m.log.WithField("tx", j.it.id).WithError(err).Warn("A transaction cannot be decrypted; it will be tried again")
	}
	return &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: ffcapi.SentNo, Message: err.Error(), Err: err}
}

// read fills in the job's state, from what was just accepted or from the store.
func (m *Manager) read(ctx context.Context, j *job) error {
	known := j.it.known()
	j.state = txstate.State{Generation: m.opts.Fence().Generation, LastError: known.lastErr}
	j.state.Tx.Attempt = known.errOf
	if h := j.it.fresh; h != nil {
		j.it.fresh = nil
		m.sched.took(h)
		j.state.Tx, j.state.Attempts = *h.tx, []store.Attempt{h.attempt()}
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
	if tx.Attempt != j.state.Tx.Attempt {
		j.payload = nil // it was the payload of another attempt
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
// changed the transaction meanwhile, the input is applied to what he made of it, unless there is another attempt now: then the
// input is about the one before, and maybe about another request.
func (m *Manager) apply(ctx context.Context, j *job, in txstate.Input) error {
	for range 10 {
		state, effects := txstate.Step(j.state, in)
		if state.Tx.Status.Terminal() && !effects.Write {
			j.state, j.effects = state, txstate.Effects{}
			return nil
		}
		state, effects = m.ask(ctx, state, effects)
		if err := m.repeat(ctx, j.it.id, &effects); err != nil {
			return err
		}
		update := effects.Update(&state)
		if update == nil {
			j.state, j.effects = state, effects
			return nil
		}
		claims := effects.Do == txstate.Send
		faultpoint.VisitIf(claims, faultpoint.BeforeClaim)
		err := m.write(ctx, update)
		faultpoint.VisitIf(claims && err == nil, faultpoint.AfterClaim)
		if err == nil {
			settled(&state, update)
			j.state, j.effects = state, effects
			if effects.Payload != nil {
				j.payload = effects.Payload
			}
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		attempt := j.state.Tx.Attempt
		if err := m.reload(ctx, j); err != nil {
			return err
		}
		if j.state.Tx.Attempt != attempt {
			j.effects, j.verdict.due = txstate.Effects{}, m.opts.Now() // it is looked at again, from the beginning
			return nil
		}
	}
	return fmt.Errorf("transaction %s: %w", j.it.id, errTooManyConflicts)
}

// settled fills in what the store has decided.
func settled(state *txstate.State, u *store.TxUpdate) {
	tx := u.Tx
	state.Tx.Version, state.Tx.Updated, state.Tx.Nonce, state.Tx.Progressed = tx.Version, tx.Updated, tx.Nonce, tx.Progressed
	if u.Renumber {
		state.Attempts[len(state.Attempts)-1].Nonce = tx.Nonce
	}
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
	if state, effects = m.pass(ctx, state, effects); !effects.Ask || state.Tx.Status != store.Pending {
		return state, effects
	}
	v := state.View()
	v.Now = m.opts.Now()
	v.Tx.Heard = m.heard(state.Tx.Ledger, state.Tx.LastSubmit)
	in := txstate.Decided{Now: v.Now}
	in.Fee, in.FeeError = m.fee(ctx, &state)
	v.Fee = in.Fee
	v.Tx.Outdated = m.outdated(&v)
	in.Decision = m.decide(v)
	m.inTurn(&state, &v, &in.Decision)
	if until, behind := m.sched.behind(state.Tx.ID); behind && in.Do == policy.Submit && v.Tx.Phase == policy.Tracking {
		in.Do, in.Until = policy.Wait, until
	}
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
	block := min(safe.Number, ledger.Position.Number)
	if block = m.finalFor(&s.Tx, block); block == 0 {
		return s, e
	}
	next, passed := txstate.Step(s, txstate.Passed{Block: block, Now: m.opts.Now()})
	return next, e.Then(passed).Asking()
}

// follow does what the last step asked for, until the transaction is to be sent or has to wait. It prepares once at most: an engine that
// always wants that must not keep a worker for ever.
func (m *Manager) follow(ctx context.Context, j *job) error {
	for prepared := false; ; {
		var in txstate.Input
		switch j.effects.Do {
		case txstate.Look, txstate.AskNonce:
			if !m.looking(j) {
				return nil
			}
			if j.effects.Do == txstate.Look {
				in = m.look(ctx, j)
				faultpoint.Visit(faultpoint.AfterLook)
			} else {
				in = m.askNonce(ctx, j)
			}
			<-m.looks
		case txstate.Prepare:
			if prepared {
				j.effects = txstate.Effects{}
				j.verdict.due = m.opts.Now().Add(againAfter)
				return nil
			}
			prepared = true
			var err error
			faultpoint.Visit(faultpoint.BeforeAfresh)
			if in, err = m.prepareAfresh(ctx, j); err != nil {
				return err
			}
			faultpoint.Visit(faultpoint.AfterAfresh)
		default:
			return nil
		}
		if err := m.apply(ctx, j, in); err != nil {
			return err
		}
	}
}
