package fabric

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// twoPeers are a and b with so many blocks after the first, each with an event, and a connector to them, which asks a first.
func twoPeers(t *testing.T, blocks int) (a, b *fakePeer, c *Connector) {
	t.Helper()
	a, b = newFakePeer(t), newFakePeer(t)
	for range blocks {
		a.mine(eventTx("x"))
	}
	shareChain(a, b)
	return a, b, connect(t, a, b)
}

// current is the peer that is asked first.
func (c *Connector) current() string { return c.peers.orderOn("ch1")[0].address }

// A peer from a snapshot does not keep others from looking at what a full peer has.
func TestLookUpsOnPeersFromASnapshot(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 9)
	a.set(func() { a.snapshot = 5 })
	for range 2 {
		l, err := c.Ledger(t.Context(), "ch1")
		require.NoError(t, err)
		require.Equal(t, b.ref(0).Hash, l.ID)
		got, err := c.Block(t.Context(), "ch1", 2)
		require.NoError(t, err)
		require.Equal(t, b.ref(2), got.BlockRef)
	}
	require.Equal(t, a.address, c.current(), "it is not at fault")
	b.set(func() { b.lag = 1 })
	_, err := readEvents(t, c, ffcapi.Cursor{}, a.ref(9), 0)
	requireKind(t, err, ffcapi.Unavailable, b.address+" is behind") // soon it is not, so that nothing is gone
	b.stop()
	_, err = c.Ledger(t.Context(), "ch1")
	requireKind(t, err, ffcapi.Unavailable, "")
	_, err = c.Block(t.Context(), "ch1", 2)
	requireKind(t, err, ffcapi.Unavailable, "")
	_, err = readEvents(t, c, ffcapi.Cursor{}, a.ref(9), 0)
	requireKind(t, err, ffcapi.Unavailable, "")
}

// Peers need not be on the same channels: each channel is served by a peer that has it.
func TestEachChannelHasAPeerOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 3)
	c.cfg.Channels = []string{"ch1", "ch2"}
	b.set(func() {
		b.second = []*common.Block{makeBlock(nil, testTx{id: "genesis of ch2", time: noon}), nil}
		b.second[1] = makeBlock(b.second[0], eventTx("on ch2"))
	})
	upto := ffcapi.BlockRef{Number: 1, Hash: hex.EncodeToString(hashOf(b.second[1].GetHeader()))}
	b.set(func() { b.lag = 2 }) // to be told apart
	for range 2 {
		l, err := c.Ledger(t.Context(), "ch1")
		require.NoError(t, err)
		require.EqualValues(t, 3, l.Head.Number, "the first peer serves ch1")
		l, err = c.Ledger(t.Context(), "ch2")
		require.NoError(t, err)
		require.Equal(t, upto, l.Head)
		got, err := c.Block(t.Context(), "ch2", 1)
		require.NoError(t, err)
		require.Equal(t, upto, got.BlockRef)
	}
	require.Equal(t, a.address, c.peers.orderOn("ch1")[0].address)
	require.Equal(t, b.address, c.peers.orderOn("ch2")[0].address)
	b.stop()
	_, err := c.Ledger(t.Context(), "ch2")
	requireKind(t, err, ffcapi.Unavailable, "channel 'ch2' not found") // the peer that is away may have it
	_, err = c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
}

