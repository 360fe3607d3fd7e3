package txn

import (
	"context"
	"time"

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
			m.opts.OnStatus(entries)
			m.noticed(entries)
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

// noticed brings the schedule up to date with what others wrote.
func (m *Manager) noticed(entries []store.StatusEntry) {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Status.Terminal():
			m.sched.remove(e.TxID)
		case e.Tx == nil:
		case e.Sub == store.SubReceived && (e.Tx.Sub != store.SubReceived || e.Tx.FirstSubmit.IsZero()):
			// It was accepted, and is on its way; or what this says is settled already.
		default:
			m.sched.rouse(e.TxID)
		}
	}
}
