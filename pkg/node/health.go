package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// healthTimeout bounds one look at the chain and the store.
const healthTimeout = 5 * time.Second

// health says whether the process works, and whether the chain and the store can be used.
func (n *Node) health(ctx context.Context) (live, ready bool, details json.RawMessage) {
	if n.Err() != nil {
		return false, false, nil
	}
	problem := n.store.Ping(ctx)
	if h, ok := n.connector.(ffcapi.Health); ok {
		d, err := h.Health(ctx)
		problem, details = errors.Join(problem, err), d
	}
	if problem != nil && details == nil {
		details, _ = json.Marshal(map[string]string{"error": problem.Error()}) //nolint:errchkjson // strings always encode
	}
	return true, problem == nil, details
}
