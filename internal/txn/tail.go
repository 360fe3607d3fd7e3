package txn

import (
	"context"
	"time"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	tailPage = 500
	// tailPoll is how long a change may stay unnoticed when the store's wake-up is lost on the way.
	tailPoll = time.Second
)

// tail reads the status log from a position on: subscribe, then read, so that nothing is missed.
func (m *Manager) tail(ctx context.Context, after int64) {
	timer := time.NewTimer(tailPoll)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := m.opts.Store.Changed()
		entries, err := m.opts.Store.Status(ctx, after, tailPage)
		if err != nil {
			if ctx.Err() == nil && m.trouble.ok() {
				m.log.WithError(err).Error("The status log cannot be read")
			}
			if retry.Sleep(ctx, tailPoll) != nil {
				return
			}
			continue
		}
		if len(entries) > 0 {
			after = entries[len(entries)-1].Seq
			faultpoint.Visit(faultpoint.StatusRead)
			m.opts.OnStatus(entries)
			m.noticed(entries)
			faultpoint.Visit(faultpoint.StatusTold)
			m.tailed.Store(after)
		}
		if len(entries) == tailPage {
			continue
		}
		timer.Reset(tailPoll)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// Consumed is the position in the status log up to which the manager needs its rows no more.
func (m *Manager) Consumed() int64 { return m.tailed.Load() }

// noticed brings the schedule up to date with what others wrote.
func (m *Manager) noticed(entries []store.StatusEntry) {
	for i := range entries {
		e := &entries[i]
		m.passTurn(e)
		if e.Status == store.Suspended {
			m.sched.recall(e.TxID)
		}
		switch {
		case e.Status.Terminal():
			m.tell(e)
			trace := m.sched.remove(e.TxID)
			m.yield(e.TxID) // not before: now no worker takes it any more
			m.opts.Counts.Ended(string(e.Status))
			if e.Tx != nil {
				m.opts.Stages.Confirmed(trace, e.TxID, string(e.Status), e.Status == store.Succeeded, e.Tx.FirstSubmit, e.Time)
			}
		case e.Tx == nil:
		case e.Tx.Status == store.Suspended:
			m.sched.inquire(e.TxID)
		default:
			m.sched.rouse(e.TxID, false)
		}
	}
}

// passTurn lets others have the turn of a transaction that has lost a race. What was just accepted or resumed is in the same state. Once it goes on, it
// has asked for its turn itself; if its row is gone, it has ended.
func (m *Manager) passTurn(e *store.StatusEntry) {
	if e.Tx != nil && e.Status == store.Pending && e.Sub == store.SubReceived && e.Tx.Sub == store.SubReceived {
		m.next(m.contention.lost(e.TxID, e.Tx.Attempt))
	}
}

// open reports whether a sub-status says that it is not known what became of a send.
func open(sub store.SubStatus) bool {
	return sub == store.SubSubmitting || sub == store.SubUnknownOutcome
}
