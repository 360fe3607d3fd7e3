package ffcapitest

import (
	"encoding/json"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

var preparePromises = []promise{
	{name: "has no effect", check: func(b *bench) {
		signer := b.Signer()
		p := b.prepare(b.Contract.Create(signer, b.id(0)))
		mark := b.placed(b.create(b.Signer(), b.id(1))) // whatever the preparation did would be on the chain by now
		_, err := b.Connector.Query(b.ctx, b.Contract.Read(signer, b.id(0)))
		b.requireFinal(err)
		if p.Hash != "" {
			_, err = b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: p.Hash})
			b.requireKind(err, ffcapi.NotFound)
		}
		events := b.session(b.Connector, b.query(b.from(), mark.BlockRef, 10))
		require.Equal(b, []string{b.id(1)}, b.ids(events))
	}},
	{name: "makes a new transaction each time", check: func(b *bench) {
		if !b.features.HashAtPrepare {
			b.Skip("the hash is known later")
		}
		req := b.Contract.Create(b.Signer(), b.id(0))
		first, second := b.prepare(req), b.prepare(req)
		require.NotEqual(b, first.Hash, second.Hash)
	}},
	{name: "refuses what the contract refuses", check: func(b *bench) {
		if !b.features.Simulates {
			b.Skip("Prepare does not simulate")
		}
		_, err := b.Connector.Prepare(b.ctx, b.Contract.Refused(b.Signer()))
		b.requireKind(err, ffcapi.Reverted, ffcapi.Endorsement)
		signer := b.Signer()
		b.placed(b.create(signer, b.id(0)))
		_, err = b.Connector.Prepare(b.ctx, b.Contract.Create(signer, b.id(0)))
		b.requireKind(err, ffcapi.Reverted, ffcapi.Endorsement)
	}},
	{name: "refuses a wrong request and names the field", check: func(b *bench) {
		for field, spoil := range map[string]func(*ffcapi.Request){
			"from":    func(r *ffcapi.Request) { r.From = "" },
			"options": func(r *ffcapi.Request) { r.Options = json.RawMessage(`{"noSuchOption":1}`) },
			"to":      func(r *ffcapi.Request) { r.To = "" },
			"method":  func(r *ffcapi.Request) { r.Method = json.RawMessage(`{"x":1}`) },
		} {
			req := b.Contract.Create(b.Signer(), b.id(0))
			spoil(req)
			_, err := b.Connector.Prepare(b.ctx, req)
			e := b.errorOf(err, ffcapi.InvalidInput)
			require.Contains(b, e.Error(), field)
		}
		req := b.Contract.Create(b.Signer(), b.id(0))
		req.Method = json.RawMessage(`"noSuchMethod"`)
		_, err := b.Connector.Prepare(b.ctx, req)
		if b.features.Simulates {
			b.requireFinal(err)
		}
	}},
}

