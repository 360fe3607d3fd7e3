package fabric

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/retry"
)

// pool holds the peers of the organisation. One of them is asked until it fails; then the next one is, and the one that failed is probed
// until it answers again.
type pool struct {
	nodes   []*node // in the order of the configuration
	backoff retry.Backoff
	ahead   *readAhead // of all
	slow    *slow      // of all
	log     *logrus.Entry

	mu        sync.Mutex
	current   int            // guarded by mu: index of the one to ask
	failovers uint64         // guarded by mu: how often that changed
	closed    bool           // guarded by mu
	probes    sync.WaitGroup // under way
}

// health is what is known of a peer. It is guarded by the pool's mu.
type health struct {
	err      error // why it is not asked; nil for a peer that is well
	since    time.Time
	next     time.Time // when it is probed
	failures int       // in a row, without a call that succeeded between them
	total    uint64    // of all
	timer    *time.Timer
	refused  map[string]time.Time // channels that another peer is asked about, and since when (route.go)
}

// newPool makes the connections. gRPC connects when they are first used.
func newPool(known []endpoint, cfg *Config, client *clientCert, log *logrus.Entry) (*pool, error) {
	p := &pool{log: log, ahead: &readAhead{limit: readAheadBytes}, slow: &slow{}, backoff: retry.Backoff{Initial: cfg.Backoff.Initial, Max: cfg.Backoff.Max, Factor: 2, Jitter: true}}
	for _, e := range known {
		n, err := newNode(e, cfg, client, log)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		n.ahead, n.slow = p.ahead, p.slow
		n.failed = func(err error) { p.failed(n, err) }
		n.worked = func() { p.worked(n) }
		p.nodes = append(p.nodes, n)
	}
	return p, nil
}

// order lists the peers as they are to be asked: the current one, the others that are well, and those that failed, the longest ago first.
func (p *pool) order() []*node {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := append(slices.Clone(p.nodes[p.current:]), p.nodes[:p.current]...)
	slices.SortStableFunc(out, func(a, b *node) int {
		switch {
		case a.health.err == nil && b.health.err == nil:
			return 0
		case a.health.err == nil:
			return -1
		case b.health.err == nil:
			return 1
		default:
			return a.health.since.Compare(b.health.since)
		}
	})
	return out
}

// failed notes that a peer is not to be asked for a while. What fails beside it is the same failure.
func (p *pool) failed(n *node, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if n.health.err == nil {
		n.health.failures++
		n.health.total++
		n.health.since = now
		p.log.WithError(err).WithField("peer", n.label()).Warn("A peer has failed")
	}
	known := n.health.err != nil
	n.health.err = err
	if p.nodes[p.current] == n {
		p.advance()
	}
	if !known && !p.closed {
		p.schedule(n)
	}
}

// advance makes the next peer that is well the current one; mu is held.
func (p *pool) advance() {
	for i := range p.nodes {
		at := (p.current + i) % len(p.nodes)
		if p.nodes[at].health.err == nil {
			p.current = at
			p.failovers++
			p.log.WithField("peer", p.nodes[at].label()).Info("Another peer is asked")
			return
		}
	}
}

// schedule plans the next probe; mu is held.
func (p *pool) schedule(n *node) {
	wait := p.backoff.Delay(n.health.failures, nil)
	n.health.next = time.Now().Add(wait)
	p.probes.Add(1)
	n.health.timer = time.AfterFunc(wait, func() {
		defer p.probes.Done()
		p.probe(n)
	})
}

// probe looks whether a peer answers again.
func (p *pool) probe(n *node) {
	err := n.reconnect()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || n.health.err == nil:
	case err == nil:
		// The failures stay: a peer that answers probes and nothing else is probed ever less often.
		p.well(n)
	default:
		n.health.failures++
		n.health.err = err
		p.schedule(n)
	}
}

// worked notes that a peer did what it was asked for.
func (p *pool) worked(n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.health.failures = 0
	if n.health.err != nil {
		if n.health.timer.Stop() {
			p.probes.Done()
		}
		p.well(n)
	}
}

// well notes that a peer may be asked again; mu is held.
func (p *pool) well(n *node) {
	n.health.err = nil
	p.log.WithField("peer", n.label()).WithField("after", time.Since(n.health.since).Round(time.Millisecond)).Info("A peer answers again")
	if p.nodes[p.current].health.err != nil {
		p.advance()
	}
}

// close ends the connections, and waits for what looks after them.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	for _, n := range p.nodes {
		if n.health.timer != nil && n.health.timer.Stop() {
			p.probes.Done()
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, n := range p.nodes {
		errs = append(errs, n.close())
	}
	p.probes.Wait()
	return errors.Join(errs...)
}
