package txn

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestPriceBelowZero(t *testing.T) {
	t.Parallel()
	for _, price := range []string{
		``, `null`, `true`, `0`, `-0`, `"-0"`, `"-0.00e7"`, `"-0x0"`, `"-"`, `"-."`, `"-x"`, `""`, `"7"`, `7e99`, `{}`, `[]`, `{"a":[{"b":"-0"},1]}`,
		`"1e-7"`, `"0x7-1"`,
	} {
		require.NoError(t, checkPrice(json.RawMessage(price)), price)
	}
	for price, field := range map[string]string{
		`-7`: "gasPrice", `"-7"`: "gasPrice", `" -.5 "`: "gasPrice", `"\u002d7"`: "gasPrice", `"-0x0a"`: "gasPrice", `"-0XF"`: "gasPrice", `-1e-7`: "gasPrice",
		`"-1/2"`: "gasPrice", `{"a":1,"b":{"c":"1"},"d":{"e":-1}}`: "gasPrice.d.e", `{"a":[0,{"b":{}},{"c":-1}]}`: "gasPrice.a.2.c",
		`{"a":-1,"a":1}`: "gasPrice.a", `{"a":{"b":1},"c":-1}`: "gasPrice.c",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1): "gasPrice",
	} {
		var invalid *apitypes.Invalid
		require.ErrorAs(t, checkPrice(json.RawMessage(price)), &invalid, price)
		require.Equal(t, field, invalid.Field)
	}
	require.NoError(t, checkPrice(json.RawMessage(strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth))))
}

// TestPriceIsCheckedInOnePass: neither its depth, nor the length of its names and numbers, multiplies with the rest.
func TestPriceIsCheckedInOnePass(t *testing.T) {
	t.Parallel()
	const size = 128 << 10
	deep := strings.Repeat(`{"a":`, maxDepth-1)
	for name, price := range map[string]string{
		"deep":  deep + `[` + strings.Repeat(`1,`, size/2) + `1]` + strings.Repeat("}", maxDepth-1),
		"name":  `{"` + strings.Repeat("n", size) + `":[` + strings.Repeat("1,", size/2) + `1]}`,
		"long":  `"-0.` + strings.Repeat("0", size) + `"`,
		"wide":  `[` + strings.Repeat(`"1e999999",`, size/12) + `1]`,
		"digit": strings.Repeat("9", size),
	} {
		began := time.Now()
		require.NoError(t, checkPrice(json.RawMessage(price)), name)
		require.Less(t, time.Since(began), 5*time.Second, name)
	}
	levels := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	var invalid *apitypes.Invalid
	require.ErrorAs(t, checkPrice(json.RawMessage(levels)), &invalid)
	require.Equal(t, "gasPrice", invalid.Field)
}

// TestPricedRequest: the price that was set is kept beside the request, and what a client put into it is no such price.
func TestPricedRequest(t *testing.T) {
	t.Parallel()
	const sent = `{"headers":{"gasPrice":"-7"},"from":"a","gasPrice":"-8","x":{"gasPrice":"-9"}}`
	for _, price := range []string{`"9"`, `{"maxFeePerGas":"9"}`} {
		stored, err := withPrice([]byte(sent), []byte(price))
		require.NoError(t, err)
		body, got, err := takePrice(stored)
		require.NoError(t, err)
		require.JSONEq(t, sent, string(body))
		require.JSONEq(t, price, string(got))
		o, err := storedRequest(apitypes.SendTransaction, stored)
		require.NoError(t, err)
		require.JSONEq(t, price, string(o.fee))
		require.JSONEq(t, `{"gasPrice":"-8","x":{"gasPrice":"-9"}}`, string(o.Options))
	}
	o, err := storedRequest(apitypes.SendTransaction, []byte(sent))
	require.NoError(t, err)
	require.Empty(t, o.fee)
	for _, raw := range []string{`[]`, `[{}]`, `[{},1]`, `[{},{},{}]`, `[1,{}]`, `[[{},{}],{}]`, `[`} {
		_, err := storedRequest(apitypes.SendTransaction, []byte(raw))
		require.Error(t, err, raw)
	}
	var invalid *apitypes.Invalid
	require.ErrorAs(t, new(request).digest([]byte(` [{"from":"a"},{"gasPrice":"9"}]`)), &invalid)
	require.NoError(t, new(request).digest([]byte(` {"from":"a"}`)))
}
