//go:build fabric

package fabric_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// stateChange is one write of a valid transaction.
type stateChange struct {
	Block, Tx uint64
	ID        string
	Namespace string          `json:"namespace"`
	Key       string          `json:"key"`
	IsDelete  bool            `json:"isDelete"`
	Value     string          `json:"-"`
	JSON      json.RawMessage `json:"value"`
	Base64    []byte          `json:"valueBase64"`
}

// fetchChanges reads the ledger with Fabric's own command and the generated code.
func fetchChanges(ctx context.Context, t *testing.T, n *fabricnet.Network, head uint64) (out []stateChange) {
	t.Helper()
	for number := range head + 1 {
		path := filepath.Join(t.TempDir(), "block")
		_, err := n.Peer(ctx, 1, "channel", "fetch", strconv.FormatUint(number, 10), path, "-c", fabricnet.Channel)
		require.NoError(t, err)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		var b common.Block
		require.NoError(t, proto.Unmarshal(raw, &b))
		require.NoError(t, fabric.EachValid(&b, func(index int, id string, did *peer.ChaincodeAction) error {
			var set rwset.TxReadWriteSet
			err := proto.Unmarshal(did.GetResults(), &set)
			for _, ns := range set.GetNsRwset() {
				var kv kvrwset.KVRWSet
				err = errors.Join(err, proto.Unmarshal(ns.GetRwset(), &kv))
				for _, w := range kv.GetWrites() {
					out = append(out, stateChange{
						Block: number, Tx: uint64(index), ID: id, Namespace: ns.GetNamespace(), Key: w.GetKey(), IsDelete: w.GetIsDelete(), Value: string(w.GetValue()),
					})
				}
			}
			return err
		}))
	}
	return out
}

// readAll reads all events of a listener from its start up to a block.
func readAll(t *testing.T, c *fabric.Connector, options, from string, upto ffcapi.BlockRef, filters ...string) (out []ffcapi.Event) {
	t.Helper()
	spec := &ffcapi.ListenerSpec{FromBlock: from, Options: json.RawMessage(options)}
	for _, f := range filters {
		spec.Filters = append(spec.Filters, json.RawMessage(f))
	}
	l, err := c.Listener(t.Context(), spec)
	require.NoError(t, err)
	for p, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: l.Start, Upto: upto}) {
		require.NoError(t, err)
		out = append(out, p.Events...)
	}
	return out
}

// TestFabricWrites makes thousands of random changes, and compares what a listener for writes gets with the ledger.
func TestFabricWrites(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c, ctx := open(t, n), t.Context()
	const txs, perTx = 100, 50
	rnd := rand.New(rand.NewPCG(1, 2))
	type change struct {
		Key    string `json:"key"`
		Value  string `json:"value,omitempty"`
		Delete bool   `json:"delete,omitempty"`
	}
	var last *ffcapi.Submission
	for i := range txs {
		var changes []change
		for j := range perTx {
			ch := change{Key: fmt.Sprint("key-", rnd.IntN(500)), Delete: rnd.IntN(3) == 0}
			switch {
			case ch.Delete:
			case rnd.IntN(2) == 0:
				ch.Value = fmt.Sprintf(`{"tx":%d,"n":%d}`, i, j)
			default:
				ch.Value = fmt.Sprintf("plain text %d \x00 %d", i, j)
			}
			changes = append(changes, ch)
		}
		arg, err := json.Marshal(changes)
		require.NoError(t, err)
		text, err := json.Marshal(string(arg))
		require.NoError(t, err)
		last = submission(t, c, request("user1", "putMany", string(text)))
		_, err = c.Submit(ctx, last)
		require.NoError(t, err)
	}
	require.True(t, commit(t, c, last).Success)
	var head ffcapi.BlockRef
	seen := map[uint64]bool{}
	require.Eventually(t, func() bool { // until no block comes any more
		l, err := c.Ledger(ctx, "ch1")
		require.NoError(t, err)
		settled := seen[l.Head.Number]
		head, seen = l.Head, map[uint64]bool{l.Head.Number: true}
		return settled
	}, time.Minute, 2*time.Second)

	want := fetchChanges(ctx, t, n, head.Number)
	require.Greater(t, len(want), txs*perTx/2)
	got := readAll(t, c, "", "earliest", head, `{"channel":"ch1","type":"write"}`)
	require.Len(t, got, len(want))
	for i, ev := range got {
		var data stateChange
		require.NoError(t, json.Unmarshal(ev.Data, &data))
		require.Equal(t, want[i].Block, ev.Cursor.Block)
		require.Equal(t, want[i].Tx, ev.Cursor.Tx)
		require.Equal(t, want[i].ID, ev.TxHash)
		require.Equal(t, want[i].Namespace, data.Namespace)
		require.Equal(t, want[i].Key, data.Key)
		require.Equal(t, want[i].IsDelete, data.IsDelete)
		require.Equal(t, want[i].Value, string(data.JSON)+string(data.Base64))
	}
	some := readAll(t, c, `{"payload":"filtered"}`, "earliest", head, `{"type":"write","chaincode":"assets","keyPrefix":"key-4","isDelete":false}`)
	require.NotEmpty(t, some)
	for _, ev := range some {
		require.NotContains(t, string(ev.Data), "value")
	}
	prefixed := 0
	for _, w := range want {
		if w.Namespace == "assets" && !w.IsDelete && strings.HasPrefix(w.Key, "key-4") {
			prefixed++
		}
	}
	require.Len(t, some, prefixed)
}

