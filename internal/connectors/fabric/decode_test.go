package fabric

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
)

var (
	noon  = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.UTC)
	event = &peer.ChaincodeEvent{ChaincodeId: "assets", TxId: "t", EventName: "AssetCreated", Payload: []byte(`{"id":"a"}`)}
)

func TestDecodeBlock(t *testing.T) {
	t.Parallel()
	genesis := makeBlock(nil, testTx{kind: common.HeaderType_CONFIG, time: noon.Add(-time.Hour)})
	raw := makeBlock(genesis,
		testTx{id: "t0", time: noon, event: event, result: `{"x":1}`},
		testTx{id: "t1", time: noon.Add(time.Hour), code: peer.TxValidationCode_MVCC_READ_CONFLICT, event: event, result: "1"},
		testTx{id: "t0", time: noon, code: peer.TxValidationCode_DUPLICATE_TXID, event: event},
		testTx{raw: []byte{0xff, 0xff}, code: peer.TxValidationCode_BAD_PAYLOAD},
		testTx{id: "t4", time: noon.Add(time.Minute)},
		testTx{id: "cfg", kind: common.HeaderType_CONFIG, time: noon},
	)
	b, err := decodeBlock(marshal(raw))
	require.NoError(t, err)
	require.Equal(t, ffcapi.BlockRef{Number: 1, Hash: hex.EncodeToString(hashOf(raw.GetHeader()))}, b.BlockRef)
	require.Equal(t, hex.EncodeToString(hashOf(genesis.GetHeader())), b.parent)
	require.Equal(t, noon.Add(time.Minute), b.time, "the newest time of its valid transactions")

	var got []string
	for i := range b.txs {
		got = append(got, b.txs[i].id)
		require.Equal(t, []uint64{0, 1, 4, 5}[i], b.txs[i].index, "positions are those of the block")
	}
	require.Equal(t, []string{"t0", "t1", "t4", "cfg"}, got, "a duplicate is never listed, nor what has no id")
	require.Equal(t, &chaincodeEvent{chaincode: "assets", name: "AssetCreated", payload: []byte(`{"id":"a"}`)}, b.txs[0].event)
	require.Equal(t, len(marshal(raw))+6*entryBytes, b.memory())
	require.Equal(t, 6, b.count)
	require.Equal(t, noon, b.txs[0].time)
	require.JSONEq(t, `{"x":1}`, string(b.txs[0].result))
	require.Nil(t, b.txs[1].event, "the event of an invalid transaction has not happened")
	require.Nil(t, b.txs[1].result)
	require.Nil(t, b.txs[2].event)

	out := b.block()
	require.True(t, out.Outcomes)
	require.Equal(t, ffcapi.TxOutcome{Hash: "t0", Success: true, Result: []byte(`{"x":1}`)}, out.Transactions[0])
	require.Equal(t, ffcapi.TxOutcome{Hash: "t1", Index: 1, Reason: "MVCC_READ_CONFLICT", Retryable: true}, out.Transactions[1])

	first, err := decodeBlock(marshal(genesis))
	require.NoError(t, err)
	require.Empty(t, first.parent)
	require.Empty(t, first.block().Transactions)
	require.Len(t, first.txs, 1, "a configuration without an id")
}

