package fabric

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
)

// eventTx is a transaction with an event.
func eventTx(id string) testTx {
	return testTx{id: id, time: noon, event: &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "E", Payload: []byte(`{"id":"` + id + `"}`)}}
}

// followed is a sequence of Blocks that is read in the background.
type followed struct {
	blocks chan *ffcapi.Block
	ended  chan error
}

func followBlocks(t *testing.T, c *Connector, channel string, after ffcapi.BlockRef) *followed {
	t.Helper()
	f := &followed{blocks: make(chan *ffcapi.Block, 10_000), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for b, err := range c.Blocks(ctx, channel, after) {
			if err != nil {
				f.ended <- err
				return
			}
			f.blocks <- b
		}
		f.ended <- nil
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return f
}

// next returns the next block, and fails when the sequence ends.
func (f *followed) next(t *testing.T) *ffcapi.Block {
	t.Helper()
	select {
	case b := <-f.blocks:
		return b
	case err := <-f.ended:
		require.NoError(t, err, "the sequence ended")
	case <-time.After(time.Minute):
		require.Fail(t, "no block comes")
	}
	return nil
}

// until reads up to a block, and checks that none is missing, and none there twice but the newest as a sign of life.
func (f *followed) until(t *testing.T, last, number uint64) uint64 {
	t.Helper()
	for last < number {
		b := f.next(t)
		if b.Number == last {
			continue
		}
		require.Equal(t, last+1, b.Number, "in order, without a gap")
		last = b.Number
	}
	return last
}

// end waits until the sequence ends, with an error.
func (f *followed) end(t *testing.T, kind ffcapi.Kind, text string) {
	t.Helper()
	select {
	case err := <-f.ended:
		requireKind(t, err, kind, text)
	case <-time.After(time.Minute):
		require.Fail(t, "the sequence goes on")
	}
}

func TestTailIsSharedByAll(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 3 {
		f.mine()
	}
	followers := []*followed{}
	for range 20 {
		followers = append(followers, followBlocks(t, c, "ch1", f.ref(3)))
	}
	f.mine(eventTx("first"))
	for _, one := range followers {
		one.until(t, 3, 4)
	}
	streams, opened, sent := f.counts()
	require.Equal(t, 1, streams, "one stream for all who follow")

	f.mine(eventTx("a"), eventTx("b"))
	f.mine(eventTx("c"))
	for _, one := range followers {
		one.until(t, 4, 6)
	}
	const sessions = 1000
	upto := f.ref(6)
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(t, err)
	all := make([][]ffcapi.Event, sessions)
	errs := make([]error, sessions)
	var readers sync.WaitGroup
	for i := range sessions {
		readers.Go(func() {
			q := &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: ffcapi.BlockStart(5), Upto: upto}
			for p, err := range c.Events(t.Context(), q) {
				if errs[i] = err; err == nil {
					all[i] = append(all[i], p.Events...)
				}
			}
		})
	}
	readers.Wait()
	for i := range sessions {
		require.NoError(t, errs[i])
		require.Len(t, all[i], 3)
		for at := range all[i] {
			require.Same(t, &all[0][at].Data[0], &all[i][at].Data[0], "the JSON of an event is made once for all")
		}
	}
	_, openedAfter, sentAfter := f.counts()
	require.Equal(t, opened, openedAfter, "no reader asks the peer")
	require.Equal(t, sent+2, sentAfter, "each block is received, and decoded, once")
}

func TestCatchUpJoinsTheTail(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{"wide": tailBytes, "narrow": 3000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakePeer(t)
			c := connect(t, f)
			c.tails.of(c, "ch1").ring.limit = limit // narrow: who is slow falls out again and again
			for range 200 {
				f.mine(eventTx("x"))
			}
			head := followBlocks(t, c, "ch1", f.ref(200))
			late := followBlocks(t, c, "ch1", ffcapi.BlockRef{})
			require.EqualValues(t, 0, late.next(t).Number)
			var miner sync.WaitGroup
			miner.Go(func() {
				for i := range 200 {
					f.mine(eventTx(fmt.Sprint("new-", i)))
				}
			})
			late.until(t, 0, 400)
			head.until(t, 200, 400)
			miner.Wait()
			pages, err := readEvents(t, c, ffcapi.Cursor{}, f.ref(400), 7)
			require.NoError(t, err)
			next := uint64(1)
			for _, p := range pages {
				for _, ev := range p.Events {
					require.Equal(t, next, ev.Cursor.Block)
					next++
				}
			}
			require.EqualValues(t, 401, next)
			f.mine()
			late.until(t, 400, 401)
			head.until(t, 400, 401)
			require.Eventually(t, func() bool { streams, _, _ := f.counts(); return streams == 1 }, time.Minute, time.Millisecond,
				"who has caught up is on the shared stream")
		})
	}
}

