package txn_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestReplacedAttemptIsLookedFor: the chain has the attempt that was replaced for another fee, and nobody noticed its block.
func TestReplacedAttemptIsLookedFor(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.late = true
	r := newRig(t, setup{sequenced: true, fake: f, opts: func(o *txn.Options) {
		o.Fees = policy.Fixed(`"10"`)
		o.Policy = engineFunc(func(v policy.View) policy.Decision {
			switch {
			case v.Tx.Phase == policy.Ready:
				return policy.Decision{Do: policy.Submit}
			case v.Tx.Attempt == 1:
				return policy.Decision{Do: policy.Submit, Fee: json.RawMessage(`"12"`)}
			default:
				return policy.Decision{Do: policy.Reconcile, Until: v.Now.Add(20 * time.Millisecond)}
			}
		})
	}})
	r.submit(submission("a"))
	sends := r.untilSent(2)
	require.Equal(t, []string{`"10"`, `"12"`}, []string{sends[0].fee, sends[1].fee})
	f.put(sends[0].payload+"@"+sends[0].fee, &ffcapi.Receipt{Block: r.view.block(0), Success: true})
	row := r.until("a", store.SubConfirmed)
	require.Equal(t, store.Succeeded, row.Status)
	require.Equal(t, sends[0].hash(true), row.Hash)
}
