package ffcapitest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// some is how many events a test of paging makes.
const some = 8

var eventPromises = []promise{
	{name: "come in chain order and belong to their blocks", check: func(b *bench) {
		ids, last := b.createSome(some)
		events := b.own(b.session(b.Connector, b.query(b.from(), last, 100)))
		require.ElementsMatch(b, ids, b.ids(events))
		for i := range events {
			ev := &events[i]
			blk, err := b.Connector.Block(b.ctx, b.Ledger, ev.Cursor.Block)
			require.NoError(b, err)
			require.Equal(b, blk.Hash, ev.BlockHash)
			p := b.placed(ev.TxHash)
			require.Equal(b, p.Number, ev.Cursor.Block)
			require.Equal(b, p.index, ev.Cursor.Tx)
		}
	}},
	{name: "are the same from every position", check: func(b *bench) {
		_, last := b.createSome(some)
		all := b.session(b.Connector, b.query(b.from(), last, 100))
		for i := range all {
			require.Equal(b, all[i:], b.session(b.Connector, b.query(all[i].Cursor, last, 100)), "from the position of event %d", i)
			rest := b.session(b.Connector, b.query(all[i].Cursor.Next(), last, 100))
			require.Equal(b, cursors(all[i+1:]), cursors(rest), "from the position after event %d", i)
		}
	}},
	{name: "are the same in pages of any size", check: func(b *bench) {
		_, last := b.createSome(some)
		all := b.session(b.Connector, b.query(b.from(), last, 100))
		for _, most := range []int{1, 2, 3, some - 1, some} {
			require.Equal(b, all, b.session(b.Connector, b.query(b.from(), last, most)), "pages of %d", most)
		}
	}},
	{name: "can be read on from the end of every page", check: func(b *bench) {
		_, last := b.createSome(some)
		want := cursors(b.session(b.Connector, b.query(b.from(), last, 100)))
		got := []ffcapi.Cursor{}
		for pos := b.from(); pos.Block <= last.Number; {
			for page, err := range b.Connector.Events(b.ctx, b.query(pos, last, 1)) {
				require.NoError(b, err)
				got = append(got, cursors(page.Events)...)
				require.True(b, pos.Before(page.Next))
				pos = page.Next
				break
			}
		}
		require.Equal(b, want, got)
	}},
	{name: "end with Upto", check: func(b *bench) {
		ids := []string{b.id(0), b.id(1), b.id(2)}
		var at []ffcapi.BlockRef
		for _, id := range ids {
			at = append(at, b.placed(b.create(b.Signer(), id)).BlockRef)
		}
		for i := range ids {
			require.Equal(b, ids[:i+1], b.ids(b.session(b.Connector, b.query(b.from(), at[i], 10))))
		}
		past := b.query(ffcapi.BlockStart(at[0].Number+1), at[0], 10)
		for page, err := range b.Connector.Events(b.ctx, past) {
			require.NoError(b, err)
			require.Nil(b, page, "there is nothing between a position and a block before it")
		}
	}},
	{name: "name all listeners that they match", check: func(b *bench) {
		_, last := b.createSome(4)
		q := b.query(b.from(), last, 3)
		filter, other := q.Listeners[0], b.listener("earliest", b.Contract.Other)
		either := b.listener("earliest", b.Contract.Other, b.Contract.Filter)
		q.Listeners = []*ffcapi.Listener{filter, other, filter, either}
		for _, ev := range b.own(b.session(b.Connector, q)) {
			require.Equal(b, []int{0, 2, 3}, ev.Matches)
		}
		q.Listeners = []*ffcapi.Listener{other}
		require.Empty(b, b.ids(b.session(b.Connector, q)))
	}},
	{name: "move on when nothing matches", check: func(b *bench) {
		_, last := b.createSome(4)
		q := b.query(b.from(), last, 1)
		q.Listeners = []*ffcapi.Listener{b.listener("earliest", b.Contract.Other)}
		require.Empty(b, b.own(b.session(b.Connector, q))) // session checks that Next passes Upto
	}},
	{name: "are not read past a block that the node does not hold", check: func(b *bench) {
		_, last := b.createSome(2)
		other := last
		other.Hash = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '8' {
				return r + 1
			}
			return r
		}, last.Hash)
		require.NotEqual(b, last.Hash, other.Hash)
		b.requireUnavailable(b.query(b.from(), other, 10))
		above := ffcapi.BlockRef{Number: last.Number + 1_000_000, Hash: last.Hash}
		b.requireUnavailable(b.query(b.from(), above, 10))
	}},
	{name: "a node that lags is unavailable, not short", needs: func(f *Fixture) bool { return f.Lag != nil }, check: func(b *bench) {
		b.placed(b.create(b.Signer(), b.id(0)))
		second := b.create(b.Signer(), b.id(1))
		p := b.placed(second)
		b.Lag(b.T, uint64(b.depthOf(p.BlockRef))+2) // more than needed: the chain may grow meanwhile
		require.Less(b, b.head().Number, p.Number)
		b.requireUnavailable(b.query(b.from(), p.BlockRef, 1))
		_, err := b.Connector.Block(b.ctx, b.Ledger, p.Number)
		b.requireKind(err, ffcapi.NotFound)
		_, err = b.Connector.Receipt(b.ctx, &ffcapi.ReceiptQuery{Ledger: b.Ledger, Hash: second})
		b.requireKind(err, ffcapi.NotFound)
		b.Lag(b.T, 0)
		require.Equal(b, []string{b.id(0), b.id(1)}, b.ids(b.session(b.Connector, b.query(b.from(), p.BlockRef, 1))))
	}},
	{name: "a node that falls back in the middle of a session is unavailable", needs: func(f *Fixture) bool { return f.Lag != nil }, check: func(b *bench) {
		_, last := b.createSome(some)
		q := b.query(b.from(), last, 1)
		var failed error
		pages := 0
		for page, err := range b.Connector.Events(b.ctx, q) {
			if failed = err; err != nil {
				break
			}
			if pages++; pages == 1 {
				b.Lag(b.T, uint64(b.depthOf(last))+2)
			}
			if page.Next.Block > q.Upto.Number {
				break
			}
		}
		if pages == 1 {
			b.requireKind(failed, ffcapi.Unavailable)
		} else { // the connector had read ahead, from when the node still held Upto
			require.True(b, failed == nil || ffcapi.KindOf(failed) == ffcapi.Unavailable)
		}
	}},
	{name: "there is nothing before block 0", check: func(b *bench) {
		for page, err := range b.Connector.Events(b.ctx, b.query(ffcapi.Cursor{}, ffcapi.BlockRef{}, 1)) {
			require.NoError(b, err)
			require.Nil(b, page)
		}
	}},
}
