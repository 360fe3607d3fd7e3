package fabric

import (
	"context"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/retry"
)

// pair is a connector to two peers with one chain, of which the first is asked.
func pair(t *testing.T, blocks int) (c *Connector, a, b *fakePeer) {
	t.Helper()
	a, b = newFakePeer(t), newFakePeer(t)
	for range blocks {
		a.mine()
	}
	shareChain(a, b)
	c = connect(t, a, b)
	c.SetQuiet(100 * time.Millisecond)
	return c, a, b
}

// A peer that is cut off from the orderers answers everything, and says for ever that there is nothing new.
func TestTailLeavesAPeerThatGetsNoBlocks(t *testing.T) {
	t.Parallel()
	a, alike, b := newFakePeer(t), newFakePeer(t), newFakePeer(t)
	a.mine()
	shareChain(a, alike, b)
	c := connect(t, a, alike, b)
	c.SetQuiet(100 * time.Millisecond)
	one := followBlocks(t, c, "ch1", a.ref(0))
	require.EqualValues(t, 1, one.next(t).Number)
	for range 5 {
		b.mine() // alike is cut off as well, and no witness that all is well
	}
	one.until(t, 1, 6)
}

// A peer that answers, but delivers nothing, is left for one that does.
func TestCatchUpLeavesAMutePeer(t *testing.T) {
	t.Parallel()
	c, a, _ := pair(t, 5)
	a.set(func() { a.mute = true })
	_, err := readEvents(t, c, ffcapi.Cursor{}, a.ref(3), 0) // upto is not the head: it is looked at
	if err != nil {
		requireKind(t, err, ffcapi.Unavailable, "deliver")
		_, err = readEvents(t, c, ffcapi.Cursor{}, a.ref(3), 0)
	}
	require.NoError(t, err)
}

func TestTailTellsWhenAllPeersAreMute(t *testing.T) {
	t.Parallel()
	c, a, b := pair(t, 1)
	one := followBlocks(t, c, "ch1", a.ref(0))
	require.EqualValues(t, 1, one.next(t).Number)
	for _, f := range []*fakePeer{a, b} {
		f.set(func() { f.mute = true })
	}
	a.mine()
	b.set(func() { b.blocks = a.blocks })
	require.Eventually(t, func() bool {
		select {
		case err := <-one.ended:
			requireKind(t, err, ffcapi.Unavailable, "has block 2 of ch1 and does not deliver it")
			return true
		default:
			return false
		}
	}, time.Minute, time.Millisecond, "nobody is told")
}

// What one peer delivers may make no sense while another one is well.
func TestTailLeavesAPeerWhoseBlocksMakeNoSense(t *testing.T) {
	t.Parallel()
	c, a, b := pair(t, 1)
	one := followBlocks(t, c, "ch1", a.ref(0))
	require.EqualValues(t, 1, one.next(t).Number)
	a.set(func() {
		a.tamper = func(*common.Block) *common.Block { return &common.Block{} }
	})
	a.mine()
	b.set(func() { b.blocks = a.blocks })
	one.until(t, 1, 2)
}

// The stream of somebody whose certificate expires would be ended: it is opened anew as soon as there is another one.
func TestTailGoesOnWithARenewedIdentity(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.mine()
	c := connect(t, f)
	c.SetQuiet(100 * time.Millisecond)
	one := followBlocks(t, c, "ch1", f.ref(0))
	require.EqualValues(t, 1, one.next(t).Number)
	_, before, _ := f.counts()
	makeIdentity(t, f.wallet, "user1", "")
	require.Eventually(t, func() bool {
		streams, opened, _ := f.counts()
		return opened > before && streams == 1
	}, time.Minute, time.Millisecond, "the stream is still that of the old certificate")
	f.mine()
	one.until(t, 1, 2)
}

