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
		for _, late := range []*ffcapi.Submission{other, b.cancel(signer, *sub.Nonce)} {
			_, err := b.Connector.Submit(b.ctx, late)
			require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.NonceTooLow).Sent)
		}
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
	{name: "tells the hash of what it has", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		b.placed(hash)
		_, err := b.Connector.Submit(b.ctx, sub)
		e := b.errorOf(err, ffcapi.KnownTransaction)
		require.Equal(b, hash, e.Hash)
		require.NotEqual(b, ffcapi.SentNo, e.Sent, "the node has it")
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
	{name: "uses a nonce up once, however often it is cancelled", check: func(b *bench) {
		signer := b.Signer()
		n, _ := b.nonces(signer)
		hash := b.submit(b.cancel(signer, n))
		if s, err := b.Connector.Submit(b.ctx, b.cancel(signer, n)); err == nil {
			hash = s.Hash
		} else {
			b.requireKind(err, ffcapi.KnownTransaction, ffcapi.Underpriced, ffcapi.NonceTooLow)
		}
		require.True(b, b.placed(hash).success)
		pending, latest := b.nonces(signer)
		require.Equal(b, []uint64{n + 1, n + 1}, []uint64{pending, latest})
	}},
	{name: "lets what runs out of gas fail in its block", check: func(b *bench) {
		if b.Contract.LittleGas == "" {
			b.Skip("the chain has no gas")
		}
		req := b.Contract.Create(b.Signer(), b.id(0))
		req.Gas = b.Contract.LittleGas
		sub := b.submission(req)
		require.Equal(b, req.Gas, sub.Prepared.Gas, "the limit is the caller's")
		p := b.placed(b.submit(sub))
		require.False(b, p.success)
		require.NotEmpty(b, p.reason)
		_, latest := b.nonces(req.From)
		require.Equal(b, *sub.Nonce+1, latest)
		_, err := b.Connector.Query(b.ctx, b.Contract.Read(req.From, b.id(0)))
		b.requireFinal(err)
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
	sub := b.complete(&ffcapi.Submission{Prepared: p, From: signer})
	sub.Nonce = &nonce
	if b.features.Fees {
		sub.Fee = b.Contract.Raise(sub.Fee)
	}
	return sub
}

// requireCancelled checks that the cancellation is on the chain, and what it cancels is not and will not be.
func (b *bench) requireCancelled(cancel *ffcapi.Submission, hash string) {
	b.Helper()
	require.True(b, b.placed(b.resubmitted(cancel)).success)
	mark := b.placed(b.create(b.Signer(), b.id(901)))
	require.Empty(b, b.listed(hash, mark.BlockRef))
	require.Equal(b, []string{b.id(901)}, b.ids(b.session(b.Connector, b.query(b.from(), mark.BlockRef, 10))))
}
