package ffcapitest

import (
	"runtime"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// breaks is how often an iterator is broken off to see whether that leaks.
const breaks = 200

var blockPromises = []promise{
	{name: "begin at block 0 and have no gap", check: func(b *bench) {
		_, last := b.createSome(4)
		var prev *ffcapi.Block
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, ffcapi.BlockRef{}) {
			require.NoError(b, err)
			b.checkBlock(prev, blk)
			prev = blk
			if blk.Number == last.Number {
				break
			}
		}
		require.Equal(b, last, prev.BlockRef)
	}},
	{name: "begin after a block and do not repeat it", check: func(b *bench) {
		_, last := b.createSome(4)
		after, err := b.Connector.Block(b.ctx, b.Ledger, b.start.Number)
		require.NoError(b, err)
		prev := after
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, after.BlockRef) {
			require.NoError(b, err)
			b.checkBlock(prev, blk)
			prev = blk
			if blk.Number == last.Number {
				break
			}
		}
	}},
	{name: "agree with Block", check: func(b *bench) {
		_, last := b.createSome(2)
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, b.start) {
			require.NoError(b, err)
			one, err := b.Connector.Block(b.ctx, b.Ledger, blk.Number)
			require.NoError(b, err)
			require.Equal(b, blk, one)
			if blk.Number == last.Number {
				break
			}
		}
	}},
	{name: "follow the head", check: func(b *bench) {
		hash := make(chan string, 1)
		began := false
		for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, ffcapi.BlockRef{}) {
			require.NoError(b, err)
			if !began && blk.Number >= b.start.Number { // the sequence has caught up: from here on it waits
				began = true
				sub := b.submission(b.Contract.Create(b.Signer(), b.id(0)))
				go func() {
					s, err := b.Connector.Submit(b.ctx, sub)
					if err == nil {
						hash <- s.Hash
					}
					close(hash)
				}()
				continue
			}
			if began && len(blk.Transactions) > 0 {
				break
			}
		}
		want, ok := <-hash
		require.True(b, ok, "Submit failed")
		require.True(b, b.placed(want).success)
	}},
	{name: "hold each transaction once, with its outcome", check: func(b *bench) {
		signer := b.Signer()
		sub := b.submission(b.Contract.Create(signer, b.id(0)))
		hash := b.submit(sub)
		p := b.placed(hash)
		found := b.listed(hash, p.BlockRef)
		require.Len(b, found, 1)
		if b.features.OutcomesInBlocks {
			require.True(b, found[0].Success)
			require.Empty(b, found[0].Reason)
		}
		if b.features.Sequenced {
			require.Equal(b, sub.Nonce, found[0].Nonce)
			require.Equal(b, signer, found[0].From)
		}
	}},
	{name: "leak nothing when the consumer breaks", check: func(b *bench) {
		b.createSome(2)
		before := runtime.NumGoroutine()
		for range breaks {
			for _, err := range b.Connector.Blocks(b.ctx, b.Ledger, ffcapi.BlockRef{}) {
				require.NoError(b, err)
				break
			}
			for _, err := range b.Connector.Events(b.ctx, b.query(ffcapi.Cursor{}, b.start, 1)) {
				require.NoError(b, err)
				break
			}
		}
		require.Eventually(b, func() bool { return runtime.NumGoroutine() < before+breaks/2 }, soon, pollEvery)
	}},
	{name: "end at the head", check: func(b *bench) {
		_, err := b.Connector.Block(b.ctx, b.Ledger, b.head().Number+1_000_000)
		b.requireKind(err, ffcapi.NotFound)
	}},
	{name: "may be followed many times at once", check: func(b *bench) {
		_, last := b.createSome(4)
		const followers = 8
		seen := make(chan []ffcapi.BlockRef, followers)
		for range followers {
			go func() {
				var refs []ffcapi.BlockRef
				for blk, err := range b.Connector.Blocks(b.ctx, b.Ledger, b.start) {
					if err != nil {
						break
					}
					refs = append(refs, blk.BlockRef)
					if blk.Number >= last.Number {
						break
					}
				}
				seen <- refs
			}()
		}
		first := <-seen
		require.NotEmpty(b, first)
		for range followers - 1 {
			require.Equal(b, first, <-seen)
		}
	}},
}

// checkBlock checks a block against the one before it, nil for none.
func (b *bench) checkBlock(prev, blk *ffcapi.Block) {
	b.Helper()
	require.NotEmpty(b, blk.Hash)
	require.Equal(b, b.features.OutcomesInBlocks, blk.Outcomes)
	require.False(b, blk.Timestamp.After(time.Now().Add(time.Hour)), "the block is from the future: %s", blk.Timestamp)
	if prev == nil {
		require.Zero(b, blk.Number)
		require.Empty(b, blk.ParentHash)
		return
	}
	require.Equal(b, prev.Number+1, blk.Number)
	require.Equal(b, prev.Hash, blk.ParentHash)
	for i, tx := range blk.Transactions {
		require.NotEmpty(b, tx.Hash)
		if !blk.Outcomes {
			require.False(b, tx.Success || tx.Retryable || tx.Reason != "" || tx.Result != nil, "an outcome that does not count")
		}
		if i > 0 {
			require.Greater(b, tx.Index, blk.Transactions[i-1].Index)
		}
	}
}
