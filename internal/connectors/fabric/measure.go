package fabric

import "time"

// Metric is something measured: Read is asked for its values, with one value for each of the labels.
type Metric struct {
	Name, Help string
	Labels     []string
	Counter    bool // it only grows
	Read       func(emit func(value float64, labels ...string))
}

// Metrics lists what is measured. Read may be called at any time until Close.
func (c *Connector) Metrics() []Metric {
	return []Metric{
		{
			Name: "pyralis_fabric_certificate_expiry_seconds", Labels: []string{"certificate"},
			Help: "Time until the certificate of an identity, or of mutual TLS, expires; below 0 once it has.",
			Read: func(emit func(float64, ...string)) {
				c.lookAtCertificates()
				c.expiry.left(func(left time.Duration, name string) { emit(left.Seconds(), name) })
			},
		},
		{
			Name: "pyralis_fabric_peer_up", Labels: []string{"peer"},
			Help: "1 if the peer answered when it was asked last.",
			Read: func(emit func(float64, ...string)) {
				c.peers.each(func(n *node) {
					up := 1.0
					if n.health.err != nil {
						up = 0
					}
					emit(up, n.name)
				})
			},
		},
		{
			Name: "pyralis_fabric_peer_failures_total", Labels: []string{"peer"}, Counter: true,
			Help: "Times that the peer stopped to answer.",
			Read: func(emit func(float64, ...string)) {
				c.peers.each(func(n *node) { emit(float64(n.health.total), n.name) })
			},
		},
		{
			Name: "pyralis_fabric_failovers_total", Counter: true,
			Help: "Times that another peer took the place of the one that is asked.",
			Read: func(emit func(float64, ...string)) {
				c.peers.mu.Lock()
				n := c.peers.failovers
				c.peers.mu.Unlock()
				emit(float64(n))
			},
		},
	}
}

// each calls f with every peer, under mu.
func (p *pool) each(f func(*node)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.nodes {
		f(n)
	}
}
