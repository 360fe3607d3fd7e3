package policytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// recovery is how long a transaction that the chain lost may wait, at most, until it is sent again.
const recovery = time.Hour

// testRandom walks through random lives of a transaction. Each view holds the state of the decision before, so that the engine's own memory
// is met in every form it can take.
func testRandom(t *testing.T, e policy.Engine) {
	rapid.Check(t, func(r *rapid.T) {
		v := randomView(r)
		for range rapid.IntRange(1, 8).Draw(r, "moments") {
			d := checked(r, e, v)
			next := randomView(r)
			next.Tx.ID, next.State = v.Tx.ID, respaced(r, d.State)
			next.Now = later(v.Now, next.Now)
			v = next
		}
	})
}

// checked asks twice and checks what holds for every answer to every view.
func checked(t *rapid.T, e policy.Engine, v policy.View) policy.Decision {
	before := clone(v)
	d := ask(t, e, v)
	require.Equal(t, before, v, "the view was changed")
	require.Equal(t, d, e.Decide(clone(v)), "the same view, another decision")
	if d.Do == policy.Prepare || d.Do == policy.Fail {
		require.True(t, v.Tx.Replaceable, "%s of what may still be on its way, or holds a nonce", d.Do)
	}
	if d.Do == policy.Submit && v.Tx.Nonce == nil && v.Tx.Sends > 0 {
		require.Nil(t, d.Fee, "without a nonce what was sent cannot be replaced")
	}
	respaced := clone(v)
	respaced.State = spaced(v.State)
	require.Equal(t, d, e.Decide(respaced), "the state comes back with other space in it")
	return d
}

func randomView(t *rapid.T) policy.View {
	phase := rapid.SampledFrom([]policy.Phase{policy.Ready, policy.Unknown, policy.Tracking, policy.Ended}).Draw(t, "phase")
	v := view(phase)
	v.Tx.ID = fmt.Sprintf("tx-%d", rapid.IntRange(0, 1000).Draw(t, "id"))
	v.Tx.Attempt = rapid.IntRange(1, 10).Draw(t, "attempt")
	v.Tx.Heard = rapid.Bool().Draw(t, "heard")
	if rapid.Bool().Draw(t, "sequenced") {
		nonce := rapid.Uint64Range(0, 5).Draw(t, "nonce")
		v.Tx.Nonce = &nonce
		v.Tx.Replaceable = phase == policy.Ended && rapid.Bool().Draw(t, "replaceable")
	}
	fee := func(name string) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{"", "5", `"6"`, `{"a":"7","b":8}`, `"much"`, "null"}).Draw(t, name))
	}
	v.Fee = fee("market")
	v.Now = start.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now")))
	if v.Tx.Sends = rapid.IntRange(0, 20).Draw(t, "sends"); phase != policy.Ready {
		v.Tx.Sends++
	}
	if v.Tx.Sends > 0 {
		v.Tx.LastSubmit = v.Now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ago")))
		v.Tx.FirstSubmit, v.Tx.Fee = v.Tx.LastSubmit, fee("fee")
	}
	if rapid.Bool().Draw(t, "error") {
		v.LastError = &ffcapi.Error{
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Sent: sentOf(phase), Message: "boom",
			RetryAfter: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "retryAfter")),
		}
	}
	if (phase == policy.Tracking || phase == policy.Ended) && rapid.Bool().Draw(t, "in a block") {
		v.Outcome = &policy.Outcome{
			Block: ffcapi.BlockRef{Number: 3, Hash: "h"}, Success: phase == policy.Tracking && rapid.Bool().Draw(t, "success"),
			Reason: "reason", Retryable: rapid.Bool().Draw(t, "retryable"), Final: phase == policy.Ended,
		}
	}
	return v
}

func respaced(t *rapid.T, state json.RawMessage) json.RawMessage {
	if rapid.Bool().Draw(t, "spaced") {
		return spaced(state)
	}
	return state
}

// spaced is the same JSON with other space between its parts, as a database may give it back.
func spaced(state json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Indent(&b, state, " ", "  ") != nil {
		return state
	}
	return b.Bytes()
}

// testLost: what the chain lost is sent again in time, also when the process was restarted and remembers no error.
func testLost(t *testing.T, e policy.Engine) {
	for _, phase := range []policy.Phase{policy.Unknown, policy.Tracking} {
		for _, sends := range []int{1, 2, 10, 1000} {
			v := view(phase)
			v.Tx.Sends = sends
			v.Tx.Heard = true
			d, waited := converse(t, e, v)
			require.Contains(t, []policy.Do{policy.Submit, policy.Reconcile}, d.Do)
			require.LessOrEqual(t, waited+until(d, v), recovery)
		}
	}
}
