package ffcapitest

import (
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func canReorganise(f *Fixture) bool { return f.Reorganise != nil }

// depthOf is how many blocks from the head a block is, itself included.
func (b *bench) depthOf(r ffcapi.BlockRef) int { return int(b.head().Number-r.Number) + 1 }

var reorganisationPromises = []promise{
	{name: "shows as a block whose number is not above the last one", needs: canReorganise, check: func(b *bench) {
		p := b.placed(b.create(b.Signer(), b.id(0)))
		done := false
		last := ffcapi.BlockRef{}
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, b.start) {
			require.NoError(b, err)
			if done && blk.Number <= last.Number && blk.Hash != last.Hash {
				require.LessOrEqual(b, blk.Number, p.Number, "the consumer has to rewind to the fork")
				break
			}
			if last = blk.BlockRef; !done && blk.Number >= p.Number {
				done = true
				b.Reorganise(b.T, b.depthOf(p.BlockRef), nil)
			}
		}
		after, err := b.Connector.Block(b.ctx, b.Ledger, p.Number)
		require.NoError(b, err)
		require.NotEqual(b, p.Hash, after.Hash)
	}},
	{name: "lets Blocks go on after a block that was replaced", needs: canReorganise, check: func(b *bench) {
		p := b.placed(b.create(b.Signer(), b.id(0)))
		b.Reorganise(b.T, b.depthOf(p.BlockRef), nil)
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, p.BlockRef) {
			require.NoError(b, err)
			require.LessOrEqual(b, blk.Number, p.Number)
			require.NotEqual(b, p.Hash, blk.Hash)
			now, err := b.Connector.Block(b.ctx, b.Ledger, blk.Number)
			require.NoError(b, err)
			require.Equal(b, now.Hash, blk.Hash)
			break
		}
	}},
	{name: "between Blocks and Events makes the old head unavailable", needs: canReorganise, check: func(b *bench) {
		ids, last := b.createSome(4)
		before := b.own(b.session(b.Connector, b.query(b.from(), last, 100)))
		var dropped string
		for i := range before {
			if before[i].Cursor.Block == last.Number {
				dropped = before[i].TxHash
			}
		}
		b.Reorganise(b.T, b.depthOf(last), func(hash string) bool { return hash == dropped })
		b.requireUnavailable(b.query(b.from(), last, 100))
		_, err := b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: dropped})
		b.requireKind(err, ffcapi.NotFound)

		mark := b.placed(b.create(b.Signer(), b.id(100)))
		now := b.own(b.session(b.Connector, b.query(b.from(), mark.BlockRef, 100)))
		require.Len(b, now, len(ids), "one went, one came")
		for i := range now {
			require.NotEqual(b, dropped, now[i].TxHash)
			require.NotEqual(b, last.Hash, now[i].BlockHash)
		}
	}},
	{name: "in the middle of a session ends it", needs: canReorganise, check: func(b *bench) {
		_, last := b.createSome(some)
		pages := 0
		var failed error
		for page, err := range b.Connector.Events(b.ctx, b.query(b.from(), last, 1)) {
			if failed = err; err != nil {
				break
			}
			if pages++; pages == 1 {
				require.LessOrEqual(b, page.Next.Block, last.Number)
				b.Reorganise(b.T, b.depthOf(last), nil)
			}
			// A page of the old chain is allowed only if it says so with the hash of what it read.
			if blk, err := b.Connector.Block(b.ctx, b.Ledger, page.Through.Number); err == nil && blk.Hash == page.Through.Hash {
				require.LessOrEqual(b, page.Next.Block, last.Number, "a page passes a block that was replaced")
			}
		}
		if pages == 1 {
			b.requireKind(failed, ffcapi.Unavailable)
		}
	}},
	{name: "lets what was dropped be sent again", needs: canReorganise, check: func(b *bench) {
		sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
		hash := b.submit(sub)
		p := b.placed(hash)
		b.Reorganise(b.T, b.depthOf(p.BlockRef), func(h string) bool { return h == hash })
		_, err := b.Connector.Query(b.ctx, b.Contract.Read(sub.From, b.id(0)))
		b.requireFinal(err)
		require.Equal(b, hash, b.resubmitted(sub))
		b.requireOnce(hash, b.id(0), b.placed(hash))
	}},
	{name: "survives a restart", needs: func(f *Fixture) bool { return f.Reorganise != nil && f.Reopen != nil }, check: func(b *bench) {
		_, last := b.createSome(4)
		b.Reorganise(b.T, b.depthOf(last), nil)
		head := b.head()
		b.Connector = b.Reopen(b.T)
		blk, err := b.Connector.Block(b.ctx, b.Ledger, head.Number)
		require.NoError(b, err)
		require.Equal(b, head, blk.BlockRef)
		require.Len(b, b.ids(b.session(b.Connector, b.query(b.from(), head, 3))), 4)
	}},
}
