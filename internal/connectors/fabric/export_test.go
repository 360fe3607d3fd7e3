package fabric

import "time"

// SetQuiet sets after how much silence a block stream is probed, and the head shown again.
func (c *Connector) SetQuiet(d time.Duration) {
	c.quiet, c.life = d, d/2
	for _, n := range c.peers.nodes {
		n.oneBlock = 5 * d
	}
}
