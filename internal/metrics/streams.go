package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// StreamState is what an event stream does. What is nil is not known, or does not apply.
type StreamState struct {
	Stream string // its name
	State  string // starting, catchup, live, blocked, suspended or failed

	LagBlocks, LagTransactions, DeadLetters *uint64
	LagSeconds, OldestUnackedSeconds        *float64

	InFlightBatches                      int
	Delivered, Redelivered, DeadLettered uint64 // events, since the process began
	Rewinds, Resets                      uint64 // of listeners, since the process began
}

// StreamStates are all event streams, and what they share.
type StreamStates struct {
	Streams     []StreamState
	Memory      int64 // bytes of events that are read and not yet acknowledged
	MemoryLimit int64 // above which reading waits
}

// streamMetric is a metric with one value for each stream; of returns nil where there is none.
type streamMetric struct {
	name, help string
	kind       prometheus.ValueType
	of         func(s *StreamState) *float64
}

func number(n uint64) *float64 {
	f := float64(n)
	return &f
}

func numberOf(n *uint64) *float64 {
	if n == nil {
		return nil
	}
	return number(*n)
}

func streamMetrics() []streamMetric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []streamMetric{
		{"pyralis_stream_lag_blocks", "Final blocks of which not everything is delivered.", gauge, func(s *StreamState) *float64 { return numberOf(s.LagBlocks) }},
		{
			"pyralis_stream_lag_seconds", "Time between the lowest block of which not everything is delivered and the newest final one, by their timestamps.",
			gauge, func(s *StreamState) *float64 { return s.LagSeconds },
		},
		{
			"pyralis_stream_lag_transactions", "Status changes of transactions that are not delivered, with listeners of type transactions.",
			gauge, func(s *StreamState) *float64 { return numberOf(s.LagTransactions) },
		},
		{"pyralis_stream_in_flight_batches", "Batches that are sent and not acknowledged.", gauge, func(s *StreamState) *float64 { return number(uint64(s.InFlightBatches)) }},
		{
			"pyralis_stream_oldest_unacked_seconds", "Time since the oldest batch that is not acknowledged was sent first; 0 if there is none.",
			gauge, func(s *StreamState) *float64 {
				if s.OldestUnackedSeconds == nil {
					return number(0)
				}
				return s.OldestUnackedSeconds
			},
		},
		{
			"pyralis_stream_blocked", "1 if a batch has been refused for longer than the retry timeout, or cannot be delivered, or waits for the store to take checkpoints.",
			gauge, func(s *StreamState) *float64 {
				if s.State == "blocked" {
					return number(1)
				}
				return number(0)
			},
		},
		{"pyralis_stream_dead_letters", "Dead letters that are stored.", gauge, func(s *StreamState) *float64 { return numberOf(s.DeadLetters) }},
		{"pyralis_stream_dead_lettered_events_total", "Events set aside as dead letters.", counter, func(s *StreamState) *float64 { return number(s.DeadLettered) }},
		{"pyralis_stream_delivered_events_total", "Events acknowledged.", counter, func(s *StreamState) *float64 { return number(s.Delivered) }},
		{"pyralis_stream_redelivered_events_total", "Events sent again.", counter, func(s *StreamState) *float64 { return number(s.Redelivered) }},
		{
			"pyralis_stream_rewinds_total", "Times that listeners went back because the chain had changed below their checkpoints.",
			counter, func(s *StreamState) *float64 { return number(s.Rewinds) },
		},
		{"pyralis_stream_resets_total", "Listeners that were reset on request.", counter, func(s *StreamState) *float64 { return number(s.Resets) }},
	}
}

// streams collects from a function: nothing is counted while events are delivered but what the status counts anyway, and a stream that
// is deleted leaves no series behind.
type streams struct {
	states                     func() StreamStates
	metrics                    []streamMetric
	descs                      []*prometheus.Desc // of metrics
	state, memory, memoryLimit *prometheus.Desc
}

// RegisterStreams registers metrics of event streams. states is asked at each scrape.
func RegisterStreams(reg prometheus.Registerer, states func() StreamStates) {
	s := &streams{states: states, metrics: streamMetrics()}
	desc := prometheus.NewDesc
	for _, m := range s.metrics {
		s.descs = append(s.descs, desc(m.name, m.help, []string{"stream"}, nil))
	}
	s.state = desc("pyralis_stream_state", "1 for the state that the stream is in: starting, catchup, live, blocked, suspended or failed.", []string{"stream", "state"}, nil)
	s.memory = desc("pyralis_events_memory_bytes", "Memory of events that are read and not acknowledged, of all streams together.", nil, nil)
	s.memoryLimit = desc("pyralis_events_memory_limit_bytes", "Above so much memory of events, streams wait before they read on.", nil, nil)
	reg.MustRegister(s)
}

// Describe implements prometheus.Collector.
func (s *streams) Describe(c chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{s.state, s.memory, s.memoryLimit}, s.descs...) {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (s *streams) Collect(c chan<- prometheus.Metric) {
	all := s.states()
	c <- prometheus.MustNewConstMetric(s.memory, prometheus.GaugeValue, float64(all.Memory))
	c <- prometheus.MustNewConstMetric(s.memoryLimit, prometheus.GaugeValue, float64(all.MemoryLimit))
	seen := make(map[string]bool, len(all.Streams))
	for i := range all.Streams {
		one := &all.Streams[i]
		one.Stream = strings.ToValidUTF8(one.Stream, "\uFFFD")
		if seen[one.Stream] {
			continue // streams are being renamed: twice the same series would cost all others, too
		}
		seen[one.Stream] = true
		c <- prometheus.MustNewConstMetric(s.state, prometheus.GaugeValue, 1, one.Stream, one.State)
		for j, m := range s.metrics {
			if v := m.of(one); v != nil {
				c <- prometheus.MustNewConstMetric(s.descs[j], m.kind, *v, one.Stream)
			}
		}
	}
}
