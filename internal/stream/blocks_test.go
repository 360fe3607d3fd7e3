package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// blockListener adds a listener of type blocks.
func (r *rig) blockListener(stream, from string) string {
	r.t.Helper()
	l, err := r.m.CreateListener(r.t.Context(), stream, &apitypes.Listener{Type: ptr("Blocks"), FromBlock: ptr(apitypes.BlockNumber(from))})
	require.NoError(r.t, err)
	return l.ID.String()
}

// blockEvents decodes a batch.
func (r *rig) blockEvents(d *delivered) []apitypes.BlockEvent {
	r.t.Helper()
	var events []apitypes.BlockEvent
	require.NoError(r.t, json.Unmarshal(d.Body, &events), "%s", d.Body)
	require.Len(r.t, events, len(d.Events))
	for i, e := range events {
		require.Equal(r.t, e.ID, d.Events[i].ID)
		require.Equal(r.t, e.BlockNumber, strconv.FormatUint(d.Events[i].Block, 10))
	}
	return events
}

// hashes acknowledges batches of a stream until it has n blocks, and returns their hashes.
func (r *rig) hashes(stream string, n int) []string {
	r.t.Helper()
	var list []string
	for len(list) < n {
		d := r.live(stream)
		for _, e := range r.blockEvents(d) {
			list = append(list, e.BlockHash)
		}
		d.finish(nil)
	}
	return list
}

// chainHashes are the hashes of the canonical blocks from a number on.
func (r *rig) chainHashes(from int) []string {
	r.chain.mu.Lock()
	defer r.chain.mu.Unlock()
	var list []string
	for _, b := range r.chain.blocks[from:] {
		list = append(list, b.ref.Hash)
	}
	return list
}

func TestBlocksOnTheWire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1)) })
	r.chain.mine("A", "B")
	l := r.blockListener("s", "earliest")
	tail := `"listenerId":"` + l + `","subId":"` + l + `","listenerName":"blocks","listenerType":"blocks","streamId":"` + id + `"}`
	d := r.live("s")
	require.JSONEq(t, `[{"id":"fake::000000000000","protocolId":"000000000000","ledger":"","blockNumber":"0","blockHash":"0xa0000000","parentHash":"",
		"timestamp":"2023-11-14T22:13:20.000005Z","transactionHashes":[],`+tail+`]`, string(d.Body))
	d.finish(nil)
	d = r.live("s")
	require.JSONEq(t, `[{"id":"fake::000000000001","protocolId":"000000000001","ledger":"","blockNumber":"1","blockHash":"0xa0000001","parentHash":"0xa0000000",
		"timestamp":"2023-11-14T22:13:21.000005Z","transactionHashes":["0xa0000001-0","0xa0000001-1"],`+tail+`]`, string(d.Body))
	require.JSONEq(t, string(mustIndex(t, d.Body, 0)), string(d.Events[0].JSON))
	d.finish(nil)
	r.stored(l, ffcapi.BlockStart(2).String())
	st, err := r.m.Listener(t.Context(), "s", l)
	require.NoError(t, err)
	require.Equal(t, apitypes.ListenerCheckpoint{Block: 2, BlockHash: "0xa0000001"}, *st.Checkpoint)
	require.Empty(t, *st.Signature)
	require.Equal(t, stateLive, r.state("s").State)
}

func TestBlockListenersStartWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 5 {
		r.chain.mine("A")
	}
	starts := map[string]int{
		"earliest": 0, "latest": 6, "": 6, "0": 0, "3": 3, "000000000003": 3, "4/0/0": 4, "000000000004/000000/000000": 4, "7": 7,
	}
	for from := range starts {
		r.stream("s" + from)
		r.blockListener("s"+from, from)
	}
	for range 3 {
		r.chain.mine()
	}
	for from, first := range starts {
		require.Equal(t, r.chainHashes(first), r.hashes("s"+from, 9-first), "from %q", from)
	}
}

func TestBlockListenerInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.fault = func(call string) error {
		if call == "Ledger" {
			return ffcapi.Errorf(ffcapi.NotFound, "there is no channel")
		}
		return nil
	}
	r.stream("s")
	for field, body := range map[string]*apitypes.Listener{
		"filters":        {Filters: filters("A")},
		"options":        {Options: json.RawMessage(`7`)},
		"options.ledger": {Options: json.RawMessage(`{"ledger":7}`)},
		"options.other":  {Options: json.RawMessage(`{"other":7}`)},
	} {
		body.Type = ptr("blocks")
		_, err := r.m.CreateListener(t.Context(), "s", body)
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, field)
		require.Equal(t, field, inv.Field)
	}
	_, err := r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Type: ptr("blocks"), Options: json.RawMessage(`{"ledger":"x"}`)})
	require.ErrorContains(t, err, "name no ledger that is there: there is no channel")
	r.chain.set(func(c *fakeChain) { c.fault = nil })
	for _, from := range []string{"-1", "newest", "1/2/3", "1/0"} {
		_, err := r.m.CreateListener(t.Context(), "s", &apitypes.Listener{Type: ptr("blocks"), FromBlock: ptr(apitypes.BlockNumber(from))})
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, from)
		require.Equal(t, "fromBlock", inv.Field)
	}
}

// However long the way, no block is missing and none comes twice, across restarts as well.
func TestBlocksComeWithoutAGap(t *testing.T) {
	t.Parallel()
	const n = 3*bookPage + 17
	r := newRig(t)
	for i := range n - 1 {
		r.chain.mine(make([]string, i%3)...)
	}
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(7)) })
	r.blockListener("s", "earliest")
	got := r.hashes("s", n/2)
	r.restart()
	got = append(got, r.hashes("s", n-len(got))...)
	require.Equal(t, r.chainHashes(0), got)
	r.chain.mine("A")
	require.Equal(t, r.chainHashes(n), r.hashes("s", 1))
}

// Many listeners of many streams read each block once.
func TestBlockListenersShareTheReading(t *testing.T) {
	t.Parallel()
	const streams, listeners, blocks = 20, 5, 30
	r := newRig(t)
	for s := range streams {
		name := fmt.Sprint(s)
		r.stream(name, suspended)
		for range listeners {
			r.blockListener(name, "1")
		}
		require.NoError(t, r.m.ResumeStream(t.Context(), name))
	}
	for range blocks {
		r.chain.mine("A")
	}
	for s := range streams {
		r.hashes(fmt.Sprint(s), listeners*blocks)
	}
	require.Equal(t, 1, r.chain.mostGiven())
}

func TestTheBookOfBlocksIsBounded(t *testing.T) {
	t.Parallel()
	c := newFakeChain()
	for range 1000 {
		c.mine()
	}
	b := newBlockBook(c, "fake", "", ffcapi.Instant, logrus.NewEntry(logrus.New()))
	b.limit = 100 * newChainBlock("fake", "", ffcapi.Instant, &ffcapi.Block{BlockRef: c.blocks[500].ref, ParentHash: c.blocks[499].ref.Hash, Timestamp: blockTime(500)}).size()
	for from := uint64(0); from <= 1000; {
		page, err := b.read(t.Context(), from, 1000)
		require.NoError(t, err)
		require.Equal(t, from, page[0].ref.Number)
		from = page[len(page)-1].ref.Number + 1
		require.LessOrEqual(t, b.size, b.limit)
		require.Len(t, b.blocks, b.recent.Len())
	}
	b.forget(990)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.known(990, 1000))
	require.NotEmpty(t, b.known(989, 1000))
}