// What one peer does not have yet is asked of the others. It is not there if none has it, and what those say who cannot be asked is no answer.
func TestLookUpsOnAPeerThatIsALittleBehind(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 4)
	a.mine(eventTx("newest"))
	shareChain(a, b)
	look := map[string]func(id string, number uint64) error{
		"receipt": func(id string, _ uint64) error {
			r, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: id})
			require.True(t, err != nil || r.Block == b.ref(5))
			return err
		},
		"start": func(id string, _ uint64) error {
			at, err := startFrom(t, c, "txid:"+id)
			require.True(t, err != nil || at == ffcapi.Cursor{Block: 5})
			return err
		},
		"block": func(_ string, number uint64) error {
			got, err := c.Block(t.Context(), "ch1", number)
			require.True(t, err != nil || got.BlockRef == b.ref(5))
			return err
		},
	}
	absent := func() {
		t.Helper()
		for name, f := range look {
			e := ffcapi.AsError(f("nobody", 6))
			require.NotNil(t, e, name)
			want := ffcapi.NotFound
			if name == "start" {
				want = ffcapi.InvalidInput
			}
			require.Equal(t, want, e.Kind, "%s: %v", name, e)
			require.True(t, strings.Contains(e.Message, "nobody") || strings.Contains(e.Message, "there is no block 6"), e.Message)
		}
	}
	for _, lagging := range []*fakePeer{a, b} {
		lagging.set(func() { lagging.lag = 1 })
		for name, f := range look {
			require.NoError(t, f("newest", 5), name)
		}
		require.Equal(t, a.address, c.current(), "nothing is held against who is a little behind")
		absent()
		lagging.set(func() { lagging.lag = 0 })
	}
	b.set(func() { b.frozen = true })
	begin := time.Now()
	absent()
	require.Less(t, time.Since(begin), 20*time.Second, "who does not answer is not waited for")
	b.stop()
	absent()
}

// Who does not answer in the short time that it gets is passed by, and nothing is held against it.
func TestLookUpsPassByAPeerThatTakesLong(t *testing.T) {
	t.Parallel()
	a, b, d := newFakePeer(t), newFakePeer(t), newFakePeer(t)
	a.mine(eventTx("newest"))
	shareChain(a, b, d)
	c, _ := explicitly(t, a.wallet, func(cfg *Config) { cfg.Timeouts.Silence = time.Minute }, a.address, b.address, d.address)
	a.set(func() { a.lag = 1 })
	b.set(func() { b.frozen = true })
	got, err := c.Block(t.Context(), "ch1", 1)
	require.NoError(t, err)
	require.Equal(t, d.ref(1), got.BlockRef)
	c.peers.each(func(n *node) { require.Zero(t, n.health.total) })
}

// What one peer refuses, or answers with nonsense, another one may still give.
func TestLookUpsAskTheNextPeer(t *testing.T) {
	t.Parallel()
	noVerdicts := func(b *common.Block) *common.Block {
		b.Metadata = nil
		return b
	}
	for name, test := range map[string]struct {
		spoil func(*fakePeer)
		alone ffcapi.Kind
	}{
		"denied":   {func(f *fakePeer) { f.denied = true }, ffcapi.Unauthorized},
		"nonsense": {func(f *fakePeer) { f.tamper = noVerdicts }, ffcapi.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, c := twoPeers(t, 5)
			a.set(func() { test.spoil(a) })
			l, err := c.Ledger(t.Context(), "ch1")
			require.NoError(t, err)
			require.Equal(t, b.ref(0).Hash, l.ID)
			require.Equal(t, b.address, c.current(), "it is asked first from now on")
			got, err := c.Block(t.Context(), "ch1", 2)
			require.NoError(t, err)
			require.Equal(t, b.ref(2), got.BlockRef)
			b.set(func() { test.spoil(b) })
			_, err = c.Ledger(t.Context(), "ch1")
			require.Equal(t, test.alone, ffcapi.KindOf(err), "%v", err)
		})
	}
}

// A session that meets nonsense ends; the next one is served by another peer, and the one after it, too.
func TestSessionLeavesAPeerThatDeliversNonsense(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 5)
	a.set(func() {
		a.tamper = func(b *common.Block) *common.Block {
			if b.GetHeader().GetNumber() == 3 {
				b.Metadata = nil
			}
			return b
		}
	})
	one := followBlocks(t, c, "ch1", a.ref(4)) // the peer may go on to serve the head, which makes sense
	one.until(t, 4, 5)
	a.mine(eventTx("x")) // when this one is there, what the first one shows about the peer is noted
	shareChain(a, b)
	require.Eventually(t, func() bool { return c.tails.of(c, "ch1").source(a.ref(6)) != nil }, time.Minute, time.Millisecond)
	_, err := readEvents(t, c, ffcapi.Cursor{}, a.ref(6), 0)
	requireKind(t, err, ffcapi.Internal, a.address)
	for range 2 {
		pages, err := readEvents(t, c, ffcapi.Cursor{}, a.ref(6), 0)
		require.NoError(t, err)
		require.Len(t, pages[0].Events, 6)
	}
	require.Equal(t, b.address, c.current())
}