// What a peer says about its newest block counts only once all is known that it had when its stream began: until then it may seem to be behind.
func TestAPeerCountsWhenAllItHadIsKnown(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	for range 4 {
		f.mine()
	}
	c := connect(t, f)
	tail := &tail{c: c, channel: "ch1", changed: make(chan struct{}), again: make(chan struct{}, 1), fault: errSilent}
	tail.ring.limit = tailBytes
	decoded := func(number int) *block {
		b, err := decodeBlock(marshal(f.blocks[number]))
		require.NoError(t, err)
		return b
	}
	left := 0
	n := c.peers.nodes[0]
	r := &standing{t: tail, n: n, leave: func() { left++ }, head: 3}
	woken := func(do func()) bool {
		before := tail.changed
		do()
		select {
		case <-before:
			return true
		default:
			return false
		}
	}
	require.False(t, woken(func() { r.show(t.Context()) }), "nothing is known yet")
	require.ErrorIs(t, tail.fault, errSilent)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, woken(func() { require.ErrorIs(t, r.take(over, decoded(2)), context.Canceled) }), "whose time is over changes nothing")
	require.Nil(t, tail.ring.newest())

	require.True(t, woken(func() { require.NoError(t, r.take(t.Context(), decoded(2))) }))
	require.NoError(t, tail.fault, "somebody delivers")
	require.False(t, tail.lived.IsZero())
	require.Nil(t, tail.node, "it has block 3 as well")
	require.False(t, woken(func() { tail.shun(n) }), "nobody is given up for what is still to come")
	require.Zero(t, left)
	require.True(t, woken(func() { r.show(t.Context()) }))
	require.Nil(t, tail.node)

	require.NoError(t, r.take(t.Context(), decoded(3)))
	require.Same(t, n, tail.node)
	require.Same(t, n, tail.source(f.ref(3)))
	require.Nil(t, tail.source(ffcapi.BlockRef{Number: 3, Hash: "another"}))
	require.ErrorIs(t, r.take(t.Context(), decoded(2)), errForked)

	tail.node, tail.leave = nil, nil
	require.False(t, woken(func() { r.show(over) }))
	require.Nil(t, tail.node)
	require.True(t, woken(func() { r.show(t.Context()) }), "the peer has no block beyond the newest known")
	require.Same(t, n, tail.node)
	tail.shun(nil)
	require.Zero(t, left)
	tail.shun(n)
	require.Equal(t, 1, left)
	require.Nil(t, tail.node)
}

// A reader who knows a newer block than the peer of the tail has that peer left, and then gets what is new.
func TestTailLeavesAPeerThatIsBehindAReader(t *testing.T) {
	t.Parallel()
	c, a, b := pair(t, 5)
	a.set(func() { a.lag = 3 })
	require.Eventually(t, func() bool {
		for got, err := range c.Blocks(t.Context(), "ch1", b.ref(5)) {
			if err != nil {
				requireKind(t, err, ffcapi.Unavailable, "")
				return false
			}
			require.Equal(t, b.ref(5), got.BlockRef)
			return true
		}
		return false
	}, time.Minute, time.Millisecond)
	require.Equal(t, c.peers.nodes[1], c.tails.of(c, "ch1").source(b.ref(5)))
}

// Who comes while no peer delivers has them asked at once, however long the tail would rest.
func TestWhoJoinsHasThePeersAskedAgain(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.mine()
	c := connect(t, f)
	c.SetQuiet(50 * time.Millisecond)
	c.peers.backoff = retry.Backoff{Initial: 1000 * time.Hour, Max: 1000 * time.Hour, Factor: 1}
	f.set(func() { f.mute = true })
	tail := c.tails.of(c, "ch1")
	for range 2 { // also after a second time in vain
		one := followBlocks(t, c, "ch1", ffcapi.BlockRef{})
		select {
		case err := <-one.ended:
			requireKind(t, err, ffcapi.Unavailable, "does not deliver it")
		case <-time.After(time.Minute):
			require.Fail(t, "nobody is told")
		}
		require.Eventually(t, func() bool { tail.mu.Lock(); defer tail.mu.Unlock(); return tail.users == 0 }, time.Minute, time.Millisecond)
	}
	f.set(func() { f.mute = false })
	one := followBlocks(t, c, "ch1", ffcapi.BlockRef{})
	require.EqualValues(t, 0, one.next(t).Number)
	one.until(t, 0, 1)
}

// The stream rests only a while after the last reader has left, and goes on for one who comes before.
func TestTailStaysForWhoComesBack(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	tail := c.tails.of(c, "ch1")
	resting := func() bool {
		tail.mu.Lock()
		defer tail.mu.Unlock()
		return tail.rest != nil
	}
	first, second := tail.join(), tail.join()
	first()
	require.False(t, resting(), "one is still there")
	second()
	require.True(t, resting())
	third := tail.join()
	require.False(t, resting())
	_, _, err := tail.head(t.Context(), ffcapi.BlockRef{}, time.Now(), time.Minute)
	require.NoError(t, err)
	third()
	_, opened, _ := f.counts()
	require.Equal(t, 1, opened)
	require.True(t, resting())

	c.tails.close()
	require.False(t, resting())
	require.Eventually(t, func() bool { streams, _, _ := f.counts(); return streams == 0 }, time.Minute, time.Millisecond)
	c.cfg.Channels = []string{"ch1", "ch2"}
	for _, channel := range c.cfg.Channels { // ch2 was never followed
		after := c.tails.of(c, channel)
		leave := after.join()
		_, _, err := after.head(t.Context(), ffcapi.BlockRef{}, time.Now(), time.Minute)
		requireKind(t, err, ffcapi.Unavailable, "the connector is closed")
		leave()
		require.Nil(t, after.stop, "nothing runs for %s", channel)
		require.Nil(t, after.rest)
	}
}