// TestFabricInvalidTransactions: who loses a race on a key is seen only by those who ask for it, with the reason.
func TestFabricInvalidTransactions(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{})
	c, ctx := open(t, n), t.Context()
	first := create(t, c, "a")
	winner, loser := submission(t, c, request("user1", "update", `"a"`, `2`)), submission(t, c, request("user1", "update", `"a"`, `3`))
	require.True(t, commit(t, c, winner).Success)
	lost := commit(t, c, loser)
	require.False(t, lost.Success)
	names := func(events []ffcapi.Event) (out []string) {
		for _, ev := range events {
			out = append(out, ev.TxHash)
		}
		return out
	}
	const events, functions = `{"chaincode":"assets","event":"AssetUpdated"}`, `{"type":"transaction","chaincode":"assets","function":"update"}`
	for _, filter := range []string{events, functions} {
		require.Equal(t, []string{winner.Prepared.Hash}, names(readAll(t, c, "", "earliest", lost.Block, filter)))
		all := readAll(t, c, `{"includeInvalid":true}`, "earliest", lost.Block, filter)
		require.Equal(t, []string{winner.Prepared.Hash, loser.Prepared.Hash}, names(all))
		require.NotContains(t, string(all[0].Info), "validationCode")
		require.Contains(t, string(all[1].Info), `"validationCode":"MVCC_READ_CONFLICT"`)
	}
	conflicts := readAll(t, c, "", "earliest", lost.Block, `{"type":"transaction","validationCode":"MVCC_READ_CONFLICT"}`)
	require.Equal(t, []string{loser.Prepared.Hash}, names(conflicts))
	require.JSONEq(t, `{"chaincode":"assets","function":"update","validationCode":"MVCC_READ_CONFLICT","signer":"Org1MSP/User1@org1.test","args":["a",3]}`,
		string(conflicts[0].Data))

	// Starts at a transaction and at a time.
	const assets = `{"chaincode":"assets"}`
	require.Equal(t, []string{winner.Prepared.Hash}, names(readAll(t, c, "", "txid:"+winner.Prepared.Hash, lost.Block, assets)))
	b, err := c.Block(ctx, "ch1", first.Block.Number)
	require.NoError(t, err)
	since := readAll(t, c, "", "time:"+b.Timestamp.Format(time.RFC3339Nano), lost.Block, assets)
	require.Len(t, since, 2)
	require.Equal(t, first.Block.Hash, since[0].BlockHash)
	_, err = c.Listener(ctx, &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(assets)}, FromBlock: "txid:" + loser.Prepared.Hash + "0"})
	requireError(t, err, ffcapi.InvalidInput)

	configs := readAll(t, c, `{"payload":"filtered"}`, "earliest", lost.Block, `{"type":"config"}`)
	require.NotEmpty(t, configs)
	require.JSONEq(t, `{"sequence":0}`, string(configs[0].Data))
	blocks := readAll(t, c, "", "earliest", lost.Block, `{"type":"block"}`)
	require.Len(t, blocks, int(lost.Block.Number)+1)
}