// A peer that is a block behind is no peer that failed: another one is asked for this session, and that is all.
func TestSessionPassesOverAPeerThatIsALittleBehind(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 20)
	a.set(func() { a.lag = 1 })
	pages, err := readEvents(t, c, ffcapi.Cursor{}, b.ref(20), 0)
	require.NoError(t, err)
	require.Len(t, pages[0].Events, 20)
	require.Equal(t, a.address, c.current())
	a.set(func() { a.lag = fewBlocks + 1 })
	_, err = readEvents(t, c, ffcapi.Cursor{}, b.ref(20), 0)
	require.NoError(t, err)
	require.Equal(t, b.address, c.current(), "one that is far behind is of no use")
}

// What is older than what the tail keeps comes from the peer that the tail reads from, which has the newest block for certain.
func TestSessionPrefersThePeerOfTheTail(t *testing.T) {
	t.Parallel()
	a, b, c := twoPeers(t, 5)
	one := followBlocks(t, c, "ch1", a.ref(4))
	one.until(t, 4, 5)
	require.Eventually(t, func() bool { return c.tails.of(c, "ch1").source(a.ref(5)) != nil }, time.Minute, time.Millisecond)
	c.peers.mu.Lock()
	c.peers.current = 1 // as after a call that failed at a
	c.peers.mu.Unlock()
	_, before, _ := b.counts()
	pages, err := readEvents(t, c, ffcapi.Cursor{}, a.ref(5), 0)
	require.NoError(t, err)
	require.Len(t, pages[0].Events, 5)
	_, after, _ := b.counts()
	require.Equal(t, before, after, "the other peer delivered nothing")
}

// Before a peer delivers anything it must show Upto with its hash.
func TestSessionChecksUptoBeforeItReads(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	for range 5 {
		f.mine(eventTx("x"))
	}
	c := connect(t, f)
	q := &ffcapi.EventQuery{Ledger: "ch1", From: ffcapi.BlockStart(0), Upto: ffcapi.BlockRef{Number: 4, Hash: "another"}, Max: 1}
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(t, err)
	q.Listeners = []*ffcapi.Listener{l}
	for p, err := range c.Events(t.Context(), q) {
		require.Nil(t, p, "pages of a chain that does not lead to Upto")
		requireKind(t, err, ffcapi.Unavailable, "has another block 4 of ch1")
	}
}

// The last block of a session is checked once more as it comes: the peer may have shown another one.
func TestSessionChecksUptoAsItComes(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	for range 5 {
		f.mine(eventTx("x"))
	}
	c := connect(t, f)
	head := f.ref(5)
	f.set(func() {
		f.tamper = func(b *common.Block) *common.Block { // the head is shown by its hash only
			if b.GetHeader().GetNumber() == head.Number {
				b.Header.DataHash = []byte("another")
			}
			return b
		}
	})
	pages, err := readEvents(t, c, ffcapi.BlockStart(1), head, 100)
	requireKind(t, err, ffcapi.Unavailable, "has another block 5 of ch1")
	require.Empty(t, pages)
}

func TestRingHoldsABlockByItsHash(t *testing.T) {
	t.Parallel()
	r := ring{limit: 1000}
	b := &block{BlockRef: ffcapi.BlockRef{Number: 7, Hash: "x"}}
	require.False(t, r.holds(b.BlockRef))
	r.push(b)
	require.True(t, r.holds(b.BlockRef))
	require.False(t, r.holds(ffcapi.BlockRef{Number: 7, Hash: "y"}))
	require.False(t, r.holds(ffcapi.BlockRef{Number: 8, Hash: "x"}))
}

