package ffcapitest

import (
	"encoding/json"
	"math/big"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func canPause(f *Fixture) bool { return f.Pause != nil }

// twoFees are two submissions of one nonce, of which the second offers more.
func (b *bench) twoFees() (low, high *ffcapi.Submission) {
	b.Helper()
	low = b.submission(b.Contract.Create(b.Signer(), b.id(0)))
	raised := *low
	raised.Fee = b.Contract.Raise(low.Fee)
	return low, &raised
}

var feePromises = []promise{
	{name: "what is estimated is enough", check: func(b *bench) {
		require.True(b, b.placed(b.create(b.Signer(), b.id(0))).success)
	}},
	{name: "more replaces what waits", needs: canPause, check: func(b *bench) {
		low, high := b.twoFees()
		resume := b.Pause(b.T)
		first := b.submit(low)
		second := b.submit(high)
		require.NotEqual(b, first, second)
		resume()
		b.requireOnce(second, b.id(0), b.placed(second))
		require.Empty(b, b.listed(first, b.head()))
		_, err := b.Connector.Submit(b.ctx, low)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.NonceTooLow).Sent)
	}},
	{name: "less does not replace what waits", needs: canPause, check: func(b *bench) {
		low, high := b.twoFees()
		resume := b.Pause(b.T)
		first := b.submit(high)
		_, err := b.Connector.Submit(b.ctx, low)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.Underpriced).Sent)
		resume()
		b.requireOnce(first, b.id(0), b.placed(first))
	}},
	{name: "too little is refused, and nothing leaves", check: func(b *bench) {
		if b.Contract.LowFee == nil {
			b.Skip("no fee is too low")
		}
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		enough := sub.Fee
		sub.Fee = b.Contract.LowFee
		_, err := b.Connector.Submit(b.ctx, sub)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.Underpriced).Sent)
		sub.Fee = enough
		hash := b.submit(sub)
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "what is no fee is refused", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		sub.Fee = json.RawMessage(`{"noSuchFee":true}`)
		_, err := b.Connector.Submit(b.ctx, sub)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.InvalidInput).Sent)
	}},
}

// balance is what an account has.
func (b *bench) balance(address, tag string) *big.Int {
	b.Helper()
	c, ok := b.Connector.(ffcapi.Balancer)
	require.True(b, ok, "the connector is no ffcapi.Balancer")
	text, err := c.Balance(b.ctx, b.Ledger, address, tag)
	require.NoError(b, err)
	n, ok := new(big.Int).SetString(text, 10)
	require.True(b, ok, "%q is no base-10 integer", text)
	return n
}

var balancePromises = []promise{
	{name: "are told of the newest block", check: func(b *bench) {
		signer := b.Signer()
		b.placed(b.create(signer, b.id(0)))
		require.Equal(b, b.balance(signer, ""), b.balance(signer, "latest"))
	}},
	{name: "pay for what fails, too", check: func(b *bench) {
		if b.Contract.TooDear == nil {
			b.Skip("nothing costs anything")
		}
		first := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		second := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		for _, sub := range []*ffcapi.Submission{first, second} {
			before := b.balance(sub.From, "")
			b.placed(b.submit(sub))
			require.Negative(b, b.balance(sub.From, "").Cmp(before))
		}
	}},
	{name: "that are too low refuse a transaction", check: func(b *bench) {
		if b.Contract.TooDear == nil {
			b.Skip("nothing costs anything")
		}
		signer := b.Signer()
		_, err := b.Connector.Prepare(b.ctx, b.Contract.TooDear(signer, b.id(0)))
		b.requireKind(err, ffcapi.InsufficientFunds)
		sub := b.submission(b.Contract.Create(signer, b.id(0)))
		sub.Gas = b.Contract.TooDear(signer, b.id(0)).Gas
		_, err = b.Connector.Submit(b.ctx, sub)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.InsufficientFunds).Sent)
	}},
}
