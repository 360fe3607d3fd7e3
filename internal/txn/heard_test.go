package txn_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// listeners are engines that listen, by transaction.
type listeners map[string]listening

func (l listeners) Decide(v policy.View) policy.Decision { return l[v.Tx.ID].Decide(v) }

// untilHeard waits for the engine to be told of a block.
func (e listening) untilHeard(t *testing.T) {
	t.Helper()
	deadline := time.After(wait)
	for {
		select {
		case heard := <-e.heard:
			if heard {
				return
			}
		case <-deadline:
			require.Fail(t, "never heard of")
		}
	}
}

// TestBlocksBeforeTheSendAreNotHeardOf: a transaction could not be in those.
func TestBlocksBeforeTheSendAreNotHeardOf(t *testing.T) {
	t.Parallel()
	over := t.Context().Done()
	l := listeners{"a": {make(chan bool), over}, "b": {make(chan bool), over}}
	r := newRig(t, setup{opts: func(o *txn.Options) { o.Policy = l }})
	r.submit(submission("a"))
	require.False(t, <-l["a"].heard, "there was none")
	r.view.block(0)
	l["a"].untilHeard(t)

	r.submit(from("bob", "b"))
	for range 3 {
		require.False(t, <-l["b"].heard, "there was none since it was sent")
	}
	r.view.block(0)
	l["b"].untilHeard(t)
}
