package simple_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/policy/policytest"
)

func bumping(t testing.TB, percent int, most string, after int) policy.Engine {
	e, err := simple.Parse(fmt.Appendf(nil, `{"bump":{"percent":%d,"max":%q,"after":%d}}`, percent, most, after))
	require.NoError(t, err)
	return e
}

func TestSuiteWithBump(t *testing.T) {
	t.Parallel()
	policytest.Run(t, func() policy.Engine { return bumping(t, 12, "1000", 0) })
}

// lost is a transaction that no block held in time.
func lost(fee string, sends int) policy.View {
	nonce := uint64(7)
	return policy.View{
		Tx: policy.Tx{
			ID: "tx", Phase: policy.Tracking, Nonce: &nonce, Attempt: 1, Sends: sends, LastSubmit: now, Heard: true, Fee: json.RawMessage(fee),
		},
		Now: now.Add(time.Hour),
	}
}

func TestBump(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ fee, market, want string }{
		{`100`, ``, `112`},
		{`"100"`, ``, `"112"`},
		{`"0x64"`, ``, `"0x70"`},
		{`"1"`, ``, `"2"`},
		{`0`, ``, `1`},
		{`"100"`, `"300"`, `"300"`},
		{`"100"`, `"105"`, `"112"`},
		{`"100"`, `9999`, `"500"`},
		{`"499"`, ``, `"500"`},
		{`"500"`, ``, ``},
		{`"501"`, ``, ``},
		{`{"maxFeePerGas":"200","maxPriorityFeePerGas":10,"type":"x"}`, ``, `{"maxFeePerGas":"224","maxPriorityFeePerGas":12,"type":"x"}`},
		{`{"maxFeePerGas":"480","maxPriorityFeePerGas":"10"}`, `{"maxPriorityFeePerGas":"20"}`, `{"maxFeePerGas":"500","maxPriorityFeePerGas":"20"}`},
		{`{"maxFeePerGas":"500"}`, ``, ``},
		{`"100"`, `{"maxFeePerGas":"300"}`, `"112"`},
		{`{"a":"100"}`, `"300"`, `{"a":"112"}`},
		{`"much"`, ``, ``}, {`1.5`, ``, ``}, {`-3`, ``, ``}, {`null`, ``, ``}, {``, ``, ``}, {`[1]`, ``, ``}, {`{}`, ``, ``}, {`""`, ``, ``},
	} {
		v := lost(c.fee, 1)
		v.Fee = json.RawMessage(c.market)
		d := bumping(t, 12, "500", 0).Decide(v)
		require.Equal(t, policy.Submit, d.Do, c.fee)
		require.Equal(t, c.want, string(d.Fee), c.fee)
	}
}

func TestBumpAfterResubmissions(t *testing.T) {
	t.Parallel()
	e := bumping(t, 10, "500", 2)
	for sends, want := range map[int]string{1: "", 2: "", 3: "110", 4: "110"} {
		require.Equal(t, want, string(e.Decide(lost("100", sends)).Fee), "%d sends", sends)
	}
	without := lost("100", 9)
	without.Tx.Nonce = nil
	require.Empty(t, e.Decide(without).Fee, "without a nonce it would be a second transaction")
	require.Empty(t, simple.New(simple.Config{}).Decide(lost("100", 9)).Fee, "off unless asked for")
}

// TestUnderpricedIsRaised without waiting for a block, but not at once.
func TestUnderpricedIsRaised(t *testing.T) {
	t.Parallel()
	e := bumping(t, 10, "500", 5)
	v := lost("100", 1)
	v.LastError = &ffcapi.Error{Kind: ffcapi.Underpriced, Sent: ffcapi.SentNo}
	for _, phase := range []policy.Phase{policy.Ready, policy.Unknown, policy.Tracking} {
		v.Tx.Phase, v.Now, v.State = phase, now, nil
		d := e.Decide(v)
		require.Equal(t, policy.Wait, d.Do)
		require.Less(t, d.Until.Sub(now), 5*time.Second)
		v.Now, v.State = d.Until, d.State
		d = e.Decide(v)
		require.Equal(t, policy.Submit, d.Do, phase)
		require.Equal(t, "110", string(d.Fee))
	}
	v.Tx.Fee, v.Now = json.RawMessage("500"), now
	d := e.Decide(v)
	require.GreaterOrEqual(t, d.Until.Sub(now), 10*time.Second, "there is no more to offer")
}

// TestBumpStaysBelowMax whatever the fee was and however often it is raised.
func TestBumpStaysBelowMax(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(1, 1_000_000).Draw(t, "max")
		percent := rapid.IntRange(1, 1000).Draw(t, "percent")
		e, err := simple.Parse(fmt.Appendf(nil, `{"bump":{"percent":%d,"max":"%d"}}`, percent, most))
		require.NoError(t, err)
		fee := big.NewInt(rapid.Int64Range(0, 2_000_000).Draw(t, "fee"))
		for range 10_000 {
			v := lost(fee.String(), 1)
			v.Fee = fmt.Appendf(nil, "%d", rapid.Int64Range(0, 2_000_000).Draw(t, "market"))
			raised := e.Decide(v).Fee
			if raised == nil {
				require.GreaterOrEqual(t, fee.Int64(), most, "it stops at the most only")
				return
			}
			next, ok := new(big.Int).SetString(string(raised), 10)
			require.True(t, ok)
			require.Positive(t, next.Cmp(fee), "a replacement for less is refused")
			require.LessOrEqual(t, next.Int64(), most)
			fee = next
		}
		require.Fail(t, "raised for ever")
	})
}

func TestBumpNeedsMax(t *testing.T) {
	t.Parallel()
	for _, most := range []string{"", "0", "-1", "much", "1.5"} {
		_, err := simple.Parse(fmt.Appendf(nil, `{"bump":{"percent":10,"max":%q}}`, most))
		require.ErrorContains(t, err, "policies.simple.bump.max")
	}
}
