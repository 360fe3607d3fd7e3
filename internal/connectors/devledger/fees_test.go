package devledger_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

// offer is a create of an asset with a nonce and a fee of the test's choice.
func offer(t *testing.T, c ffcapi.Connector, from, id string, nonce uint64, fee string) *ffcapi.Submission {
	t.Helper()
	p, err := c.Prepare(t.Context(), request(from, "create", quote(id), `1`))
	require.NoError(t, err)
	sub := &ffcapi.Submission{Prepared: p, From: from, To: "assets", Gas: p.Gas, Nonce: &nonce}
	if fee != "" {
		sub.Fee = json.RawMessage(fee)
	}
	return sub
}

func TestFormsOfAFee(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.GasPrice = 5
	c := open(t, cfg, "")
	for i, fee := range []string{`5`, `"6"`, `{"gasPrice":"7"}`, `{"maxFeePerGas":8,"maxPriorityFeePerGas":"1"}`} {
		_, err := c.Submit(t.Context(), offer(t, c, "ann", fee, uint64(i), fee))
		require.NoError(t, err, fee)
	}
	for fee, want := range map[string]string{
		``: "underpriced", `4`: "underpriced", `{}`: "underpriced", `{"maxPriorityFeePerGas":9}`: "underpriced", `null`: "underpriced",
		`-1`: "fee: -1 is not a whole number", `1.5`: "fee: 1.5", `true`: "fee: true", `"x"`: `fee: "x"`, `{"tip":1}`: "fee.tip: unknown field",
		`{"gasPrice":null}`: "fee.gasPrice: null",
	} {
		_, err := c.Submit(t.Context(), offer(t, c, "bob", "never", 0, fee))
		require.Equal(t, ffcapi.SentNo, ffcapi.AsError(err).Sent, fee)
		if want == "underpriced" {
			require.Equal(t, ffcapi.Underpriced, ffcapi.KindOf(err), fee)
			continue
		}
		require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), fee)
		require.ErrorContains(t, err, want)
	}
}

// The hash tells all that was signed: what differs in gas or fee is another transaction.
func TestTermsArePartOfTheHash(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	c.Knobs().Pause()
	sub := offer(t, c, "ann", "a", 0, `1`)
	first, err := c.Submit(t.Context(), sub)
	require.NoError(t, err)
	sub.Fee = json.RawMessage(`2`)
	second, err := c.Submit(t.Context(), sub)
	require.NoError(t, err)
	require.NotEqual(t, first.Hash, second.Hash)
	sub.Gas = "1000000"
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.Underpriced, ffcapi.KindOf(err), "another one, which offers no more")
	c.Knobs().Resume()
	require.True(t, receipt(t, c, second.Hash).Success)
	for _, gas := range []string{"0", "x", "-1", "30000001"} {
		sub.Gas = gas
		_, err = c.Submit(t.Context(), sub)
		require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), gas)
		require.ErrorContains(t, err, "gas: ")
	}
}

func TestCancellationNeedsNoMoreThanWhatWaits(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	s, ok := c.(ffcapi.Sequencer)
	require.True(t, ok)
	cancel := func(fee string) (string, error) {
		p, err := s.Cancel(t.Context(), "", "ann", 0)
		require.NoError(t, err)
		require.Equal(t, "21000", p.Gas)
		zero := uint64(0)
		out, err := c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "ann", Nonce: &zero, Gas: p.Gas, Fee: json.RawMessage(fee)})
		if err != nil {
			return "", err
		}
		return out.Hash, nil
	}
	c.Knobs().Pause()
	sub := offer(t, c, "ann", "a", 0, `5`)
	_, err := c.Submit(t.Context(), sub)
	require.NoError(t, err)
	_, err = cancel(`4`)
	require.Equal(t, ffcapi.Underpriced, ffcapi.KindOf(err))
	hash, err := cancel(`5`)
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), sub)
	require.Equal(t, ffcapi.Underpriced, ffcapi.KindOf(err), "the cancellation stays")
	c.Knobs().Resume()
	require.True(t, receipt(t, c, hash).Success)
}

func TestFutureNonces(t *testing.T) {
	t.Parallel()
	for ahead, c := range map[uint64]struct{ taken, refused uint64 }{0: {0, 1}, 3: {3, 4}} {
		cfg := memory()
		cfg.FutureNonces = ahead
		l := open(t, cfg, "")
		l.Knobs().Pause()
		_, err := l.Submit(t.Context(), offer(t, l, "ann", "x", c.refused, ""))
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
		require.Equal(t, ffcapi.SentNo, ffcapi.AsError(err).Sent)
		require.ErrorContains(t, err, "leaves a gap: the next one is 0")
		_, err = l.Submit(t.Context(), offer(t, l, "ann", "x", c.taken, ""))
		require.NoError(t, err)
		_, err = l.Submit(t.Context(), offer(t, l, "ann", "y", math.MaxUint64, ""))
		require.Equal(t, ffcapi.Unavailable, ffcapi.KindOf(err))
	}
}

// What is paid is paid again after a restart and after a reorganisation.
func TestBalancesFollowTheChain(t *testing.T) {
	t.Parallel()
	cfg := devledger.DefaultConfig()
	cfg.Finality, cfg.BlockPeriod, cfg.Balance = ffcapi.Confirmations, 1<<40, 100_000
	dir := t.TempDir()
	c := open(t, cfg, dir)
	balance := func() uint64 {
		b, ok := c.(ffcapi.Balancer)
		require.True(t, ok)
		text, err := b.Balance(t.Context(), "", "ann", "")
		require.NoError(t, err)
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	send := func(sub *ffcapi.Submission) string {
		s, err := c.Submit(t.Context(), sub)
		require.NoError(t, err)
		require.NoError(t, c.Knobs().MineNow(t.Context()))
		return s.Hash
	}
	first := send(offer(t, c, "ann", "a", 0, `2`))
	const used = 21_000 + 16*2 // one byte of id and one of value
	require.Equal(t, uint64(100_000-2*used), balance())
	// Both were fine when they were sent; the money is enough for one.
	second, third := offer(t, c, "ann", "b", 1, `1`), offer(t, c, "ann", "c", 2, `2`)
	_, err := c.Submit(t.Context(), second)
	require.NoError(t, err)
	poor := send(third)
	r := receipt(t, c, poor)
	require.False(t, r.Success)
	require.Equal(t, "insufficient funds for gas", r.Reason)
	require.Zero(t, balance())

	require.NoError(t, c.Close())
	c = open(t, cfg, dir)
	require.Zero(t, balance())
	require.NoError(t, c.Knobs().Reorganise(t.Context(), 1, func(string) bool { return true }))
	require.Equal(t, uint64(100_000-2*used), balance())
	require.NoError(t, c.Knobs().Reorganise(t.Context(), 2, func(h string) bool { return h == first }))
	require.Equal(t, uint64(100_000), balance())
	other, ok := c.(ffcapi.Balancer)
	require.True(t, ok)
	_, err = other.Balance(t.Context(), "", "", "")
	require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err))
	_, err = other.Balance(t.Context(), "", "ann", "7")
	require.Equal(t, ffcapi.Unsupported, ffcapi.KindOf(err))
}

func TestSetGasPrice(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	c.Knobs().SetGasPrice(9)
	e, ok := c.(ffcapi.FeeEstimator)
	require.True(t, ok)
	fee, err := e.EstimateFee(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, `"9"`, string(fee))
	_, err = c.Submit(t.Context(), offer(t, c, "ann", "a", 0, `8`))
	require.Equal(t, ffcapi.Underpriced, ffcapi.KindOf(err))
}
