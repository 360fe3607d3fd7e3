//go:build e2e && fabric

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/fabricledger"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

const (
	fullChannel = "slow"
	fullBlock   = 500 // transactions
	blockEvent  = "Filled"
	blockBatch  = 7               // events in a delivery, so that batches and block have no common end
	blockWindow = 2               // deliveries on their way
	blockSlack  = 3               // deliveries that may be acknowledged and not stored
	settle      = 3 * time.Second // much more than it takes to store an acknowledgement
)

// TestFabricKillInsideABlock kills the process while a receiver is inside a block of 500 events, after the first, the last and 18 between: whatever the
// receiver had acknowledged, it gets every event, in the order of the block and with the id that it has at every delivery. Half of the kills come at once,
// and bring again what was on its way and as many deliveries as may not have been stored; before the others there is time for that, and nothing comes again but
// what was on its way.
func TestFabricKillInsideABlock(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{Channels: []fabricnet.ChannelOptions{{Name: fullChannel, BatchTimeout: 10 * time.Second, MaxMessageCount: fullBlock}}})
	p := server.New(t, rig.env("PYRALIS_FABRIC_CHANNELS="+fabricnet.Channel+","+fullChannel, "PYRALIS_STORE_SQLITE_PATH="+t.TempDir(),
		fmt.Sprintf("PYRALIS_EVENTSTREAMS_MAXUNSTORED=%d", blockSlack)), "run")
	p.Start()
	c := client.New(p.URL)
	defer c.Close()
	block := fillBlock(t, rig, c)
	for i := range 20 {
		r := &blockRun{t: t, p: p, c: c, block: block, killAfter: max(1, i*fullBlock/19), calm: i%2 == 1, ids: map[string]string{}}
		r.run(fmt.Sprintf("stream-%d", i))
	}
}

// fillBlock returns the hashes of a block's transactions, which have an event each.
func fillBlock(t *testing.T, rig *fabricRig, c *client.Client) []string {
	t.Helper()
	for try := range 5 { // a slow machine may not send 500 before the block is cut
		var batch []*client.Invocation
		for i := range fullBlock {
			id := fmt.Sprintf("fill-%d-%03d", try, i)
			batch = append(batch, &client.Invocation{
				ID: id, From: "user1", To: fullChannel + "/assets", Method: "event", Params: []any{blockEvent, map[string]string{"request": id}},
			})
		}
		items, err := c.SubmitBatch(t.Context(), batch)
		require.NoError(t, err)
		for _, item := range items {
			require.Equal(t, 202, item.Status, "%s", item.Error)
		}
		for _, i := range batch {
			require.Equal(t, "Succeeded", ended(t, c, i.ID).Status)
		}
		txs, err := rig.ledger.Transactions(t.Context(), fullChannel)
		require.NoError(t, err)
		byBlock := map[uint64][]string{}
		for _, tx := range slices.DeleteFunc(txs, func(tx *fabricledger.Tx) bool { return tx.Event != blockEvent }) {
			if !tx.Valid() { // a copy that was sent while the first was on its way
				require.Equal(t, "DUPLICATE_TXID", tx.Code.String())
				continue
			}
			byBlock[tx.Block] = append(byBlock[tx.Block], tx.ID)
		}
		for number, ids := range byBlock {
			t.Logf("block %d has %d events", number, len(ids))
			if len(ids) == fullBlock {
				return ids
			}
		}
	}
	require.FailNow(t, "there is no full block")
	return nil
}

// blockRun is one stream and its receiver over one kill.
type blockRun struct {
	t         *testing.T
	p         *server.Process
	c         *client.Client
	block     []string // transactions, in order
	killAfter int      // events that the receiver has got
	calm      bool     // not at once

	got    []string          // transactions in the order of their first delivery
	ids    map[string]string // of the event, by transaction
	again  int
	killed bool
}

// run delivers the block to a new stream. The ledger may hold more than this block, of earlier tries to fill one.
func (r *blockRun) run(stream string) {
	kind, from := apitypes.StreamWebSocket, apitypes.BlockNumber(apitypes.FromBlockEarliest)
	size := uint64(blockBatch)
	_, err := r.c.CreateStream(r.t.Context(), &apitypes.EventStream{Name: &stream, Type: &kind, BatchSize: &size})
	require.NoError(r.t, err)
	_, err = r.c.CreateListener(r.t.Context(), stream, &apitypes.Listener{
		Name: &stream, FromBlock: &from,
		Filters: []json.RawMessage{json.RawMessage(`{"channel":"` + fullChannel + `","chaincode":"assets","event":"` + blockEvent + `"}`)},
	})
	require.NoError(r.t, err)
	for !r.receive(stream) {
		require.NoError(r.t, r.t.Context().Err())
		r.p.Start()
	}
	require.True(r.t, r.killed)
	require.Equal(r.t, r.block, r.got, "after %d events", r.killAfter)
	bound := blockBatch * blockWindow
	if !r.calm {
		bound += blockBatch * blockSlack
	}
	require.LessOrEqual(r.t, r.again, bound, "more came again than was on its way or may not have been stored")
	r.t.Logf("killed after %d events: %d came again", r.killAfter, r.again)
	require.NoError(r.t, r.c.DeleteStream(r.t.Context(), stream))
}

var errKill = errors.New("now")

// receive takes events until all are there (true), or until the process is to be killed.
func (r *blockRun) receive(stream string) bool {
	ctx, cancel := context.WithTimeoutCause(r.t.Context(), endWithin, errors.New("the events do not come"))
	defer cancel()
	kill, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := (&client.Consumer{URL: r.p.URL, Stream: stream, Window: blockWindow, Handle: func(ctx context.Context, b *client.Batch) error {
		for _, raw := range b.Events {
			var e apitypes.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			r.take(&e)
		}
		if !r.killed && len(r.got) >= r.killAfter {
			r.killed = true
			if r.calm {
				server.Pause(r.t, settle)
			}
			r.p.Kill() // while the batch is held
			stop(errKill)
			return ctx.Err()
		}
		if len(r.got) == len(r.block) {
			return client.ErrStop
		}
		return nil
	}}).Run(kill)
	if errors.Is(err, errKill) {
		return false
	}
	require.NoError(r.t, err)
	return true
}

// take notes one event of the block.
func (r *blockRun) take(e *apitypes.Event) {
	if !slices.Contains(r.block, e.TransactionHash) {
		return
	}
	id, again := r.ids[e.TransactionHash]
	if again {
		r.again++
		require.Equal(r.t, id, e.ID, "an event has one id")
		return
	}
	r.ids[e.TransactionHash] = e.ID
	r.got = append(r.got, e.TransactionHash)
}
