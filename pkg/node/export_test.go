package node

import (
	"context"
	"encoding/json"
	"time"
)

// SetStopTimeout shortens what stopping takes at most.
func (n *Node) SetStopTimeout(d time.Duration) { n.stopTimeout = d }

// Health is what the API and the metrics ask.
func (n *Node) Health(ctx context.Context) (live, ready bool, details json.RawMessage) {
	return n.health(ctx)
}
