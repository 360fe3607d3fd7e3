package fabric

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// ref names a block of the fake peer.
func (f *fakePeer) ref(number int) ffcapi.BlockRef {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ffcapi.BlockRef{Number: uint64(number), Hash: hex.EncodeToString(hashOf(f.blocks[number].GetHeader()))}
}

func (f *fakePeer) newest() ffcapi.BlockRef {
	f.mu.Lock()
	number := len(f.blocks) - 1
	f.mu.Unlock()
	return f.ref(number)
}

// readBlocks reads blocks until the sequence ends or has so many.
func readBlocks(ctx context.Context, c *Connector, after ffcapi.BlockRef, most int) (numbers []uint64, err error) {
	for b, err := range c.Blocks(ctx, "ch1", after) {
		if err != nil {
			return numbers, err
		}
		if numbers = append(numbers, b.Number); len(numbers) == most {
			break
		}
	}
	return numbers, nil
}

// readEvents reads a session of a listener for everything.
func readEvents(t *testing.T, c *Connector, from ffcapi.Cursor, upto ffcapi.BlockRef, most int) (pages []*ffcapi.EventPage, err error) {
	t.Helper()
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(t, err)
	q := &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: from, Upto: upto, Max: most}
	for p, err := range c.Events(t.Context(), q) {
		if err != nil {
			return pages, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

func requireKind(t *testing.T, err error, kind ffcapi.Kind, words string) *ffcapi.Error {
	t.Helper()
	require.ErrorContains(t, err, words)
	e := ffcapi.AsError(err)
	require.Equal(t, kind, e.Kind, "%v", err)
	return e
}

func TestBlocksRefuseABrokenChain(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(*common.Block) *common.Block{
		"another parent": func(b *common.Block) *common.Block {
			if b.GetHeader().GetNumber() == 3 {
				b.Header.PreviousHash = []byte("another")
			}
			return b
		},
		"another number": func(b *common.Block) *common.Block {
			if b.GetHeader().GetNumber() == 3 {
				b.Header.Number = 4
			}
			return b
		},
		"no verdicts": func(b *common.Block) *common.Block {
			if b.GetHeader().GetNumber() == 3 {
				b.Metadata = nil
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakePeer(t)
			c := connect(t, f)
			for range 5 {
				f.mine()
			}
			upto := f.ref(5)
			f.set(func() { f.tamper = tamper })
			numbers, err := readBlocks(t.Context(), c, ffcapi.BlockRef{}, 6)
			require.Equal(t, ffcapi.Internal, ffcapi.KindOf(err), "%v", err)
			require.Equal(t, []uint64{0, 1, 2}, numbers)
			pages, err := readEvents(t, c, ffcapi.Cursor{}, upto, 0)
			require.Equal(t, ffcapi.Internal, ffcapi.KindOf(err), "%v", err)
			require.Empty(t, pages)
		})
	}
}

func TestBlocksGoOnWhereAnotherChainBegins(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 3 {
		f.mine()
	}
	numbers, err := readBlocks(t.Context(), c, f.ref(1), 2)
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 3}, numbers)
	for at, want := range map[uint64][]uint64{1: {1, 2}, 3: {3}} {
		numbers, err = readBlocks(t.Context(), c, ffcapi.BlockRef{Number: at, Hash: "another"}, len(want))
		require.NoError(t, err)
		require.Equal(t, want, numbers, "the block that is another is shown")
	}
	_, err = readBlocks(t.Context(), c, ffcapi.BlockRef{Number: 4, Hash: "x"}, 1)
	requireKind(t, err, ffcapi.Unavailable, "is behind: it has 4 blocks of ch1, not yet block 4")
}

