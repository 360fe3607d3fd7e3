package fabric

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// peerHealth is one peer in the answer of Health.
type peerHealth struct {
	Name    string            `json:"name"`
	Address string            `json:"address"`
	State   string            `json:"state"`           // see the constants
	Error   string            `json:"error,omitempty"` // the last one
	Since   *time.Time        `json:"since,omitempty"` // when it failed
	Next    *time.Time        `json:"nextTry,omitempty"`
	Heads   map[string]uint64 `json:"heads"` // newest block of each channel that could be read
}

// States of a peer.
const (
	stateCurrent = "current" // it is asked
	stateReady   = "ready"   // it is asked when the current one fails
	stateFailed  = "failed"  // it is probed until it answers again
)

// healthReport is the answer of Health.
type healthReport struct {
	Peer  string            `json:"peer"`  // address of the current one
	Heads map[string]uint64 `json:"heads"` // the newest block of each channel that any peer has
	Peers []*peerHealth     `json:"peers"`
}

// snapshot tells how a peer is.
func (p *pool) snapshot(n *node) *peerHealth {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &peerHealth{Name: n.name, Address: n.address, State: stateReady, Heads: map[string]uint64{}}
	switch h := n.health; {
	case h.err != nil:
		out.State, out.Error, out.Since, out.Next = stateFailed, h.err.Error(), &h.since, &h.next
	case p.nodes[p.current] == n:
		out.State = stateCurrent
	}
	return out
}

// healthLimit is how long a peer may take to answer: one that hangs must not hide what the others say.
const healthLimit = 3 * time.Second

// Health implements ffcapi.Health: every channel can be read from a peer, at least. Peers that fail beside that are only shown.
func (c *Connector) Health(ctx context.Context) (json.RawMessage, error) {
	s, err := c.reader()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, min(healthLimit, c.cfg.Timeouts.Evaluate))
	defer cancel()
	report := healthReport{Heads: map[string]uint64{}, Peers: make([]*peerHealth, len(c.peers.nodes))}
	problems := make([]map[string]error, len(c.peers.nodes))
	var all sync.WaitGroup
	for i, n := range c.peers.nodes {
		all.Go(func() { report.Peers[i], problems[i] = c.examine(limited, n, s) })
	}
	all.Wait()
	for _, p := range report.Peers {
		if p.State == stateCurrent || report.Peer == "" {
			report.Peer = p.Address
		}
		for channel, head := range p.Heads {
			report.Heads[channel] = max(report.Heads[channel], head)
		}
	}
	details, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	for _, channel := range c.cfg.Channels {
		if _, ok := report.Heads[channel]; !ok {
			return details, fmt.Errorf("channel %s: %w", channel, problems[0][channel])
		}
	}
	return details, nil
}

// examine asks one peer for the heads of all channels, at once.
func (c *Connector) examine(ctx context.Context, n *node, s *signer) (*peerHealth, map[string]error) {
	var mu sync.Mutex
	heads, problems := map[string]uint64{}, map[string]error{}
	var all sync.WaitGroup
	for _, channel := range c.cfg.Channels {
		all.Go(func() {
			info, e := n.chainInfo(ctx, s, channel)
			mu.Lock()
			defer mu.Unlock()
			if e != nil {
				problems[channel] = s.blame(e)
			} else {
				heads[channel] = info.head.Number
			}
		})
	}
	all.Wait()
	if len(problems) == 0 {
		c.peers.worked(n)
	}
	out := c.peers.snapshot(n)
	out.Heads = heads
	for _, channel := range c.cfg.Channels {
		if e := problems[channel]; e != nil && out.Error == "" {
			out.Error = fmt.Sprintf("channel %s: %v", channel, ffcapi.AsError(e))
		}
	}
	return out, problems
}
