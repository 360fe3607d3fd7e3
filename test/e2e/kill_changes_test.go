//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// createChanges makes a stream of the ends of transactions.
func (r *killRun) createChanges() {
	c := client.New(r.p.URL)
	defer c.Close()
	name, kind, from := "kill changes", apitypes.ListenerTransactions, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	s, err := c.CreateStream(r.t.Context(), &apitypes.EventStream{Name: &name})
	require.NoError(r.t, err)
	_, err = c.CreateListener(r.t.Context(), s.ID.String(), &apitypes.Listener{
		Name: &name, Type: &kind, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"status":"Succeeded"}`)},
	})
	require.NoError(r.t, err)
}

func (r *killRun) consumeChanges(ctx context.Context) {
	c := client.Consumer{URL: r.p.URL, Stream: "kill changes", Handle: r.handleChanges}
	if err := c.Run(ctx); ctx.Err() == nil {
		r.note("consumer of changes: %v", err)
	}
}

func (r *killRun) handleChanges(_ context.Context, b *client.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range b.Events {
		var e apitypes.TransactionEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		switch before, known := r.ended[e.ID]; {
		case known && before != e.Sequence:
			r.errors = append(r.errors, fmt.Sprintf("%s ended at %s and at %s", e.ID, before, e.Sequence))
		case !known && e.EventID <= r.last:
			r.errors = append(r.errors, fmt.Sprintf("%s came for the first time after %s", e.EventID, r.last))
		case !known:
			r.ended[e.ID], r.last = e.Sequence, e.EventID
		}
	}
	return nil
}

// requireChanges waits until the end of every accepted transaction has come.
func (r *killRun) requireChanges(ids []string) {
	missing := func() []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return r.ended[id] != "" })
	}
	require.Eventually(r.t, func() bool { return len(missing()) == 0 }, 2*time.Minute, 100*time.Millisecond, "status changes are missing")
}
