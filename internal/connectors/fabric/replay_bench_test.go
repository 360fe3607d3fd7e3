package fabric

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// manyTxs gives a peer blocks of transactions with events, as large as those of a real network.
func manyTxs(f *fakePeer, blocks, each int) {
	certificate := strings.Repeat("certificate ", 70)
	for n := range blocks {
		var txs []testTx
		for i := range each {
			id := fmt.Sprintf("%064x", n*each+i)
			txs = append(txs, testTx{
				id: id, time: noon.Add(time.Duration(n) * time.Second), call: []string{"create", id, certificate, certificate},
				event:  &peer.ChaincodeEvent{ChaincodeId: "assets", TxId: id, EventName: "AssetCreated", Payload: []byte(`{"id":"` + id + `","value":{"color":"blue","size":5},"owner":"Org1MSP"}`)},
				result: `{"id":"` + id + `"}`,
				sets:   []*rwset.NsReadWriteSet{namespace("assets", &kvrwset.KVWrite{Key: id, Value: []byte(certificate)})},
			})
		}
		f.mine(txs...)
	}
}

const replayBlocks, replayEach = 60, 500

func BenchmarkReplay(b *testing.B) {
	f := newFakePeer(b)
	c := connect(b, f)
	manyTxs(f, replayBlocks, replayEach)
	upto := f.ref(replayBlocks)
	l, err := c.Listener(b.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(b, err)
	b.Run("connector", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			events := 0
			for p, err := range c.Events(b.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, Upto: upto}) {
				require.NoError(b, err)
				events += len(p.Events)
			}
			require.Equal(b, replayBlocks*replayEach, events)
		}
		b.ReportMetric(float64(b.N*replayBlocks*replayEach)/b.Elapsed().Seconds(), "tx/s")
	})
	b.Run("bare", func(b *testing.B) {
		s, err := c.reader()
		require.NoError(b, err)
		gw, err := client.Connect(s.id, client.WithSign(s.sign), client.WithHash(s.hash), client.WithClientConnection(c.peers.nodes[0].conn))
		require.NoError(b, err)
		defer gw.Close()
		b.ReportAllocs()
		for b.Loop() {
			blocks, err := gw.GetNetwork("ch1").BlockEvents(b.Context(), client.WithStartBlock(0))
			require.NoError(b, err)
			events := 0
			for events < replayBlocks*replayEach {
				events += bareEvents(b, <-blocks)
			}
		}
		b.ReportMetric(float64(b.N*replayBlocks*replayEach)/b.Elapsed().Seconds(), "tx/s")
	})
}

// bareEvents decodes the events of a block as a client without Pyralis would.
func bareEvents(b *testing.B, block *common.Block) (count int) {
	b.Helper()
	require.NoError(b, EachValid(block, func(_ int, _ string, did *peer.ChaincodeAction) error {
		var ev peer.ChaincodeEvent
		err := proto.Unmarshal(did.GetEvents(), &ev)
		if ev.GetEventName() != "" {
			count++
		}
		return err
	}))
	return count
}
