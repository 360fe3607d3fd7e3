package stream

import (
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

func (s *stream) withStatus() (*apitypes.EventStreamWithStatus, error) {
	body, err := streamBody(s.current())
	if err != nil {
		return nil, err
	}
	st := s.status()
	out := &apitypes.EventStreamWithStatus{EventStream: *body, Status: fireflyStarted, StreamState: st}
	if st.State == stateSuspended || st.State == stateFailed {
		out.Status = fireflyStopped
	}
	return out, nil
}

// status is what the stream is doing now.
func (s *stream) status() *apitypes.StreamStatus {
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
		r.describe(st)
	}
	return st
}

func (m *Manager) isLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// describe fills in what only a run knows.
func (r *run) describe(st *apitypes.StreamStatus) {
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
		safe, ok, _ := r.m.opts.Chain.Safe(ledger)
		if !ok {
			continue
		}
		if st.HeadBlock == nil || *st.HeadBlock < safe.Number {
			st.HeadBlock = &safe.Number
		}
		if at, ok := r.delivery.lowest(func(l int) bool { return r.listeners[l].Resolved.Ledger == ledger }); ok && at.Block <= safe.Number {
			lag = max(lag, safe.Number+1-at.Block)
		}
	}
	if st.HeadBlock != nil {
		st.LagBlocks = &lag
	}
}
