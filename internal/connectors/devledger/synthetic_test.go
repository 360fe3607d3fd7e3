package devledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

func history() devledger.Config {
	cfg := devledger.DefaultConfig()
	cfg.Synthetic = devledger.Synthetic{HistoryBlocks: 12, EventBlocks: 10, EventsPerBlock: 7, LiveEventsPerBlock: 3}
	return cfg
}

// share is a listener for those of the made-up events with i%mod == rem.
func share(t *testing.T, c ffcapi.Connector, mod, rem int) *ffcapi.Listener {
	t.Helper()
	filter := fmt.Sprintf(`{"event":"E","mod":%d,"rem":%d}`, mod, rem)
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(filter)}, FromBlock: "0"})
	require.NoError(t, err)
	return l
}

func collect(t *testing.T, c ffcapi.Connector, q *ffcapi.EventQuery) (events []ffcapi.Event) {
	t.Helper()
	for page, err := range c.Events(context.WithoutCancel(t.Context()), q) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Events), q.Max)
		events = append(events, page.Events...)
	}
	return events
}

func TestSyntheticHistory(t *testing.T) {
	t.Parallel()
	c := open(t, history(), "")
	require.Equal(t, uint64(12), head(t, c).Number)
	events := read(t, c, `{"event":"E"}`, 4)
	require.Len(t, events, 70)
	ev := events[7*3+5]
	require.Equal(t, ffcapi.Cursor{Block: 4, Tx: 5}, ev.Cursor)
	require.Equal(t, "E", ev.Name)
	want := `{"from":"0x1111111111111111111111111111111111111111","to":"0x2222222222222222222222222222222222222222","value":"4000005","ts":"0"}`
	require.Equal(t, []byte(want), []byte(ev.Data), "byte by byte, as what it is compared with")
	require.Equal(t, int64(0), ev.Timestamp.UnixNano())
	hashes := map[string]bool{}
	for _, ev := range events {
		require.Len(t, ev.TxHash, 66)
		require.Len(t, ev.BlockHash, 66)
		hashes[ev.TxHash] = true
	}
	require.Len(t, hashes, 70)
	require.Equal(t, events, read(t, open(t, history(), ""), `{"event":"E"}`, 100), "the history is the same in each process")
}

func TestSyntheticSharesAddUp(t *testing.T) {
	t.Parallel()
	c := open(t, history(), "")
	for _, mods := range [][]int{{1}, {3}, {2, 3}, {7, 1, 5}, {211, 223, 2}} { // the last have too long a period for a table
		q := &ffcapi.EventQuery{Upto: head(t, c), Max: 5}
		want := map[string]int{}
		for _, mod := range mods {
			for rem := range min(mod, 9) {
				q.Listeners = append(q.Listeners, share(t, c, mod, rem))
			}
		}
		for b := uint64(1); b <= 10; b++ {
			for i := range 7 {
				want[fmt.Sprint(ffcapi.Cursor{Block: b, Tx: uint64(i)})] = len(mods)
			}
		}
		got := map[string]int{}
		for _, ev := range collect(t, c, q) {
			got[fmt.Sprint(ev.Cursor)] = len(ev.Matches)
			require.IsIncreasing(t, append([]int{-1}, ev.Matches...))
		}
		require.Equal(t, want, got, "each event once for each modulus: %v", mods)
	}
}

func TestSyntheticResumesInsideABlock(t *testing.T) {
	t.Parallel()
	c := open(t, history(), "")
	q := &ffcapi.EventQuery{Upto: head(t, c), Max: 3, Listeners: []*ffcapi.Listener{share(t, c, 2, 1)}}
	all := collect(t, c, q)
	require.Len(t, all, 30)
	for i := range all {
		q.From = all[i].Cursor
		require.Equal(t, all[i:], collect(t, c, q))
		q.From = all[i].Cursor.Next()
		require.Len(t, collect(t, c, q), len(all)-i-1)
	}
}

func TestSyntheticLiveBlocks(t *testing.T) {
	t.Parallel()
	cfg := history()
	cfg.Synthetic.BlockPeriod = 2 * time.Millisecond
	c := open(t, cfg, "")
	began := time.Now()
	r := receipt(t, c, send(t, c, request("ann", "create", `"a"`, `1`)))
	require.Greater(t, r.Block.Number, uint64(12))
	require.Equal(t, uint64(3), r.TxIndex, "after the made-up ones")

	b, err := c.Block(t.Context(), "", r.Block.Number)
	require.NoError(t, err)
	require.Len(t, b.Transactions, 1, "made-up events have no transaction")
	require.Equal(t, uint64(3), b.Transactions[0].Index)
	prev, err := c.Block(t.Context(), "", r.Block.Number-1)
	require.NoError(t, err)
	require.Equal(t, prev.Hash, b.ParentHash)

	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{
		Filters: []json.RawMessage{json.RawMessage(`{"event":"E"}`), json.RawMessage(`{"event":"AssetCreated"}`)}, FromBlock: "earliest",
	})
	require.NoError(t, err)
	events := collect(t, c, &ffcapi.EventQuery{Listeners: []*ffcapi.Listener{l}, From: ffcapi.BlockStart(13), Upto: r.Block, Max: 2})
	require.Len(t, events, 3*int(r.Block.Number-12)+1)
	last := events[len(events)-1]
	require.Equal(t, "AssetCreated", last.Name)
	require.Equal(t, ffcapi.Cursor{Block: r.Block.Number, Tx: 3}, last.Cursor)
	var data struct{ TS string }
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	ts, err := strconv.ParseInt(data.TS, 10, 64)
	require.NoError(t, err)
	require.WithinDuration(t, began, time.Unix(0, ts), time.Minute)
	require.Equal(t, ts, events[0].Timestamp.UnixNano())
}

func TestSyntheticLedgerIsInMemory(t *testing.T) {
	t.Parallel()
	cfg := history()
	cfg.Synthetic.BlockPeriod = time.Millisecond
	c, d := open(t, cfg, "no/such/directory"), open(t, cfg, "")
	require.Equal(t, ledgerID(t, c), ledgerID(t, d))
	require.Eventually(t, func() bool { return head(t, c).Number > 13 && head(t, d).Number > 13 }, wait, tick)
	one, err := c.Block(t.Context(), "", 13)
	require.NoError(t, err)
	two, err := d.Block(t.Context(), "", 13)
	require.NoError(t, err)
	require.NotEqual(t, one.Hash, two.Hash, "what came after the start is another chain")
	require.Equal(t, one.ParentHash, two.ParentHash)
}
