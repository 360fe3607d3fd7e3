package fabric

import (
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
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
		requireKind(t, err, ffcapi.Unavailable, "does not deliver block 3 of ch1")
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
