package txn

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/internal/retry"
	"github.com/pyralis-io/pyralis/internal/store"
)

const (
	loadPage = 1000
	// settle is how long transactions that were sent before a restart are left alone at least: their outcomes are in the blocks that
	// were missed, and come without being asked for.
	settle = 5 * time.Second
	// sweepAgain is when the open transactions are read once more after the store went away in the middle of an Accept: the
	// database may carry it out later.
	sweepAgain = 30 * time.Second
)

// unsettled are Accepts of which it is not known whether they were carried out.
type unsettled struct {
	mu      sync.Mutex
	tickets []openTicket
}

type openTicket struct {
	lane   *lane
	ticket uint64
}

func (u *unsettled) add(l *lane, ticket uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tickets = append(u.tickets, openTicket{l, ticket})
}

func (u *unsettled) take() []openTicket {
	u.mu.Lock()
	defer u.mu.Unlock()
	tickets := u.tickets
	u.tickets = nil
	return tickets
}

// sweep has the open transactions read again because of an Accept that may have been carried out.
func (m *Manager) sweep(l *lane, ticket uint64) {
	m.unsettled.add(l, ticket)
	signal(m.sweeping)
}

// load reads what was accepted before and lets the sending begin. Then it does the same again whenever it is not known what was
// accepted, and reads more of what is left in the store when it is wanted.
func (m *Manager) load(ctx context.Context) {
	timer := time.NewTimer(idleTimerPeriod)
	defer timer.Stop()
	m.readOpen(ctx, m.sched.readAll())
	m.sched.loaded()
	for {
		select {
		case <-m.sweeping:
			timer.Reset(sweepAgain)
		case <-timer.C:
			timer.Reset(idleTimerPeriod)
		case <-m.sched.recount:
			m.recount(ctx)
			continue
		case <-m.sched.refill:
			if r := m.sched.readMore(); r != nil {
				m.readOpen(ctx, r)
			}
			continue
		case <-ctx.Done():
			return
		}
		tickets := m.unsettled.take()
		m.readOpen(ctx, m.sched.readAll())
		for _, t := range tickets {
			m.sched.abandoned(t.lane, t.ticket)
		}
	}
}

// readOpen reads open transactions in pages, until all are read or enough.
func (m *Manager) readOpen(ctx context.Context, r *reading) {
	var after int64
	followed := map[string]bool{}
	backoff := retry.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Factor: 2, Jitter: true}
	ended := false
	for !ended {
		var more bool
		if after, more = m.sched.onward(r, after); !more {
			break
		}
		err := retry.Do(ctx, backoff, func(ctx context.Context, _ int) error {
			page, err := m.opts.Store.Open(ctx, after, loadPage)
			if err != nil {
				if m.trouble.ok() {
					m.log.WithError(err).Error("The open transactions cannot be read")
				}
				return err
			}
			for _, tx := range page {
				m.sched.offer(r, laneKey{tx.Ledger, tx.From}, m.restored(tx))
				if r.everything {
					m.recent.add(tx.ID)
				}
				if !followed[tx.Ledger] {
					m.opts.Chain.Follow(tx.Ledger)
					followed[tx.Ledger] = true
				}
				after = tx.Seq
			}
			ended = len(page) < loadPage
			return nil
		})
		if err != nil {
			return // stopped
		}
	}
	m.sched.finish(r, after, ended)
}

// restored is the schedule's item of a transaction that was read. What was under way is found out one by one; what a node took
// waits for its block. To ask is no send, so that is done for what is suspended, too.
func (m *Manager) restored(tx *store.Tx) *item {
	it := itemOf(tx)
	it.resume = true
	it.held = tx.Status == store.Suspended
	switch {
	case tx.Sub == store.SubTracking, tx.Sub == store.SubStale:
		it.ordered, it.unsent = false, false
		now := m.opts.Now()
		due := now.Add(settle + time.Duration(rand.Int64N(int64(2*settle))))
		if tx.Due.After(due) {
			due = tx.Due
		}
		it.due = instantOf(due, now)
	case open(tx.Sub):
		it.doubt = true
	}
	return it
}
