package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/txn"
)

// SetStopTimeout shortens what stopping takes at most.
func (n *Node) SetStopTimeout(d time.Duration) { n.stopTimeout = d }

// Ready is what the API and the metrics ask.
func (n *Node) Ready(ctx context.Context) (ready bool, details json.RawMessage) { return n.ready(ctx) }

// Waiting is how many requests wait for transactions to end.
func (n *Node) Waiting() int {
	for _, p := range n.parts {
		if m, ok := p.Service.(*txn.Manager); ok {
			return m.Waiting()
		}
	}
	return 0
}

// Metrics describes what is measured.
func (n *Node) Metrics() []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		n.registry.Describe(descs)
		close(descs)
	}()
	var all []string
	for d := range descs {
		all = append(all, d.String())
	}
	return all
}

// MonitoringURL is where the metrics are served.
func (n *Node) MonitoringURL() string {
	for _, p := range n.parts {
		if s, ok := p.Service.(*api.Server); ok && p.Name == "monitoring" {
			return s.URL()
		}
	}
	return ""
}
