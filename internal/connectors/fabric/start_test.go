package fabric

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func startFrom(t *testing.T, c *Connector, from string) (ffcapi.Cursor, error) {
	t.Helper()
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: from})
	if err != nil {
		return ffcapi.Cursor{}, err
	}
	return l.Start, nil
}

func TestStarts(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for i := range 9 {
		f.mine(testTx{id: fmt.Sprint("a", i), time: noon.Add(time.Duration(i) * time.Hour)}, testTx{id: fmt.Sprint("b", i), time: noon.Add(time.Duration(i) * time.Hour)})
	}
	for from, want := range map[string]ffcapi.Cursor{
		"earliest":                  {},
		"Earliest":                  {},
		"":                          {Block: 10},
		"latest":                    {Block: 10},
		"0":                         {},
		"9":                         {Block: 9},
		"10":                        {Block: 10},
		"1000010":                   {Block: 1_000_010},
		"txid:b3":                   {Block: 4, Tx: 1},
		"time:2026-03-04T13:00:00Z": {Block: 2},
		"time:2026-03-04T14:00:00.123456789+01:00": {Block: 2},
		"time:2026-03-04T14:00:00.123456790+01:00": {Block: 3},
		"time:1970-01-01T00:00:00Z":                {},
		"time:2026-03-04T22:00:00Z":                {Block: 10},
	} {
		at, err := startFrom(t, c, from)
		require.NoError(t, err, from)
		require.Equal(t, want, at, from)
	}
	for from, want := range map[string]string{
		"yesterday":                 `fromBlock: "yesterday" is none of`,
		"txid:":                     "fromBlock: it names no transaction",
		"txid:nobody":               "fromBlock: there is no transaction nobody in ch1",
		"time:noon":                 `fromBlock: "noon" is no RFC 3339 time`,
		"time:9999-01-01T00:00:00Z": "fromBlock: 9999-01-01T00:00:00Z is in the future",
	} {
		_, err := startFrom(t, c, from)
		requireKind(t, err, ffcapi.InvalidInput, want)
	}
	f.stop()
	at, err := startFrom(t, c, "earliest")
	require.NoError(t, err, "what changes a listener and keeps its position asks for this, also while peers are away")
	require.Equal(t, ffcapi.Cursor{}, at)
	_, err = startFrom(t, c, "5")
	requireKind(t, err, ffcapi.Unavailable, "")
}

// Clocks of clients that are not further apart than assumed never make a start miss a block.
func TestStartAtTimeMissesNothing(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	genesis := f.blocks[:1:1]
	rapid.Check(t, func(rt *rapid.T) {
		f.set(func() { f.blocks = genesis })
		clock := noon
		times := []time.Time{noon} // that of the block with the configuration
		for i := range rapid.IntRange(1, 25).Draw(rt, "blocks") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 200).Draw(rt, "passed")) * time.Second)
			at := clock.Add(time.Duration(rapid.IntRange(-int(skew/time.Second), int(skew/time.Second)).Draw(rt, "off")) * time.Second)
			times = append(times, at)
			f.mine(testTx{id: fmt.Sprint("t", i), time: at})
		}
		wanted := noon.Add(time.Duration(rapid.IntRange(-300, 6000).Draw(rt, "wanted")) * time.Second)
		want := uint64(len(times))
		for i, at := range times {
			if !at.Before(wanted) {
				want = uint64(i)
				break
			}
		}
		at, err := startFrom(t, c, "time:"+wanted.Format(time.RFC3339Nano))
		require.NoError(rt, err)
		require.Equal(rt, ffcapi.BlockStart(want), at)
	})
}

