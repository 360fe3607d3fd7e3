package stream

import (
	"context"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The states of a stream.
const (
	stateStarting  = "starting"  // verifying checkpoints, or waiting for the chain
	stateCatchup   = "catchup"   // has not been at the safe head yet
	stateLive      = "live"      // has been
	stateBlocked   = "blocked"   // a batch has been failing for longer than retryTimeout
	stateSuspended = "suspended" // by request
	stateFailed    = "failed"    // cannot go on; see the last error
)

// FireFly's names.
const (
	fireflyStarted = "started"
	fireflyStopped = "stopped"
)

func (s *stream) withStatus(ctx context.Context) (*apitypes.EventStreamWithStatus, error) {
	body, err := s.m.streamBody(s.current())
	if err != nil {
		return nil, err
	}
	st := s.status(ctx)
	out := &apitypes.EventStreamWithStatus{EventStream: *body, Status: fireflyStarted, StreamState: st}
	if st.State == stateSuspended || st.State == stateFailed {
		out.Status = fireflyStopped
		st.LagTransactions = s.m.lagOfStopped(ctx, s.id)
	}
	return out, nil
}

// status is what the stream is doing now.
func (s *stream) status(ctx context.Context) *apitypes.StreamStatus {
	st := &apitypes.StreamStatus{State: stateStarting, Delivered: s.stats.delivered.Load(), Redelivered: s.stats.redelivered.Load()}
	if at, err := s.stats.lastError(); err != nil {
		st.LastError, st.LastErrorTime = err.Error(), fftime(at)
	}
	s.mu.Lock()
	def, w := s.def, s.worker
	s.mu.Unlock()
	switch err := s.failed(); {
	case def.Suspended:
		st.State = stateSuspended
		return st
	case s.m.isLost():
		st.State, st.LastError = stateFailed, errLost.Error()
		return st
	case err != nil:
		st.State, st.LastError = stateFailed, err.Error()
		return st
	case w == nil:
		return st
	}
	if r := w.run.Load(); r != nil {
		r.describe(ctx, st)
	}
	return st
}

func (m *Manager) isLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// newestChange is the newest row of the log of status changes; known is false if the store does not answer. While nobody reads the
// log, the journal does not know it.
func (m *Manager) newestChange(ctx context.Context) (head int64, known bool) {
	if head, known, _ := m.journal.newest(); known {
		return head, true
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	head, err := m.opts.Changes.StatusHead(ctx)
	return head, err == nil
}

// lagOfStopped is how many status changes wait for a stream that does not run: they keep the log from being trimmed. nil: it reads none, or
// the store does not answer.
func (m *Manager) lagOfStopped(ctx context.Context, stream string) *uint64 {
	ctx, cancel := call(ctx)
	defer cancel()
	at, some, err := m.lowestChange(ctx, stream)
	if err != nil || !some {
		return nil
	}
	head, known := m.newestChange(ctx)
	if !known {
		return nil
	}
	behind := uint64(max(head-at, 0))
	return &behind
}

// describe fills in what only a run knows.
func (r *run) describe(ctx context.Context, st *apitypes.StreamStatus) {
	st.State = stateCatchup
	if r.live.Load() {
		st.State = stateLive
	}
	var blocked bool
	if st.InFlightBatches, blocked = r.delivery.state(); blocked {
		st.State = stateBlocked
	}
	var lag uint64
	for ledger := range r.finality {
		safe, ok, _ := r.safe(ledger)
		if !ok {
			continue
		}
		if st.HeadBlock == nil || *st.HeadBlock < safe.Number {
			st.HeadBlock = &safe.Number
		}
		reads := func(l int) bool { return !r.readsChanges(l) && r.listeners[l].Resolved.Ledger == ledger }
		if at, ok := r.delivery.lowest(reads); ok && at.Block <= safe.Number {
			lag = max(lag, safe.Number+1-at.Block)
		}
	}
	if st.HeadBlock != nil {
		st.LagBlocks = &lag
	}
	if at, ok := r.delivery.lowest(r.readsChanges); ok {
		if head, known := r.m.newestChange(ctx); known {
			behind := uint64(max(head-lastBefore(at), 0))
			st.LagTransactions = &behind
		}
	}
}