// shareChain lets fakes have the same blocks, but for what is mined at one of them later.
func shareChain(from *fakePeer, to ...*fakePeer) {
	from.mu.Lock()
	blocks := from.blocks[:len(from.blocks):len(from.blocks)]
	from.mu.Unlock()
	for _, f := range to {
		f.set(func() { f.blocks = blocks })
	}
}

func TestTailGoesOnAtTheNextPeer(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(*fakePeer){
		"dead":   func(f *fakePeer) { f.stop() },
		"frozen": func(f *fakePeer) { f.set(func() { f.frozen = true }) },
		"mute":   func(f *fakePeer) { f.set(func() { f.mute = true }); f.mine() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newFakePeer(t), newFakePeer(t)
			c := connect(t, a, b)
			c.SetQuiet(time.Second)
			a.mine()
			a.mine()
			shareChain(a, b)
			one, other := followBlocks(t, c, "ch1", ffcapi.BlockRef{}), followBlocks(t, c, "ch1", a.ref(1))
			require.EqualValues(t, 0, one.next(t).Number)
			one.until(t, 0, 2)
			other.until(t, 1, 2)
			strike(a)
			b.mine()
			b.mine()
			one.until(t, 2, 4)
			other.until(t, 2, 4)
			_, _, sent := b.counts()
			require.Equal(t, 2, sent, "the new peer is asked for the very next block")
		})
	}
}

// What the tail holds serves a session only if Upto is in it with its very hash.
func TestSessionForAnotherBlockThanTheTails(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 3 {
		f.mine(eventTx("x"))
	}
	one := followBlocks(t, c, "ch1", f.ref(2))
	one.until(t, 2, 3)
	f.mine(eventTx("x"))
	f.mine(eventTx("x"))
	one.until(t, 3, 5)
	for _, from := range []uint64{4, 5} {
		pages, err := readEvents(t, c, ffcapi.BlockStart(from), ffcapi.BlockRef{Number: 5, Hash: "another"}, 1)
		requireKind(t, err, ffcapi.Unavailable, "has another block 5 of ch1")
		require.Empty(t, pages, "not even of the blocks before it")
	}
}

func TestTailTellsWhenNoPeerIsLeft(t *testing.T) {
	t.Parallel()
	a, b := newFakePeer(t), newFakePeer(t)
	shareChain(a, b)
	c := connect(t, a, b)
	one := followBlocks(t, c, "ch1", a.ref(0))
	a.mine()
	one.until(t, 0, 1)
	b.stop()
	a.stop()
	one.end(t, ffcapi.Unavailable, "")
	_, err := readBlocks(t.Context(), c, a.ref(1), 1) // older ones may still be known
	requireKind(t, err, ffcapi.Unavailable, "")
}

// The block that does not fit ends the sequence. Who asks again is shown it, and the core's view of the chain calls that broken.
func TestBrokenChainRaisesTheAlarm(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	f.mine()
	one := followBlocks(t, c, "ch1", f.ref(0))
	one.until(t, 0, 1)
	view := chainview.New(chainview.Config{Instant: true}, f.ref(1))
	f.set(func() {
		f.tamper = func(b *common.Block) *common.Block {
			if b.GetHeader().GetNumber() == 2 {
				b.Header.PreviousHash = []byte("another")
			}
			return b
		}
	})
	f.mine()
	f.mine()
	one.end(t, ffcapi.Internal, "which does not fit block 1")
	require.Eventually(t, func() bool { // as soon as the tail tries again
		for b, err := range c.Blocks(t.Context(), "ch1", f.ref(1)) {
			if err != nil {
				return false
			}
			if broken, ok := view.Step(b).(chainview.Broken); ok {
				require.Contains(t, broken.Reason, hex.EncodeToString([]byte("another")))
				return true
			}
			require.LessOrEqual(t, b.Number, uint64(2), "nothing is read beyond it")
		}
		return false
	}, time.Minute, 10*time.Millisecond)
}