func TestBlocksOfAPeerFromASnapshot(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 5 {
		f.mine()
	}
	upto := f.ref(5)
	f.set(func() { f.snapshot = 3 })
	_, err := readBlocks(t.Context(), c, ffcapi.BlockRef{}, 1)
	require.EqualValues(t, 3, requireKind(t, err, ffcapi.Pruned, "the first is 3").FirstBlock)
	_, err = c.Block(t.Context(), "ch1", 2)
	require.EqualValues(t, 3, requireKind(t, err, ffcapi.Pruned, "the first is 3").FirstBlock)
	_, err = readEvents(t, c, ffcapi.BlockStart(2), upto, 0)
	require.EqualValues(t, 3, requireKind(t, err, ffcapi.Pruned, "the first is 3").FirstBlock)
	b, err := c.Block(t.Context(), "ch1", 3)
	require.NoError(t, err)
	require.EqualValues(t, 3, b.Number)
	pages, err := readEvents(t, c, ffcapi.BlockStart(3), upto, 0)
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockStart(6), pages[len(pages)-1].Next)
	_, err = c.Ledger(t.Context(), "ch1")
	requireKind(t, err, ffcapi.Pruned, "no block 0")
}

func TestSilence(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	c.SetQuiet(500 * time.Millisecond) // it also bounds calls, which a busy machine answers late
	f.mine()
	head := f.ref(1)
	numbers, err := readBlocks(t.Context(), c, head, 3)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 1, 1}, numbers, "the head comes again while nothing happens")

	f.set(func() { f.mute = true })
	f.mine()
	f.mine()
	_, err = readBlocks(t.Context(), c, head, 1)
	requireKind(t, err, ffcapi.Unavailable, "has block 2 of ch1 and does not deliver it")
	_, err = readEvents(t, c, ffcapi.BlockStart(1), f.ref(3), 0)
	requireKind(t, err, ffcapi.Unavailable, "has block 1 of ch1 and does not deliver it")

	f.set(func() { f.mute = false })
	var seen []uint64
	require.Eventually(t, func() bool { // the peer may just be given up once more
		head, seen = f.newest(), nil
		for b, err := range c.Blocks(t.Context(), "ch1", head) {
			if err != nil {
				return false
			}
			if seen = append(seen, b.Number); len(seen) == 2 {
				f.mine()
			}
			if b.Number > head.Number {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond, "a new block of a stream that was silent arrives")
	require.Equal(t, []uint64{head.Number, head.Number}, seen[:2])
	require.Equal(t, head.Number+1, seen[len(seen)-1])
}

func TestEventPages(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	ev := func(id string) testTx {
		return testTx{id: id, time: noon, event: &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "E", Payload: []byte(`{"id":"` + id + `"}`)}}
	}
	f.mine(ev("a"), testTx{id: "none", time: noon}, ev("b"), ev("c"))
	f.mine(ev("d"))
	f.mine()
	for range 2 * stride {
		f.mine()
	}
	pages, err := readEvents(t, c, ffcapi.Cursor{}, f.ref(3), 2)
	require.NoError(t, err)
	require.Len(t, pages, 2)
	require.Len(t, pages[0].Events, 3, "a page is up to a block more than asked for")
	require.Equal(t, ffcapi.BlockStart(2), pages[0].Next)
	require.Equal(t, f.ref(1), pages[0].Through)
	first := pages[0].Events[0]
	require.Equal(t, ffcapi.Event{
		Cursor: ffcapi.Cursor{Block: 1}, BlockHash: f.ref(1).Hash, TxHash: "a", Name: "E", Address: "ch1/assets", Timestamp: &noon,
		Data: []byte(`{"id":"a"}`), Info: []byte(`{"channel":"ch1","chaincodeId":"assets","eventName":"E"}`), Matches: []int{0},
	}, first)
	require.Equal(t, ffcapi.Cursor{Block: 1, Tx: 2}, pages[0].Events[1].Cursor)

	pages, err = readEvents(t, c, ffcapi.Cursor{Block: 1, Tx: 2, Log: 1}, f.ref(1), 2)
	require.NoError(t, err)
	require.Len(t, pages, 1)
	require.Len(t, pages[0].Events, 1)
	require.Equal(t, "c", pages[0].Events[0].TxHash, "what is before the position is left out")

	pages, err = readEvents(t, c, ffcapi.BlockStart(3), f.ref(3+2*stride), 10)
	require.NoError(t, err)
	require.Len(t, pages, 3, "a reader that finds nothing moves on")
	require.Equal(t, ffcapi.BlockStart(3+stride), pages[0].Next)
}

func TestNextPeerAfterAFailure(t *testing.T) {
	t.Parallel()
	a, b := newFakePeer(t), newFakePeer(t)
	b.set(func() { b.blocks = a.blocks })
	c := connect(t, a, b)
	a.mine()
	l, err := c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Head.Number, "the first peer of the profile is asked first")
	_, err = readBlocks(t.Context(), c, ffcapi.BlockRef{Number: 9, Hash: "x"}, 1)
	requireKind(t, err, ffcapi.Unavailable, a.address)
	_, err = readBlocks(t.Context(), c, ffcapi.BlockRef{Number: 9, Hash: "x"}, 1)
	requireKind(t, err, ffcapi.Unavailable, b.address)
	l, err = c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Head.Number, "and the first one again when the second failed, too")
}

