package txstate_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// TestCancelWhileAnEarlierAttemptMayBeOut: that certainly nothing of the newest attempt has left does not show that nothing of those before it has. All
// of them stay tracked.
func TestCancelWhileAnEarlierAttemptMayBeOut(t *testing.T) {
	t.Parallel()
	s, now := accepted(true, "h1", 0, ""), epoch
	for fee, sent := range []ffcapi.Sent{ffcapi.SentMaybe, ffcapi.SentNo} { // the second one replaces the first for another fee
		offer, err := json.Marshal(fee)
		require.NoError(t, err)
		var e txstate.Effects
		s, e = txstate.Step(s, txstate.Decided{Decision: policy.Decision{Do: policy.Submit, Fee: offer}, Now: now})
		require.Equal(t, txstate.Send, e.Do)
		s, _ = txstate.Step(s, txstate.Answered{Err: &ffcapi.Error{Kind: ffcapi.Unavailable, Sent: sent}, Now: now})
		now = now.Add(time.Minute)
	}
	require.Len(t, s.Attempts, 2)
	require.Equal(t, []int{1, 0}, []int{s.Attempts[0].Open, s.Attempts[1].Open})
	next, e := txstate.Step(s, txstate.Cancel{Now: now})
	require.ErrorIs(t, e.Refused, apitypes.ErrMayBeOut)
	require.Equal(t, s, next)
}