var submitPromises = []promise{
	{name: "one payload sent three times has one effect", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		require.Equal(b, hash, b.resubmitted(sub))
		p := b.placed(hash)
		require.Equal(b, hash, b.resubmitted(sub))
		b.requireOnce(hash, b.id(0), p)
	}},
	{name: "one payload sent at once from many sides has one effect", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		const senders = 8
		hashes := make([]string, senders)
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				s, err := b.Connector.Submit(b.ctx, sub)
				switch {
				case err == nil:
					hashes[i] = s.Hash
				case ffcapi.KindOf(err) == ffcapi.KnownTransaction, b.features.SimulatesLate && ffcapi.AsError(err).Sent == ffcapi.SentNo:
					hashes[i] = ffcapi.AsError(err).Hash // refused because of what another one did
				}
			})
		}
		wg.Wait()
		for _, h := range hashes {
			require.Equal(b, hashes[0], h)
			require.NotEmpty(b, h)
		}
		b.requireOnce(hashes[0], b.id(0), b.placed(hashes[0]))
	}},
	{name: "the first occurrence counts", needs: func(f *Fixture) bool { return f.DuplicateNext != nil }, check: func(b *bench) {
		b.DuplicateNext(b.T)
		hash := b.create(b.Signer(), b.id(0))
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "a lost answer loses nothing else", needs: func(f *Fixture) bool { return f.LoseAnswer != nil }, check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		b.LoseAnswer(b.T)
		_, err := b.Connector.Submit(b.ctx, sub)
		e := b.errorOf(err, ffcapi.Timeout, ffcapi.Unavailable)
		require.NotEqual(b, ffcapi.SentNo, e.Sent, "bytes have left")
		hash := b.resubmitted(sub)
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "what the node forgot can be sent again", needs: func(f *Fixture) bool { return f.DropPool != nil && f.Pause != nil }, check: func(b *bench) {
		resume := b.Pause(b.T)
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		b.DropPool(b.T)
		require.Equal(b, hash, b.submit(sub))
		resume()
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "who loses a race fails in a block", check: func(b *bench) {
		if b.features.SimulatesLate {
			b.Skip("Submit may refuse it")
		}
		first := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		second := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		if b.features.Sequenced && first.From == second.From {
			b.Skip("there is one signer only")
		}
		b.race(first, second)
	}},
	{name: "refuses what is no payload, and nothing leaves", check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		bad := *sub.Prepared
		bad.Payload = []byte("this is not a payload")
		sub.Prepared = &bad
		_, err := b.Connector.Submit(b.ctx, sub)
		require.Equal(b, ffcapi.SentNo, b.errorOf(err, ffcapi.InvalidInput, ffcapi.Internal).Sent)
	}},
	{name: "many at once are all on the chain", check: func(b *bench) {
		const senders, each = 8, 5
		hashes := make([][]string, senders)
		var wg sync.WaitGroup
		for s := range senders {
			signer := b.Signer()
			var subs []*ffcapi.Submission
			for i := range each {
				sub := b.submission(b.Contract.Create(signer, b.id(s*each+i)))
				if sub.Nonce != nil {
					n := *sub.Nonce + uint64(i)
					sub.Nonce = &n
				}
				subs = append(subs, sub)
			}
			wg.Go(func() {
				for _, sub := range subs {
					if got, err := b.Connector.Submit(b.ctx, sub); err == nil {
						hashes[s] = append(hashes[s], got.Hash)
					}
				}
			})
		}
		wg.Wait()
		var last place
		for _, hs := range hashes {
			require.Len(b, hs, each)
			for _, h := range hs {
				p := b.placed(h)
				require.True(b, p.success)
				if last.IsZero() || p.Number > last.Number {
					last = p
				}
			}
		}
		require.Len(b, b.ids(b.session(b.Connector, b.query(b.from(), last.BlockRef, 7))), senders*each)
	}},
}

// race sends two creates of one id, of which one must win, and checks how the other one fails.
func (b *bench) race(first, second *ffcapi.Submission) {
	b.Helper()
	one, two := b.submit(first), b.submit(second)
	p, q := b.placed(one), b.placed(two)
	require.NotEqual(b, p.success, q.success, "one of two must win")
	lost, hash := p, one
	if p.success {
		lost, hash = q, two
	}
	require.NotEmpty(b, lost.reason)
	found := b.listed(hash, lost.BlockRef)
	require.Len(b, found, 1)
	if b.features.OutcomesInBlocks {
		require.False(b, found[0].Success)
		require.Equal(b, lost.reason, found[0].Reason)
		require.Equal(b, lost.retryable, found[0].Retryable)
	}
	upto := p.BlockRef
	if q.Number > p.Number {
		upto = q.BlockRef
	}
	require.Equal(b, []string{b.id(0)}, b.ids(b.session(b.Connector, b.query(b.from(), upto, 10))))
}

// requireOnce checks that a create succeeded and is on the chain once: in the blocks, as an event and for a query. A transaction
// that comes later makes sure that a second occurrence would be on the chain, too.
func (b *bench) requireOnce(hash, id string, p place) {
	b.Helper()
	mark := b.placed(b.create(b.Signer(), b.id(900)))
	require.True(b, p.success, p.reason)
	require.Len(b, b.listed(hash, mark.BlockRef), 1)
	again := b.placed(hash)
	require.Equal(b, p, again, "the outcome changed")
	require.Equal(b, []string{id, b.id(900)}, b.ids(b.session(b.Connector, b.query(b.from(), mark.BlockRef, 10))))
}
