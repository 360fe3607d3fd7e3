package ffcapitest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func (b *bench) finisher() ffcapi.Finisher {
	b.Helper()
	f, ok := b.Connector.(ffcapi.Finisher)
	require.True(b, ok, "the connector is no ffcapi.Finisher")
	return f
}

// finish is what the core does shortly before the first send, and what each answer of Finish must have.
func (b *bench) finish(sub *ffcapi.Submission) *ffcapi.Submission {
	b.Helper()
	before, payload := *sub.Prepared, bytes.Clone(sub.Prepared.Payload)
	p, err := b.finisher().Finish(b.ctx, sub)
	require.NoError(b, err)
	require.Equal(b, payload, sub.Prepared.Payload, "what is stored was changed")
	require.Equal(b, before, *sub.Prepared, "what is stored was changed")
	done := *sub
	if p != nil {
		require.Equal(b, sub.Prepared.Hash, p.Hash, "it is another transaction")
		require.Equal(b, sub.Prepared.Ledger, p.Ledger)
		require.Equal(b, sub.Prepared.Sensitive, p.Sensitive, "what may nobody see, still may nobody")
		require.NotEmpty(b, p.Payload)
		require.NotEqual(b, payload, p.Payload, "nothing was left: the answer is nil then")
		done.Prepared = p
	}
	again, err := b.finisher().Finish(b.ctx, &done)
	require.NoError(b, err)
	require.Nil(b, again, "something is left")
	return &done
}

// left tells whether Prepare leaves something to be done; a sub-test about that is skipped otherwise.
func (b *bench) left(sub *ffcapi.Submission) {
	b.Helper()
	p, err := b.finisher().Finish(b.ctx, sub)
	require.NoError(b, err)
	if p == nil {
		b.Skip("Prepare leaves nothing to be done")
	}
}

var finisherPromises = []promise{
	{name: "what is finished is the same transaction, and has one effect", check: func(b *bench) {
		sub := b.finish(b.submission(b.Contract.Create(b.Signer(), b.id(0))))
		hash := b.submit(sub)
		require.Equal(b, hash, b.resubmitted(sub))
		p := b.placed(hash)
		require.Equal(b, hash, b.resubmitted(sub))
		b.requireOnce(hash, b.id(0), p)
	}},
	{name: "sends nothing", check: func(b *bench) {
		signer := b.Signer()
		sub := b.finish(b.submission(b.Contract.Create(signer, b.id(0))))
		mark := b.placed(b.create(b.Signer(), b.id(1))) // whatever was sent would be on the chain by now
		_, err := b.Connector.Query(b.ctx, b.Contract.Read(signer, b.id(0)))
		b.requireFinal(err)
		if sub.Prepared.Hash != "" {
			_, err = b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: sub.Prepared.Hash})
			b.requireKind(err, ffcapi.NotFound)
		}
		require.Equal(b, []string{b.id(1)}, b.ids(b.session(b.Connector, b.query(b.from(), mark.BlockRef, 10))))
	}},
	{name: "an answer that was lost costs nothing", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		b.left(sub)
		lost, kept := b.finish(sub), b.finish(sub)
		hash := b.submit(kept)
		p := b.placed(hash)
		require.Equal(b, hash, b.resubmitted(lost), "whichever is sent, it is this transaction")
		b.requireOnce(hash, b.id(0), p)
	}},
	{name: "another process can go on", needs: func(f *Fixture) bool { return f.Reopen != nil }, check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		b.left(sub)
		b.Connector = b.Reopen(b.T)
		sub = b.finish(sub)
		b.Connector = b.Reopen(b.T)
		hash := b.submit(sub)
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "refuses what the contract refuses", check: func(b *bench) {
		if !b.features.SimulatesLate {
			b.Skip("Finish does not simulate")
		}
		signer := b.Signer()
		late := b.submission(b.Contract.Create(signer, b.id(0)))
		b.placed(b.create(signer, b.id(0)))
		for _, sub := range []*ffcapi.Submission{late, b.submission(b.Contract.Refused(signer))} {
			_, err := b.finisher().Finish(b.ctx, sub)
			b.requireKind(err, ffcapi.Reverted, ffcapi.Endorsement)
			if sub.Prepared.Hash != "" {
				_, err = b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: sub.Prepared.Hash})
				b.requireKind(err, ffcapi.NotFound)
			}
		}
	}},
	{name: "who loses a race fails in a block", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		b.left(sub)
		first := b.finish(sub)
		second := b.finish(b.submission(b.Contract.Create(b.Signer(), b.id(0))))
		if b.features.Sequenced && first.From == second.From {
			b.Skip("there is one signer only")
		}
		b.race(first, second)
	}},
	{name: "those in each other's way say so", check: func(b *bench) {
		first := b.finish(b.submission(b.Contract.Create(b.Signer(), b.id(0))))
		if len(first.Prepared.ConflictKeys) == 0 {
			b.Skip("the chain names no conflict keys")
		}
		keys := func(id string) []string {
			return b.finish(b.submission(b.Contract.Create(b.Signer(), id))).Prepared.ConflictKeys
		}
		common := func(other []string) bool {
			return slices.ContainsFunc(other, func(k string) bool { return slices.Contains(first.Prepared.ConflictKeys, k) })
		}
		require.True(b, common(keys(b.id(0))))
		require.False(b, common(keys(b.id(1))))
	}},
	{name: "refuses what is no payload", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		bad := *sub.Prepared
		bad.Payload = []byte("this is not a payload")
		sub.Prepared = &bad
		_, err := b.finisher().Finish(b.ctx, sub)
		b.requireKind(err, ffcapi.InvalidInput, ffcapi.Internal)
	}},
	{name: "many at once", check: func(b *bench) {
		const n = 8
		subs, hashes := make([]*ffcapi.Submission, n), make([]string, n)
		for i := range subs {
			subs[i] = b.submission(b.Contract.Create(b.Signer(), b.id(i)))
		}
		b.together(n, func(i int) error {
			p, err := b.finisher().Finish(b.ctx, subs[i])
			if err == nil && p != nil {
				done := *subs[i]
				done.Prepared = p
				subs[i] = &done
			}
			return err
		})
		for i := range subs {
			hashes[i] = b.submit(subs[i])
		}
		for _, hash := range hashes {
			require.True(b, b.placed(hash).success)
		}
	}},
	{name: "a call whose context is done ends with Timeout", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		b.left(sub)
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		_, err := b.finisher().Finish(ctx, sub)
		b.requireKind(err, ffcapi.Timeout)
	}},
}

// together calls fn so many times at once. None may fail.
func (b *bench) together(n int, fn func(int) error) {
	b.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(b, err)
	}
}