// A peer that takes calls and never answers must not keep the next ones to itself.
func TestNextPeerAfterAPeerThatHangs(t *testing.T) {
	t.Parallel()
	create := &ffcapi.Request{From: "user1", To: "assets", Method: json.RawMessage(`"create"`), Params: raws(`"a"`, `1`)}
	for name, call := range map[string]func(context.Context, *Connector, *ffcapi.Prepared) error{
		"Prepare": func(ctx context.Context, c *Connector, _ *ffcapi.Prepared) error {
			_, err := c.Prepare(ctx, create)
			return err
		},
		"Submit": func(ctx context.Context, c *Connector, p *ffcapi.Prepared) error {
			_, err := c.Submit(ctx, &ffcapi.Submission{Prepared: p, From: "user1"})
			return err
		},
		"Query": func(ctx context.Context, c *Connector, _ *ffcapi.Prepared) error {
			_, err := c.Query(ctx, create)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newFakePeer(t), newFakePeer(t)
			c := connect(t, a, b)
			p, err := c.Prepare(t.Context(), create)
			require.NoError(t, err)
			a.set(func() { a.hangs = true })
			left, leave := context.WithCancel(t.Context())
			defer time.AfterFunc(50*time.Millisecond, leave).Stop()
			requireKind(t, call(left, c, p), ffcapi.Timeout, "")
			n := c.peers.order()[0]
			require.Equal(t, a.address, n.address, "a caller who left says nothing about the peer")
			late, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			requireKind(t, call(late, c, p), ffcapi.Timeout, "")
			require.NoError(t, call(t.Context(), c, p), "the other peer answers")
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	good := connect(t, f).cfg
	for want, spoil := range map[string]func(*Config){
		"fabric.profile: must be set":            func(c *Config) { c.Profile = "" },
		"fabric.profile: open":                   func(c *Config) { c.Profile = filepath.Join(t.TempDir(), "none") },
		"fabric.mspID: must be set":              func(c *Config) { c.MSPID = "" },
		"has no organisation with mspid Org9MSP": func(c *Config) { c.MSPID = "Org9MSP" },
		"fabric.channels: must name":             func(c *Config) { c.Channels = nil },
		"fabric.channels: a channel":             func(c *Config) { c.Channels = []string{""} },
		"fabric.wallet: must be set":             func(c *Config) { c.Wallet = "" },
		"fabric.identity: must be set":           func(c *Config) { c.Identity = "" },
		"fabric.identity: there is no":           func(c *Config) { c.Identity = "nobody" },
		`fabric.endorseAt: "never" is`:           func(c *Config) { c.EndorseAt = "never" },
		"fabric.timeouts.submit: -1s":            func(c *Config) { c.Timeouts.Submit = -time.Second },
	} {
		cfg := good
		spoil(&cfg)
		_, err := New(t.Context(), cfg, Options{})
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 30*time.Second, good.Timeouts.Endorse)
	require.Equal(t, EndorseAtAccept, good.EndorseAt)
}
