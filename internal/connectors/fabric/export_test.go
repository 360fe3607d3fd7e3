package fabric

import "time"

// SetQuiet sets after how much silence a block stream is probed.
func (c *Connector) SetQuiet(d time.Duration) { c.quiet = d }