func TestStartsOnPeersFromASnapshot(t *testing.T) {
	t.Parallel()
	a, b := newFakePeer(t), newFakePeer(t)
	for i := range 9 {
		a.mine(testTx{id: fmt.Sprint("t", i), time: noon.Add(time.Duration(i) * time.Hour), event: event})
	}
	shareChain(a, b)
	a.set(func() { a.snapshot = 5 })
	alone := connect(t, a)
	for _, from := range []string{"4", "time:1999-01-01T00:00:00Z"} {
		_, err := startFrom(t, alone, from)
		require.EqualValues(t, 5, requireKind(t, err, ffcapi.Pruned, "the first is 5").FirstBlock, from)
	}
	at, err := startFrom(t, alone, "earliest")
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockStart(5), at, "the first block that there is")
	_, err = readEvents(t, alone, ffcapi.BlockStart(4), ffcapi.BlockRef{Number: 4, Hash: hex.EncodeToString([]byte("x"))}, 0)
	require.EqualValues(t, 5, requireKind(t, err, ffcapi.Pruned, "the first is 5").FirstBlock, "one block alone")

	both := connect(t, a, b)
	at, err = startFrom(t, both, "4")
	require.NoError(t, err, "the other peer has it")
	require.Equal(t, ffcapi.BlockStart(4), at)
	at, err = startFrom(t, both, "earliest")
	require.NoError(t, err)
	require.Equal(t, ffcapi.Cursor{}, at)
	pages, err := readEvents(t, both, ffcapi.Cursor{}, a.ref(9), 0)
	require.NoError(t, err, "old blocks come from the peer that has them")
	require.Len(t, pages[0].Events, 9)
	one := followBlocks(t, both, "ch1", ffcapi.BlockRef{})
	require.EqualValues(t, 0, one.next(t).Number)
	one.until(t, 0, 9)

	b.stop()
	_, err = readEvents(t, both, ffcapi.Cursor{}, ffcapi.BlockRef{Number: 8, Hash: a.ref(8).Hash}, 0)
	requireKind(t, err, ffcapi.Unavailable, "") // the peer that is away may have them
}

// A listener for what is new gets nothing that was there before, although the peer that is asked may not know it yet.
func TestStartAtTheHeadOfTheTail(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for range 5 {
		f.mine()
	}
	one := followBlocks(t, c, "ch1", f.ref(4))
	one.until(t, 4, 5)
	f.set(func() { f.lag = 2 })
	at, err := startFrom(t, c, "latest")
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockStart(6), at)
	f.set(func() { f.lag = 0 })
	f.mine()
	at, err = startFrom(t, c, "latest")
	require.NoError(t, err)
	require.GreaterOrEqual(t, at.Block, uint64(7))
}

// A peer with another block in place of the last one is not asked again.
func TestSessionLeavesAPeerWithAnotherUpto(t *testing.T) {
	t.Parallel()
	a, b := newFakePeer(t), newFakePeer(t)
	shareChain(a, b)
	a.mine(eventTx("on a"))
	b.mine(eventTx("on b"))
	c := connect(t, a, b)
	upto := b.ref(1)
	_, err := readEvents(t, c, ffcapi.BlockStart(1), upto, 0)
	requireKind(t, err, ffcapi.Unavailable, a.address+" has another block 1 of ch1")
	pages, err := readEvents(t, c, ffcapi.BlockStart(1), upto, 0)
	require.NoError(t, err)
	require.Equal(t, "on b", pages[0].Events[0].TxHash)
}

// A block in which nothing is valid has no time, and is no reason to look in the wrong half of the chain.
func TestStartAtATimeAmongBlocksWithoutOne(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	for i := range 16 {
		code := peer.TxValidationCode_VALID
		if i > 2 && i < 14 {
			code = peer.TxValidationCode_MVCC_READ_CONFLICT
		}
		f.mine(testTx{id: fmt.Sprint("a", i), time: noon.Add(time.Duration(i) * time.Hour), code: code})
	}
	for from, want := range map[string]uint64{"time:2026-03-04T13:00:00Z": 2, "time:2026-03-04T15:00:00Z": 15, "time:1970-01-01T00:00:00Z": 0} {
		at, err := startFrom(t, c, from)
		require.NoError(t, err, from)
		require.Equal(t, ffcapi.BlockStart(want), at, from)
	}
}
