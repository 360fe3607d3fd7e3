package stream

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/stream/inflight"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The states of a stream.
const (
	stateStarting  = "starting"  // verifying checkpoints, or waiting for the chain
	stateCatchup   = "catchup"   // has not been at the safe head yet
	stateLive      = "live"      // has been
	stateBlocked   = "blocked"   // a batch, or a dead letter on its way to the outlet, has been failing for longer than retryTimeout, or delivery waits for the store
	stateSuspended = "suspended" // by request
	stateFailed    = "failed"    // cannot go on; see the last error
)

// FireFly's names.
const (
	fireflyStarted = "started"
	fireflyStopped = "stopped"
)

// withStatus shows streams with what they are doing.
func (m *Manager) withStatus(ctx context.Context, list []*stream) ([]*apitypes.EventStreamWithStatus, error) {
	out := make([]*apitypes.EventStreamWithStatus, len(list))
	for i, st := range m.survey(ctx, list) {
		body, err := m.streamBody(list[i].current())
		if err != nil {
			return nil, err
		}
		out[i] = &apitypes.EventStreamWithStatus{EventStream: *body, Status: fireflyStarted, StreamState: st}
		if st.State == stateSuspended || st.State == stateFailed {
			out[i].Status = fireflyStopped
		}
	}
	return out, nil
}

// survey says what streams are doing now, and where they stand. It asks the store once for all of them, and the chain for nothing. What
// the store does not tell is left out.
func (m *Manager) survey(ctx context.Context, list []*stream) []*apitypes.StreamStatus {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	out := make([]*apitypes.StreamStatus, len(list))
	runs := make([]*run, len(list))
	var resting, all []string
	for i, s := range list {
		out[i], runs[i] = s.status()
		all = append(all, s.id)
		if runs[i] == nil {
			resting = append(resting, s.id)
		}
	}
	places := m.storedPlaces(ctx, resting)
	letters := m.storedLetters(ctx, all)
	sv := survey{m: m}
	for i, s := range list {
		at, def := places[s.id], s.current()
		if r := runs[i]; r != nil {
			r.describe(out[i])
			at, def = r.place(), r.def
		}
		if n, known := letters(s.id); known {
			all, replays := uint64(n.All), uint64(n.Replays)
			out[i].DeadLetters, out[i].DeadLetterReplays = &all, &replays
		}
		if at != nil {
			sv.measure(ctx, out[i], def, at)
		}
	}
	return out
}

// status is what is known of a stream without looking at where it stands. Without a run nobody but the store knows that.
func (s *stream) status() (*apitypes.StreamStatus, *run) {
	st := &apitypes.StreamStatus{
		State: stateStarting, Delivered: s.stats.delivered.Load(), Redelivered: s.stats.redelivered.Load(),
		DeadLettered: s.stats.deadLettered.Load(), Rewinds: s.stats.rewinds.Load(), Resets: s.stats.resets.Load(),
	}
	st.PendingListeners = s.pendingListeners()
	if at, err := s.stats.lastError(); err != nil {
		st.LastError, st.LastErrorTime = err.Error(), fftime(at)
	}
	s.mu.Lock()
	def, w, main, outlet := s.def, s.worker, s.sink, s.outlet
	s.mu.Unlock()
	st.Warnings = warnings(main, outlet)
	switch err := s.failed(); {
	case def.Suspended:
		st.State, st.SuspendedReason = stateSuspended, def.SuspendedReason
	case s.m.isLost():
		st.State, st.LastError = stateFailed, errLost.Error()
	case err != nil:
		st.State, st.LastError = stateFailed, err.Error()
	case w != nil:
		return st, w.run.Load()
	}
	return st, nil
}

// warnings are what the receivers of a stream lack. Those of the outlet begin with the name of the field that it is configured in.
func warnings(main, outlet sink.Sink) []string {
	var all []string
	if a, ok := main.(sink.Advising); ok {
		all = append(all, a.Warnings()...)
	}
	if a, ok := outlet.(sink.Advising); ok {
		for _, w := range a.Warnings() {
			all = append(all, "deadLetter: "+w)
		}
	}
	return all
}

func (m *Manager) isLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// describe fills in what a run does.
func (r *run) describe(st *apitypes.StreamStatus) {
	st.State = stateCatchup
	if r.live.Load() {
		st.State = stateLive
	}
	out := r.delivery.state()
	if out.blocked {
		st.State, st.BlockedSince = stateBlocked, fftime(out.failing)
	}
	st.UnstoredBatches = out.unstored
	if st.InFlightBatches = out.inFlight; !out.oldest.IsZero() {
		st.OldestUnackedSeconds = seconds(r.m.opts.Now().Sub(out.oldest))
	}
}

