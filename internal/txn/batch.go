package txn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// entry is one request of a batch.
type entry struct {
	r      *request
	mine   *flight // its key is taken care of here; nil: the key was made up, or somebody else has it
	theirs *flight // somebody else does, maybe an earlier entry of the batch

	prepared *ffcapi.Prepared
	slow     bool // preparing was
	lane     *lane
	ticket   uint64
	row      *store.NewTx

	done   bool // what follows is the answer
	tx     *store.Tx
	replay bool
	err    error
}

func (e *entry) end(tx *store.Tx, replay bool, err error) {
	e.done, e.tx, e.replay, e.err = true, tx, replay, err
}

// SubmitBatch is Submit of several: each has its own answer, in their order, and none depends on another. Of those of one signer, an earlier
// one gets the lower nonce. They are looked up, prepared and stored together, which costs less than one by one.
func (m *Manager) SubmitBatch(ctx context.Context, subs []*apitypes.Submission) []apitypes.Submitted {
	ctx, span := m.opts.Stages.Begin(ctx, metrics.Accept, "")
	defer span.End("", nil)
	entries := make([]*entry, len(subs))
	var ours, others []*entry
	for i, sub := range subs {
		e := m.enter(sub)
		entries[i] = e
		switch {
		case e.done:
		case e.theirs != nil:
			others = append(others, e)
		default:
			ours = append(ours, e)
		}
	}
	m.acceptOurs(ctx, ours)
	// Only now: what is waited for may wait for one of ours.
	m.each(others, func(e *entry) {
		e.end(m.flights.ride(ctx, e.r, nil, e.theirs, func() (*store.Tx, bool, error) { return m.accept(ctx, e.r) }))
	})

	answers := make([]apitypes.Submitted, len(entries))
	for i, e := range entries {
		m.opts.Counts.Accepted(acceptance(e.replay, e.err))
		if answers[i].Err = e.err; e.err == nil {
			answers[i].Transaction, answers[i].Replay = m.transaction(e.tx), e.replay
		}
	}
	return answers
}

// enter validates a submission, and boards its flight.
func (m *Manager) enter(sub *apitypes.Submission) *entry {
	e := &entry{}
	err := m.admitting()
	if err == nil {
		e.r, err = m.validate(sub)
	}
	switch {
	case err != nil:
		e.end(nil, false, err)
	case e.r.given:
		e.mine, e.theirs = m.flights.board(e.r)
	}
	return e
}

// each calls fn for what has no answer yet, several at once.
func (m *Manager) each(entries []*entry, fn func(*entry)) {
	work := make(chan *entry)
	var wg sync.WaitGroup
	for range min(len(entries), m.opts.Workers) {
		wg.Go(func() {
			for e := range work {
				fn(e)
			}
		})
	}
	for _, e := range entries {
		if !e.done {
			work <- e
		}
	}
	close(work)
	wg.Wait()
}

// acceptOurs takes requests from their keys to their rows, and tells those who wait for them.
func (m *Manager) acceptOurs(ctx context.Context, entries []*entry) {
	defer func() {
		for _, e := range entries {
			if e.mine == nil {
				continue
			}
			if e.done { // otherwise the flight has crashed
				e.mine.tx, e.mine.err = e.tx, e.err
			}
			m.flights.land(e.r.id, e.mine)
		}
	}()
	m.findKeys(ctx, entries)
	m.each(entries, func(e *entry) {
		if m.sched.pending() >= m.opts.MaxPending {
			e.err = m.tooMany()
			return
		}
		began := time.Now()
		e.prepared, e.err = m.prepare(ctx, e.r.call)
		e.slow = slowed(began)
	})
	m.storeInOrder(ctx, entries)
	m.each(entries, func(e *entry) { e.end(m.reconsidered(ctx, e.r, e.err)) })
}

// findKeys answers those whose keys were used before.
func (m *Manager) findKeys(ctx context.Context, entries []*entry) {
	var ids []string
	for _, e := range entries {
		if e.r.given {
			ids = append(ids, e.r.id)
		}
	}
	if len(ids) == 0 {
		return
	}
	used, err := m.opts.Store.Keys(ctx, ids)
	m.each(entries, func(e *entry) {
		u, found := used[e.r.id]
		switch {
		case !e.r.given:
		case err != nil:
			e.end(nil, false, err)
		case !found:
		case u.BodyHash != e.r.hash:
			e.end(nil, false, fmt.Errorf("headers.id %s: %w", e.r.id, store.ErrKeyReused))
		default:
			tx, err := m.known(ctx, u.Tx)
			e.end(tx, true, err)
		}
	})
}

// nextNonce is what a node said of a signer.
type nextNonce struct {
	next *uint64
	err  error
}

// storeInOrder stores what was prepared, in the order of the batch. What cannot be stored keeps its error.
func (m *Manager) storeInOrder(ctx context.Context, entries []*entry) {
	nodes, usable := map[laneKey]nextNonce{}, map[string]error{}
	var stored []*entry
	var rows []*store.NewTx
	for _, e := range entries {
		if e.done || e.err != nil {
			continue
		}
		if e.err = m.enroll(ctx, e, nodes, usable); e.err == nil {
			stored, rows = append(stored, e), append(rows, e.row)
		}
	}
	if len(rows) == 0 {
		return
	}
	// From here on a client who leaves changes nothing.
	faultpoint.Visit(faultpoint.BeforeAccept)
	answers := m.opts.Store.AcceptAll(context.WithoutCancel(ctx), m.opts.Fence(), rows)
	faultpoint.Visit(faultpoint.AfterAccept)
	for i, answer := range answers {
		e := stored[i]
		tx, replay, err := m.settled(ctx, e.lane, e.ticket, e.r, e.row, answer)
		if err == nil || errors.Is(err, store.ErrKeyReused) {
			e.end(tx, replay, err)
		}
		e.err = err
	}
}

// enroll takes a place in the signer's lane. nodes and usable remember what was found out for the batch.
func (m *Manager) enroll(ctx context.Context, e *entry, nodes map[laneKey]nextNonce, usable map[string]error) error {
	ledger := e.prepared.Ledger
	err, known := usable[ledger]
	if !known {
		err = m.use(ctx, ledger)
		usable[ledger] = err
	}
	if err != nil {
		return err
	}
	var ok bool
	key := laneKey{ledger, e.r.call.From}
	if e.lane, e.ticket, ok = m.sched.begin(key, m.opts.MaxPending, e.slow); !ok {
		return m.tooMany()
	}
	e.row = m.newTx(e.r, e.prepared)
	node, asked := nodes[key]
	if !asked {
		node.next, node.err = m.nodeNext(ctx, e.lane)
		nodes[key] = node
	}
	if node.err != nil {
		m.sched.abandoned(e.lane, e.ticket)
		return node.err
	}
	e.row.NodeNext = node.next
	return nil
}