// A peer with other blocks in place of those known does not go unnoticed when the stream moves there.
func TestTailMovesToAnotherChain(t *testing.T) {
	t.Parallel()
	a, b := newFakePeer(t), newFakePeer(t)
	shareChain(a, b)
	a.mine()
	b.mine()
	b.mine()
	c := connect(t, a, b)
	one := followBlocks(t, c, "ch1", a.ref(0))
	one.until(t, 0, 1)
	a.stop()
	one.end(t, ffcapi.Internal, "does not fit block 1")
	known := a.ref(1)
	require.Eventually(t, func() bool {
		for blk, err := range c.Blocks(t.Context(), "ch1", known) {
			if err != nil {
				return false
			}
			require.Equal(t, b.ref(1), blk.BlockRef, "the block in place of the known one is shown")
			return true
		}
		return false
	}, time.Minute, 10*time.Millisecond)
}

func TestChannelsHaveTailsOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.second = []*common.Block{makeBlock(nil, testTx{id: "genesis of ch2", time: noon}), nil}
	f.second[1] = makeBlock(f.second[0], eventTx("on ch2"))
	c := connect(t, f)
	c.cfg.Channels = []string{"ch1", "ch2"}
	f.mine(eventTx("on ch1"))
	one, two := followBlocks(t, c, "ch1", ffcapi.BlockRef{}), followBlocks(t, c, "ch2", ffcapi.BlockRef{})
	require.EqualValues(t, 0, one.next(t).Number)
	require.EqualValues(t, 0, two.next(t).Number)
	require.Equal(t, "on ch1", one.next(t).Transactions[0].Hash)
	require.Equal(t, "on ch2", two.next(t).Transactions[0].Hash)
	require.Eventually(t, func() bool { streams, _, _ := f.counts(); return streams == 2 }, time.Minute, time.Millisecond)
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"channel":"ch2","chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(t, err)
	upto := ffcapi.BlockRef{Number: 1, Hash: hex.EncodeToString(hashOf(f.second[1].GetHeader()))}
	for p, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch2", Listeners: []*ffcapi.Listener{l}, Upto: upto}) {
		require.NoError(t, err)
		require.Len(t, p.Events, 1)
		require.Equal(t, "ch2/assets", p.Events[0].Address)
	}
}

func TestTailSleepsWhenNobodyFollows(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	_, err := readBlocks(t.Context(), c, ffcapi.BlockRef{}, 1)
	require.NoError(t, err)
	streams, _, _ := f.counts()
	require.Equal(t, 1, streams, "it goes on for a while")
	tail := c.tails.of(c, "ch1")
	tail.sleep()
	require.Eventually(t, func() bool { streams, _, _ := f.counts(); return streams == 0 }, time.Minute, time.Millisecond)
	require.Nil(t, tail.at(0), "and keeps nothing in memory")
	one := followBlocks(t, c, "ch1", ffcapi.BlockRef{})
	require.EqualValues(t, 0, one.next(t).Number)
	tail.sleep()
	f.mine()
	one.until(t, 0, 1)
}

func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	r := ring{limit: 10_000}
	last := &block{}
	r.push(last)
	push := func(size int) {
		next := &block{BlockRef: ffcapi.BlockRef{Number: last.Number + 1, Hash: fmt.Sprint(last.Number + 1)}, parent: last.Hash, size: size}
		require.True(t, r.follows(next))
		r.push(next)
		last = next
	}
	for range 3 * ringBlocks {
		push(1)
		require.LessOrEqual(t, len(r.blocks), ringBlocks)
	}
	require.Equal(t, ringBlocks, r.size)
	for range 100 {
		push(999)
		require.LessOrEqual(t, r.size, r.limit)
	}
	require.Len(t, r.blocks, 10)
	require.Equal(t, last.BlockRef, r.at(last.Number).BlockRef)
	require.Equal(t, last.Number-9, r.at(last.Number-9).Number)
	require.Nil(t, r.at(last.Number-10))
	require.Nil(t, r.at(last.Number+1))
	push(1_000_000)
	require.Len(t, r.blocks, 1, "the newest is kept, however large")
	require.False(t, r.follows(&block{BlockRef: ffcapi.BlockRef{Number: last.Number + 1}, parent: "another"}))
	require.False(t, r.follows(&block{BlockRef: ffcapi.BlockRef{Number: last.Number + 2}, parent: last.Hash}))
}