// A block that takes longer than a peer is usually given comes in the end: it is given more time each time.
func TestSessionWaitsLongerForASlowBlock(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	for range 5 {
		f.mine(eventTx("x"))
	}
	c := connect(t, f)
	c.SetQuiet(100 * time.Millisecond)
	f.set(func() { f.lazy = time.Second })
	require.Eventually(t, func() bool {
		pages, err := readEvents(t, c, ffcapi.Cursor{}, f.ref(5), 0)
		return err == nil && len(pages[0].Events) == 5
	}, 20*time.Second, time.Millisecond)
}

// So does one at the head of the chain, for whom the peer is not left for ever.
func TestTailWaitsLongerForASlowBlock(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.mine()
	f.mine()
	c := connect(t, f)
	c.SetQuiet(50 * time.Millisecond)
	f.set(func() { f.lazy = 700 * time.Millisecond })
	at := f.ref(2)
	one := followBlocks(t, c, "ch1", at)
	f.mine(eventTx("large"))
	require.Eventually(t, func() bool {
		select {
		case err := <-one.ended: // as the core does, follow again
			requireKind(t, err, ffcapi.Unavailable, "has block 3 of ch1 and does not deliver it")
			one = followBlocks(t, c, "ch1", at)
		case b := <-one.blocks:
			return b.Number == 3
		default:
		}
		return false
	}, 20*time.Second, time.Millisecond)
}

// And one that is asked for alone, at a time or by its number.
func TestLookUpsWaitLongerForASlowBlock(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	for i := range 3 {
		f.mine(testTx{id: fmt.Sprint(i), time: noon.Add(time.Duration(i) * time.Hour)})
	}
	f.set(func() { f.lazy = 800 * time.Millisecond })
	for name, look := range map[string]func(*Connector) error{
		"number": func(c *Connector) error { _, err := c.Block(t.Context(), "ch1", 3); return err },
		"time":   func(c *Connector) error { _, err := startFrom(t, c, "time:2026-03-04T14:00:00Z"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t, f)
			c.SetQuiet(50 * time.Millisecond)
			requireKind(t, look(c), ffcapi.Unavailable, "deliver")
			require.Eventually(t, func() bool { return look(c) == nil }, 20*time.Second, time.Millisecond)
		})
	}
}

func TestPatienceIsBounded(t *testing.T) {
	t.Parallel()
	var s slow
	at := blockOn{"ch1", 7}
	require.Equal(t, patience, s.patience(at, time.Second, time.Minute))
	require.Equal(t, 15*time.Second, s.limit(at, 15*time.Second, time.Minute))
	s.gaveUp(at)
	require.Equal(t, 2*patience, s.patience(at, time.Second, time.Minute))
	require.Equal(t, 30*time.Second, s.limit(at, 15*time.Second, time.Minute))
	for range 100 {
		s.gaveUp(at)
	}
	require.Equal(t, 60, s.patience(at, time.Second, time.Minute))
	require.Equal(t, patience, s.patience(at, time.Second, time.Second), "never less than without")
	require.Equal(t, time.Minute, s.limit(at, 15*time.Second, time.Minute))
	require.Equal(t, 15*time.Second, s.limit(at, 15*time.Second, time.Second), "never less than without")
	for _, other := range []blockOn{{"ch1", 8}, {"ch2", 7}} {
		require.Equal(t, patience, s.patience(other, time.Second, time.Minute))
	}
	for i := range uint64(10 * slowBlocks) {
		s.gaveUp(blockOn{"ch1", 100 + i})
		require.LessOrEqual(t, len(s.times), slowBlocks)
	}
	require.Equal(t, patience, s.patience(at, time.Second, time.Minute), "what is long ago is forgotten")
}
