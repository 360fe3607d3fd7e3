package fabricnet

import (
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/test/fabricnet/proxy"
)

// Cut resets the connections between clients and a peer, and every new one, until Heal.
func (n *Network) Cut(node string) error { return n.with(node, (*proxy.Proxy).Cut) }

// Silence lets no byte pass between clients and a peer, without ending a connection, until Heal.
func (n *Network) Silence(node string) error { return n.with(node, (*proxy.Proxy).Silence) }

// Delay lets every byte between clients and a peer arrive later by d, in both directions, until Heal.
func (n *Network) Delay(node string, d time.Duration) error {
	return n.with(node, func(p *proxy.Proxy) { p.Delay(d) })
}

// Heal ends what Cut, Silence and Delay did.
func (n *Network) Heal(node string) error { return n.with(node, (*proxy.Proxy).Heal) }

// Served is how many bytes a peer has sent to clients since the network was started: who serves a client shows by what it sends.
func (n *Network) Served(node string) (bytes int64, err error) {
	err = n.with(node, func(p *proxy.Proxy) { bytes = p.Back() })
	return bytes, err
}

func (n *Network) with(node string, do func(*proxy.Proxy)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.proxies[node]
	if !ok {
		return fmt.Errorf("fabricnet: no proxy before %q: set Options.Proxy, and name a peer of a running network", node)
	}
	do(p)
	return nil
}

// openProxies starts the proxies, where they are wanted.
func (n *Network) openProxies() error {
	if !n.o.Proxy {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.started || n.stopping {
		return errors.New("fabricnet: the network is stopped")
	}
	for _, pr := range n.l.peers(n.st.Ports) {
		p, err := proxy.Listen(address(pr.Ports.Proxy), address(pr.Ports.Peer))
		if err != nil {
			return fmt.Errorf("fabricnet: %s: %w", pr.Node, err)
		}
		n.proxies[pr.Node] = p
	}
	return nil
}