// seconds is a duration as a status shows it.
func seconds(d time.Duration) *float64 {
	s := max(d, 0).Round(time.Millisecond).Seconds()
	return &s
}

// place is where a stream stands: the lowest positions of its listeners.
type place struct {
	blocks map[string]uint64 // by ledger: the lowest block of which not everything is delivered
	change *int64            // the newest status change that all listeners of those have behind them; nil: there are none
}

func (p *place) add(kind, ledger string, at ffcapi.Cursor) {
	if kind == apitypes.ListenerTransactions {
		behind := lastBefore(at)
		if p.change == nil || behind < *p.change {
			p.change = &behind
		}
		return
	}
	if p.blocks == nil {
		p.blocks = make(map[string]uint64)
	}
	if low, known := p.blocks[ledger]; !known || at.Block < low {
		p.blocks[ledger] = at.Block
	}
}

// place is where a run stands.
func (r *run) place() *place {
	p := &place{}
	for ledger := range r.finality {
		reads := func(l int, at inflight.Position) bool {
			return !r.readsChanges(l) && r.listeners[l].Resolved.Ledger == ledger && !complete(r.listeners[l], at.Cursor)
		}
		if at, ok := r.delivery.lowest(reads); ok {
			p.add(apitypes.ListenerEvents, ledger, at)
		}
	}
	if at, ok := r.delivery.lowest(func(l int, _ inflight.Position) bool { return r.readsChanges(l) }); ok {
		p.add(apitypes.ListenerTransactions, "", at)
	}
	return p
}

// storedPlaces is where streams stand that do not run, by id.
func (m *Manager) storedPlaces(ctx context.Context, streams []string) map[string]*place {
	places := make(map[string]*place)
	for page := range slices.Chunk(streams, listPage) {
		positions, err := m.opts.Store.Positions(ctx, page)
		if err != nil {
			m.opts.Log.WithError(err).Debug("Where streams stand that do not run cannot be told")
			break
		}
		for _, at := range positions {
			if at.ToBlock != nil && at.Cursor.Block > *at.ToBlock {
				continue // complete
			}
			p := places[at.Stream]
			if p == nil {
				p = &place{}
				places[at.Stream] = p
			}
			p.add(at.Type, at.Ledger, at.Cursor)
		}
	}
	return places
}

// storedLetters is how many dead letters streams have.
func (m *Manager) storedLetters(ctx context.Context, streams []string) (of func(stream string) (n store.LetterCount, known bool)) {
	counts := make(map[string]store.LetterCount)
	for page := range slices.Chunk(streams, listPage) {
		some, err := m.opts.Store.CountDeadLetters(ctx, page)
		if err != nil {
			m.opts.Log.WithError(err).Debug("How many dead letters there are cannot be told")
			return func(string) (store.LetterCount, bool) { return store.LetterCount{}, false }
		}
		maps.Copy(counts, some)
	}
	return func(stream string) (store.LetterCount, bool) { return counts[stream], true }
}

// survey compares the places of streams with what there is to deliver.
type survey struct {
	m           *Manager
	asked, told bool // the log of status changes, and it has answered
	change      int64
}

// newestChange is the newest row of the log of status changes; known is false if the store does not answer. While nobody reads the
// log, the journal does not know it, and the store is asked, once.
func (sv *survey) newestChange(ctx context.Context) (head int64, known bool) {
	if sv.asked || sv.m.opts.Changes == nil {
		return sv.change, sv.told
	}
	sv.asked = true
	if sv.change, sv.told, _ = sv.m.journal.newest(); !sv.told {
		var err error
		sv.change, err = sv.m.opts.Changes.StatusHead(ctx)
		sv.told = err == nil
	}
	return sv.change, sv.told
}

// measure fills in how far a stream is behind. Of several ledgers it shows the one with the most blocks.
func (sv *survey) measure(ctx context.Context, st *apitypes.StreamStatus, def *store.Stream, p *place) {
	for ledger, at := range p.blocks {
		safe, ok, _ := sv.m.opts.Chain.SafeAt(ledger, confirmations(def))
		if !ok {
			continue
		}
		lag := max(safe.Number+1, at) - at
		if st.HeadBlock == nil || lag > *st.LagBlocks || lag == *st.LagBlocks && safe.Number > *st.HeadBlock {
			st.HeadBlock, st.CheckpointBlock, st.LagBlocks = &safe.Number, &at, &lag
		}
		if late, known := sv.m.timeLag(ledger, at, safe.Number); known && (st.LagSeconds == nil || late.Seconds() > *st.LagSeconds) {
			st.LagSeconds = seconds(late)
		}
	}
	if p.change != nil {
		if head, known := sv.newestChange(ctx); known {
			behind := uint64(max(head-*p.change, 0))
			st.LagTransactions = &behind
		}
	}
}
