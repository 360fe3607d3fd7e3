package expr_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/expr"
)

// transfer is an event as listeners get it.
const transfer = `{"id":"devledger::000000123456/000017/000003","protocolId":"000000123456/000017/000003","ledger":"","signature":"Transfer","address":"assets","blockHash":"0x5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d","blockNumber":"123456","transactionHash":"0x1a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1d5a3c2b1e","transactionIndex":"17","logIndex":"3","timestamp":"2023-11-14T22:13:20.123456Z","data":{"from":"0x1111111111111111111111111111111111111111","to":"0x2222222222222222222222222222222222222222","value":"1000001","ts":"0"},"listenerId":"0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22","listenerName":"listener","listenerType":"events","streamId":"5c1e0e9c-8c7b-4a2f-9f57-1f9a2a3f7a11","subId":"0f5b3a0e-2b19-4e43-8d5a-6a8c7d0f1c22"}`

func BenchmarkCompile(b *testing.B) {
	c := expr.New()
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Compile(`.signature == "Transfer" and (.data.value | tonumber) > 1000000`)
		require.NoError(b, err)
	}
}

func BenchmarkBool(b *testing.B) {
	for name, source := range map[string]string{
		"field":  `.signature == "Transfer"`,
		"number": `.signature == "Transfer" and (.data.value | tonumber) > 1000000`,
		"regexp": `.data.to | test("^0x2+$")`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := expr.New().Compile(source)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := p.Bool(b.Context(), []byte(transfer))
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkValue(b *testing.B) {
	for name, source := range map[string]string{
		"pick":   `.data | {from, to, amount: .value}`,
		"concat": `.data + {block: .blockNumber, text: "\(.data.from) -> \(.data.to)"}`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := expr.New().Compile(source)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, _, err := p.Value(b.Context(), []byte(transfer))
				require.NoError(b, err)
			}
		})
	}
}
