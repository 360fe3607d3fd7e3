package stream

import (
	"context"

	"github.com/pyralis-io/pyralis/internal/metrics"
)

// States tells what the streams do, and what memory their events take.
func (m *Manager) States() metrics.StreamStates {
	list := m.all()
	states := metrics.StreamStates{Memory: m.budget.inUse(), MemoryLimit: m.budget.max, Streams: make([]metrics.StreamState, len(list))}
	for i, st := range m.survey(context.Background(), list) { // which has its own time limit
		states.Streams[i] = metrics.StreamState{
			Stream: list[i].current().Name, State: st.State,
			LagBlocks: st.LagBlocks, LagSeconds: st.LagSeconds, LagTransactions: st.LagTransactions, DeadLetters: st.DeadLetters,
			OldestUnackedSeconds: st.OldestUnackedSeconds, InFlightBatches: st.InFlightBatches,
			Delivered: st.Delivered, Redelivered: st.Redelivered, DeadLettered: st.DeadLettered, Rewinds: st.Rewinds, Resets: st.Resets,
		}
	}
	return states
}