func TestBlockHashIsFabrics(t *testing.T) {
	t.Parallel()
	// A number of more than 63 bits and one whose first bit is set, where an encoder can go wrong.
	for _, number := range []uint64{0, 1, 127, 128, 255, 256, 1 << 63, 1<<64 - 1} {
		h := &common.BlockHeader{Number: number, PreviousHash: []byte{0x80, 1}, DataHash: []byte("data")}
		got, err := headerHash(h)
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(hashOf(h)), got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	noVerdicts := makeBlock(nil, testTx{id: "a"})
	noVerdicts.Metadata = nil
	tooFew := makeBlock(nil, testTx{id: "a"}, testTx{id: "b"})
	tooFew.Metadata.Metadata[2] = []byte{0}
	for want, b := range map[string]*common.Block{
		"no header":                     {},
		"block 0: the verdicts":         noVerdicts,
		"the verdicts on its":           tooFew,
		"block 0: transaction 1: envel": makeBlock(nil, testTx{id: "a"}, testTx{raw: []byte{0xff}}),
	} {
		_, err := decodeBlock(marshal(b))
		require.ErrorContains(t, err, want)
	}
}

// TestDecodeAgreesWithProtobuf compares the walk over the wire format with the generated code, for any content.
func TestDecodeAgreesWithProtobuf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := testTx{
			id:     rapid.StringMatching(`[a-f0-9]{1,64}`).Draw(t, "id"),
			time:   time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC(),
			result: rapid.String().Draw(t, "result"),
			event: &peer.ChaincodeEvent{
				ChaincodeId: rapid.String().Draw(t, "chaincode"), EventName: rapid.String().Draw(t, "name"), Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
			},
		}
		var got tx
		require.NoError(t, decodeTx(&got, want.envelope()))
		require.Equal(t, want.id, got.id)
		require.Equal(t, want.time, got.time)
		require.Equal(t, want.result, string(got.result))
		if proto.Size(want.event) == 0 {
			require.Nil(t, got.event)
			return
		}
		require.Equal(t, want.event.GetChaincodeId(), got.event.chaincode)
		require.Equal(t, want.event.GetEventName(), got.event.name)
		require.Equal(t, string(want.event.GetPayload()), string(got.event.payload))
	})
}

func TestConflictKeys(t *testing.T) {
	t.Parallel()
	keysOf := func(tx testTx) []string {
		var env common.Envelope
		require.NoError(t, proto.Unmarshal(tx.envelope(), &env))
		keys, err := conflictKeys("ch1", &env)
		require.NoError(t, err)
		return keys
	}
	require.Equal(t, []string{"ch1/assets/%00type%00a%00", "ch1/assets/b"},
		keysOf(testTx{reads: []string{"a", "b", "\x00type\x00a\x00"}, writes: []string{"\x00type\x00a\x00", "b", "c"}}))
	require.Nil(t, keysOf(testTx{reads: []string{"a"}, writes: []string{"b"}}), "what is only read or only written makes no conflict of two writers")
	_, err := conflictKeys("ch1", &common.Envelope{Payload: []byte{0xff}})
	require.Error(t, err)

	private := marshal(&kvrwset.HashedRWSet{
		HashedReads:  []*kvrwset.KVReadHash{{KeyHash: []byte{1, 0xfe}}, {KeyHash: []byte{2}}},
		HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte{1, 0xfe}}, {KeyHash: []byte{3}}},
	})
	collections := []*rwset.CollectionHashedReadWriteSet{{CollectionName: "secrets", HashedRwset: private}}
	sets := []*rwset.NsReadWriteSet{{Namespace: "assets", CollectionHashedRwset: collections}}
	require.Equal(t, []string{"ch1/assets/secrets/01fe"}, keysOf(testTx{sets: sets}), "of private data there are hashes")
	collections[0].HashedRwset = []byte{0xff}
	_, err = conflictKeys("ch1", &common.Envelope{Payload: marshal(&common.Payload{Data: testTx{sets: sets}.transaction()})})
	require.ErrorContains(t, err, "read-write set of assets, collection secrets")
}

func TestShownAsJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{ // result, event data
		"":           {"", "null"},
		`{"a": 1}`:   {`{"a": 1}`, `{"a": 1}`},
		"plain":      {`"plain"`, `"cGxhaW4="`},
		"\xff\x00":   {`"/wA="`, `"/wA="`},
		`"a string"`: {`"a string"`, `"a string"`},
	} {
		require.Equal(t, want[0], string(asJSON([]byte(in))))
		require.Equal(t, want[1], string((&chaincodeEvent{payload: []byte(in)}).full(&room{})))
	}
}

func BenchmarkDecodeBlock(b *testing.B) {
	var txs []testTx
	for range 500 {
		txs = append(txs, testTx{id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", time: noon, event: event, result: "{}"})
	}
	raw := makeBlock(nil, txs...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeBlock(marshal(raw)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/tx")
}
