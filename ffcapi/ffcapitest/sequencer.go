package ffcapitest

import (
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// withNonce is a submission of Create with a nonce of the test's choice.
func (b *bench) withNonce(signer, id string, nonce uint64) *ffcapi.Submission {
	b.Helper()
	sub := b.submission(b.Contract.Create(signer, id))
	sub.Nonce = &nonce
	return sub
}

var sequencerPromises = []promise{
	{name: "counts what is on the chain and what waits", needs: func(f *Fixture) bool { return f.Pause != nil }, check: func(b *bench) {
		signer := b.Signer()
		first, latest := b.nonces(signer)
		require.Equal(b, first, latest)
		resume := b.Pause(b.T)
		hash := b.create(signer, b.id(0))
		pending, latest := b.nonces(signer)
		require.Equal(b, first+1, pending)
		require.Equal(b, first, latest)
		resume()
		b.placed(hash)
		pending, latest = b.nonces(signer)
		require.Equal(b, first+1, pending)
		require.Equal(b, first+1, latest)
	}},
	{name: "keeps what comes after a gap until it is filled", check: func(b *bench) {
		signer := b.Signer()
		first, _ := b.nonces(signer)
		later := b.submit(b.withNonce(signer, b.id(1), first+1))
		b.placed(b.create(b.Signer(), b.id(2)))
		_, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: later})
		b.requireKind(err, ffcapi.NotFound)
		pending, _ := b.nonces(signer)
		require.Equal(b, first, pending, "the gap is the next nonce")
		filled := b.placed(b.submit(b.withNonce(signer, b.id(0), first)))
		p := b.placed(later)
		require.True(b, filled.success && p.success)
		require.True(b, filled.Number < p.Number || filled.Number == p.Number && filled.index < p.index)
	}},
	{name: "refuses a nonce that is used", check: func(b *bench) {
		signer := b.Signer()
		sub := b.submission(b.Contract.Create(signer, b.id(0)))
		other := b.withNonce(signer, b.id(1), *sub.Nonce)
		hash := b.submit(sub)
		p := b.placed(hash)
		_, err := b.Connector.Submit(b.ctx, other)
		b.requireKind(err, ffcapi.NonceTooLow)
		require.Equal(b, hash, b.resubmitted(sub))
		b.requireOnce(hash, b.id(0), p)
	}},
	{name: "puts one transaction of a nonce on the chain", needs: func(f *Fixture) bool { return f.Pause != nil }, check: func(b *bench) {
		signer := b.Signer()
		resume := b.Pause(b.T)
		one := b.submission(b.Contract.Create(signer, b.id(0)))
		two := b.withNonce(signer, b.id(1), *one.Nonce)
		first := b.submit(one)
		second := ""
		if s, err := b.Connector.Submit(b.ctx, two); err == nil {
			second = s.Hash
		} else {
			b.requireKind(err, ffcapi.Underpriced, ffcapi.NonceTooLow, ffcapi.Conflict)
		}
		resume()
		mark := b.placed(b.create(b.Signer(), b.id(900)))
		n := len(b.listed(first, mark.BlockRef))
		if second != "" {
			n += len(b.listed(second, mark.BlockRef))
		}
		require.Equal(b, 1, n)
	}},
	{name: "cancels what waits", needs: func(f *Fixture) bool { return f.Pause != nil }, check: func(b *bench) {
		signer := b.Signer()
		resume := b.Pause(b.T)
		sub := b.submission(b.Contract.Create(signer, b.id(0)))
		hash := b.submit(sub)
		cancel := b.cancel(signer, *sub.Nonce)
		require.NotEqual(b, hash, b.submit(cancel))
		resume()
		b.requireCancelled(cancel, hash)
	}},
	{name: "uses a nonce up that nobody sent", check: func(b *bench) {
		signer := b.Signer()
		n, _ := b.nonces(signer)
		later := b.submit(b.withNonce(signer, b.id(1), n+1))
		cancel := b.cancel(signer, n)
		require.True(b, b.placed(b.submit(cancel)).success)
		require.True(b, b.placed(later).success)
		_, latest := b.nonces(signer)
		require.Equal(b, n+2, latest)
	}},
	{name: "needs a nonce", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		sub.Nonce = nil
		_, err := b.Connector.Submit(b.ctx, sub)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.InvalidInput).Sent)
	}},
	{name: "counts a transaction that failed", check: func(b *bench) {
		winner, loser := b.Signer(), b.Signer()
		first := b.submission(b.Contract.Create(winner, b.id(0)))
		second := b.submission(b.Contract.Create(loser, b.id(0)))
		b.placed(b.submit(first))
		require.False(b, b.placed(b.submit(second)).success)
		_, latest := b.nonces(loser)
		require.Equal(b, *second.Nonce+1, latest)
	}},
}

// cancel is the submission that cancels a nonce.
func (b *bench) cancel(signer string, nonce uint64) *ffcapi.Submission {
	b.Helper()
	p, err := b.sequencer().Cancel(b.ctx, b.Ledger, signer, nonce)
	require.NoError(b, err)
	require.NotEmpty(b, p.Payload)
	require.Equal(b, b.Ledger, p.Ledger)
	return &ffcapi.Submission{Prepared: p, From: signer, Nonce: &nonce, Gas: p.Gas}
}

// requireCancelled checks that the cancellation is on the chain, and what it cancels is not and will not be.
func (b *bench) requireCancelled(cancel *ffcapi.Submission, hash string) {
	b.Helper()
	require.True(b, b.placed(b.resubmitted(cancel)).success)
	mark := b.placed(b.create(b.Signer(), b.id(901)))
	require.Empty(b, b.listed(hash, mark.BlockRef))
	require.Equal(b, []string{b.id(901)}, b.ids(b.session(b.Connector, b.query(b.from(), mark.BlockRef, 10))))
}