// A node on another fork, or one that is behind, makes no gap and delivers nothing that is not canonical.
func TestABlockOfAnotherForkIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window, confirmations int
		parent                string
	}{
		"known": {parent: "0xb2"}, "behind what is known": {window: 1, parent: "0xb2"},
		"beside the canonical one": {parent: "0xa0000002"}, "beside the safe head, which is behind what is known": {1, 3, "0xa0000002"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for range 6 {
				r.chain.mine("A")
			}
			r.chain.set(func(f *fakeChain) {
				f.window = c.window
				f.pretend = map[uint64]*ffcapi.Block{3: {BlockRef: ffcapi.BlockRef{Number: 3, Hash: "0xb"}, ParentHash: c.parent}}
			})
			r.stream("s", func(s *apitypes.EventStream) { s.Confirmations = &c.confirmations })
			r.blockListener("s", "earliest")
			require.Equal(t, r.chainHashes(0)[:3], r.hashes("s", 3))
			r.eventually(func() bool { return r.state("s").LastError != "" })
			require.Contains(t, r.state("s").LastError, "block 3")
			r.quiet("s")
			r.chain.set(func(f *fakeChain) { f.pretend = nil })
			require.Equal(t, r.chainHashes(3)[:4-c.confirmations], r.hashes("s", 4-c.confirmations))
		})
	}
}

// A reorganisation that is deeper than the confirmations gives the blocks again from the fork on, under other ids.
func TestAReorganisationRewindsBlocks(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.chain.finality = ffcapi.Confirmations })
	for range 5 {
		r.chain.mine("A")
	}
	r.stream("s")
	r.blockListener("s", "earliest")
	require.Equal(t, r.chainHashes(0), r.hashes("s", 6))
	r.caughtUp("s")
	r.chain.reorganise(3, "b", "B")
	d := r.live("s")
	events := r.blockEvents(d)
	require.Equal(t, "fake::000000000003/b0000003", events[0].ID)
	require.Equal(t, "000000000003", events[0].ProtocolID)
	require.Equal(t, "0xa0000002", events[0].ParentHash)
	d.finish(nil)
	require.Equal(t, r.chainHashes(3)[len(events):], r.hashes("s", 3-len(events)))
}

// What a node no longer has is said, and waited for.
func TestPrunedBlocksAreSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 9 {
		r.chain.mine("A")
	}
	r.chain.set(func(c *fakeChain) { c.first = 4 })
	r.stream("s")
	l := r.blockListener("s", "2")
	r.eventually(func() bool { return r.state("s").LastError != "" })
	st := r.state("s")
	require.Contains(t, st.LastError, `listener "blocks" waits for a block that no node has any more`)
	require.Equal(t, stateCatchup, st.State)
	r.quiet("s")
	_, err := r.m.ResetListener(t.Context(), "s", l, &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("earliest"))}, false)
	require.NoError(t, err)
	require.Equal(t, r.chainHashes(4), r.hashes("s", 6), "the earliest is the first that is there")
}

// stuckChain does not answer for one block until it is told to.
type stuckChain struct {
	*fakeChain
	block uint64
	goOn  chan struct{}
}

func (c *stuckChain) Block(ctx context.Context, ledger string, number uint64) (*ffcapi.Block, error) {
	if number == c.block {
		select {
		case <-c.goOn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return c.fakeChain.Block(ctx, ledger, number)
}

// Who reads blocks of the past keeps nobody from those of the present; who wants the same ones waits for them.
func TestBlocksOfThePastDelayNoNewOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		c := &stuckChain{block: 5, goOn: make(chan struct{})}
		r := newRig(t, func(r *rig) {
			c.fakeChain, r.opts.Connector = r.chain, c
		})
		for range n {
			r.chain.mine()
		}
		for name, from := range map[string]string{"behind": "5", "also behind": "5", "head": "latest"} {
			r.stream(name, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(1000)) })
			r.blockListener(name, from)
		}
		<-time.After(time.Second) // their runs know the listeners
		began := time.Now()
		r.chain.mine()
		d := r.live("head")
		require.Equal(t, uint64(n+1), d.Events[0].Block)
		require.Less(t, time.Since(began), time.Second)
		d.finish(nil)
		close(c.goOn)
		for _, name := range []string{"behind", "also behind"} {
			require.Equal(t, r.chainHashes(5), r.hashes(name, n+1-4))
		}
		require.Equal(t, 1, r.chain.mostGiven(), "each is read once")
	})
}
