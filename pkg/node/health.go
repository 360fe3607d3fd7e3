package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// healthTimeout bounds one look at the chain and the store.
const healthTimeout = 5 * time.Second

// live says whether the process works.
func (n *Node) live() bool { return n.Err() == nil }

// ready says whether the chain and the store can be used. The details are the chain's own; when something is wrong they are
// {"error", "chain"}.
func (n *Node) ready(ctx context.Context) (ready bool, details json.RawMessage) {
	if !n.live() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	problem := n.store.Ping(ctx)
	if h, ok := n.connector.(ffcapi.Health); ok {
		d, err := survive.Call(survive.Log(n.part("chain")), func() (json.RawMessage, error) { return h.Health(ctx) })
		problem, details = errors.Join(problem, err), d
	}
	if problem == nil {
		return true, details
	}
	wrong := map[string]any{"error": problem.Error()}
	if json.Valid(details) {
		wrong["chain"] = details
	}
	details, _ = json.Marshal(wrong) //nolint:errchkjson // it is valid
	return false, details
}
