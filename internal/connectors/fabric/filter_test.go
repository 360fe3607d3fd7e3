package fabric

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func namespace(name string, writes ...*kvrwset.KVWrite) *rwset.NsReadWriteSet {
	return &rwset.NsReadWriteSet{Namespace: name, Rwset: marshal(&kvrwset.KVRWSet{Writes: writes})}
}

// mineAll adds a block with something of everything, and one that configures the channel.
func mineAll(f *fakePeer) {
	created := &peer.ChaincodeEvent{ChaincodeId: "assets", EventName: "Created", Payload: []byte(`{"id":"a"}`)}
	f.mine(
		testTx{id: "t0", time: noon, event: created, call: []string{"create", "a", `{"n":1}`, ""}, result: "ok", sets: []*rwset.NsReadWriteSet{
			namespace("assets", &kvrwset.KVWrite{Key: "order-1", Value: []byte(`{"n":1}`)}, &kvrwset.KVWrite{Key: "order-2", IsDelete: true}),
			namespace("other", &kvrwset.KVWrite{Key: "\x00type\x00k\x00", Value: []byte{0xff}}, &kvrwset.KVWrite{Key: "gone"}),
		}},
		testTx{
			id: "t1", time: noon, code: peer.TxValidationCode_MVCC_READ_CONFLICT, event: created, call: []string{"create", "a"},
			sets: []*rwset.NsReadWriteSet{namespace("assets", &kvrwset.KVWrite{Key: "order-1", Value: []byte("never")})},
		},
		testTx{id: "t0", time: noon, code: peer.TxValidationCode_DUPLICATE_TXID, event: created, call: []string{"create"}},
		testTx{raw: []byte{0xff}, code: peer.TxValidationCode_BAD_PAYLOAD},
		testTx{id: "t4", time: noon.Add(time.Second), call: []string{"remove", "a"}, sets: []*rwset.NsReadWriteSet{}},
		testTx{id: "t5", code: peer.TxValidationCode_BAD_RESPONSE_PAYLOAD, time: noon, raw: nil, kind: common.HeaderType_ENDORSER_TRANSACTION},
	)
	config := testTx{kind: common.HeaderType_CONFIG, time: noon.Add(time.Minute)}
	f.mine(testTx{raw: marshal(&common.Envelope{Payload: marshal(&common.Payload{
		Header: config.header(), Data: marshal(&common.ConfigEnvelope{Config: &common.Config{Sequence: 3}}),
	})})})
}

// shownEvents reads everything as text: position, transaction, name, address, info and data.
func shownEvents(t *testing.T, c *Connector, f *fakePeer, options string, filters ...string) (out []string) {
	t.Helper()
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(filters...), Options: json.RawMessage(options), FromBlock: "1"})
	require.NoError(t, err)
	for p, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: l.Start, Upto: f.ref(2)}) {
		require.NoError(t, err)
		for _, ev := range p.Events {
			require.Equal(t, []int{0}, ev.Matches)
			require.False(t, ev.Timestamp.IsZero())
			require.True(t, json.Valid(ev.Data), "%s", ev.Data)
			out = append(out, fmt.Sprintf("%d/%d/%d %s %s %s %s %s", ev.Cursor.Block, ev.Cursor.Tx, ev.Cursor.Log, ev.TxHash, ev.Name, ev.Address, ev.Info, ev.Data))
		}
	}
	return out
}

func TestFilters(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	mineAll(f)
	const (
		event      = `1/0/0 t0 Created ch1/assets {"channel":"ch1","chaincodeId":"assets","eventName":"Created"} {"id":"a"}`
		lost       = `1/1/0 t1 Created ch1/assets {"channel":"ch1","chaincodeId":"assets","eventName":"Created","validationCode":"MVCC_READ_CONFLICT"} {"id":"a"}`
		txInfo     = `{"channel":"ch1","type":"transaction","chaincodeId":"assets"}`
		conflicted = `{"channel":"ch1","type":"transaction","chaincodeId":"assets","validationCode":"MVCC_READ_CONFLICT"}`
		create     = `1/0/1 t0 transaction ch1/assets ` + txInfo + ` {"chaincode":"assets","function":"create","validationCode":"VALID","args":["a",{"n":1},""],"result":"ok"}`
		createLost = `1/1/1 t1 transaction ch1/assets ` + conflicted + ` {"chaincode":"assets","function":"create","validationCode":"MVCC_READ_CONFLICT","args":["a"]}`
		remove     = `1/4/1 t4 transaction ch1/assets ` + txInfo + ` {"chaincode":"assets","function":"remove","validationCode":"VALID","args":["a"]}`
		bad        = `1/5/1 t5 transaction ch1/assets {"channel":"ch1","type":"transaction","chaincodeId":"assets","validationCode":"BAD_RESPONSE_PAYLOAD"} ` +
			`{"chaincode":"assets","function":"","validationCode":"BAD_RESPONSE_PAYLOAD"}`
		inAssets = ` t0 write ch1/assets {"channel":"ch1","type":"write","chaincodeId":"assets"} `
		inOther  = ` t0 write ch1/other {"channel":"ch1","type":"write","chaincodeId":"other"} `
		put      = `1/0/2` + inAssets + `{"namespace":"assets","key":"order-1","isDelete":false,"value":{"n":1}}`
		del      = `1/0/3` + inAssets + `{"namespace":"assets","key":"order-2","isDelete":true}`
		raw      = `1/0/4` + inOther + `{"namespace":"other","key":"\u0000type\u0000k\u0000","isDelete":false,"valueBase64":"/w=="}`
		toNone   = `1/0/5` + inOther + `{"namespace":"other","key":"gone","isDelete":true}`
	)
	parent := f.ref(0).Hash
	block1 := `1/6/0  block ch1 {"channel":"ch1","type":"block"} {"parentHash":"` + parent + `","transactionCount":6,"transactions":[` +
		`{"id":"t0","index":0,"validationCode":"VALID"},{"id":"t1","index":1,"validationCode":"MVCC_READ_CONFLICT"},` +
		`{"id":"t4","index":4,"validationCode":"VALID"},{"id":"t5","index":5,"validationCode":"BAD_RESPONSE_PAYLOAD"}]}`
	block2 := `2/1/0  block ch1 {"channel":"ch1","type":"block"} {"parentHash":"` + f.ref(1).Hash + `","transactionCount":1}`
	config := `2/0/0  config ch1 {"channel":"ch1","type":"config"} {"sequence":3,"config":"CAM="}`
	for _, test := range []struct {
		name, options string
		filters       []string
		want          []string
	}{
		{"events", ``, []string{`{"chaincode":"assets"}`}, []string{event}},
		{"events by type", ``, []string{`{"type":"event","chaincode":"assets","event":"/^Cre/"}`}, []string{event}},
		{"no event", ``, []string{`{"chaincode":"assets","event":"/^rea/"}`, `{"chaincode":"other"}`}, nil},
		{"invalid events", `{"includeInvalid":true}`, []string{`{"chaincode":"assets","event":"Created"}`}, []string{event, lost}},
		{"filtered events", `{"payload":"filtered"}`, []string{`{"chaincode":"assets"}`}, []string{event[:len(event)-len(`{"id":"a"}`)] + "null"}},
		{"transactions", `{"payload":"full"}`, []string{`{"type":"transaction"}`}, []string{create, remove}},
		{"a function", ``, []string{`{"type":"transaction","chaincode":"assets","function":"remove"}`}, []string{remove}},
		{"functions", ``, []string{`{"type":"transaction","function":"/e$/"}`}, []string{create, remove}},
		{"another chaincode", ``, []string{`{"type":"transaction","chaincode":"other"}`}, nil},
		{"all transactions", `{"includeInvalid":true}`, []string{`{"type":"transaction"}`}, []string{create, createLost, remove, bad}},
		{"losers", ``, []string{`{"type":"transaction","validationCode":["MVCC_READ_CONFLICT","PHANTOM_READ_CONFLICT"]}`}, []string{createLost}},
		{
			"filtered transactions", `{"payload":"filtered"}`, []string{`{"type":"transaction","function":"create","validationCode":"VALID"}`},
			[]string{`1/0/1 t0 transaction ch1/assets ` + txInfo + ` {"chaincode":"assets","function":"create","validationCode":"VALID"}`},
		},
		{"writes", `{"includeInvalid":true}`, []string{`{"type":"write"}`}, []string{put, del, raw, toNone}},
		{"writes of a chaincode", ``, []string{`{"type":"write","chaincode":"assets"}`}, []string{put, del}},
		{"writes of a namespace", ``, []string{`{"type":"write","namespace":"other","isDelete":true}`}, []string{toNone}},
		{"keys", ``, []string{`{"type":"write","keyPrefix":"order-"}`, `{"type":"write","keyPrefix":"ord"}`}, []string{put, del}},
		{"puts", ``, []string{`{"type":"write","keyPrefix":"order-","isDelete":false}`}, []string{put}},
		{
			"filtered writes", `{"payload":"filtered"}`, []string{`{"type":"write","isDelete":false,"namespace":"assets"}`},
			[]string{`1/0/2` + inAssets + `{"namespace":"assets","key":"order-1","isDelete":false}`},
		},
		{"blocks", ``, []string{`{"type":"block"}`}, []string{block1, block2}},
		{"filtered blocks", `{"payload":"filtered"}`, []string{`{"type":"block"}`}, []string{
			`1/6/0  block ch1 {"channel":"ch1","type":"block"} {"parentHash":"` + parent + `","transactionCount":6}`, block2,
		}},
		{"configurations", ``, []string{`{"type":"config"}`}, []string{config}},
		{"filtered configurations", `{"payload":"filtered"}`, []string{`{"type":"config"}`}, []string{`2/0/0  config ch1 {"channel":"ch1","type":"config"} {"sequence":3}`}},
		{
			"everything in order", ``, []string{`{"type":"config"}`, `{"type":"block"}`, `{"type":"write","chaincode":"assets"}`, `{"type":"transaction"}`, `{"chaincode":"assets"}`},
			[]string{event, create, put, del, remove, block1, config, block2},
		},
	} {
		require.Equal(t, test.want, shownEvents(t, c, f, test.options, test.filters...), test.name)
	}
}

// One session serves listeners that want different forms of the same, and goes on at any position.
func TestFormsAndPositions(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	mineAll(f)
	var listeners []*ffcapi.Listener
	for _, options := range []string{`{"payload":"filtered"}`, ``, `{"includeInvalid":true}`} {
		l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{
			Filters: raws(`{"chaincode":"assets"}`, `{"type":"write"}`, `{"type":"block"}`), Options: json.RawMessage(options), FromBlock: "earliest",
		})
		require.NoError(t, err)
		for _, other := range listeners {
			require.NotEqual(t, other.Key, l.Key, "they match different things")
		}
		listeners = append(listeners, l)
	}
	read := func(from ffcapi.Cursor) (out []ffcapi.Event) {
		for p, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: listeners, From: from, Upto: f.ref(2)}) {
			require.NoError(t, err)
			out = append(out, p.Events...)
		}
		return out
	}
	all := read(ffcapi.BlockStart(1))
	require.Equal(t, []int{1, 2}, all[0].Matches)
	require.JSONEq(t, `{"id":"a"}`, string(all[0].Data))
	require.Equal(t, []int{0}, all[1].Matches)
	require.JSONEq(t, "null", string(all[1].Data))
	require.Equal(t, all[0].Cursor, all[1].Cursor)
	for i := range all {
		if i > 0 && all[i].Cursor == all[i-1].Cursor {
			continue
		}
		require.Equal(t, all[i:], read(all[i].Cursor), "from %s", all[i].Cursor)
	}
}

// What is stored of a listener for events decides about its key, and must stay what it was.
func TestStoredFormOfEventFilters(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"b","event":"E"}`, `{"type":"event","chaincode":"a"}`), Options: json.RawMessage(`{"payload":"full"}`)})
	require.NoError(t, err)
	require.Equal(t, `{"filters":[{"channel":"ch1","chaincode":"a"},{"channel":"ch1","chaincode":"b","event":"E"}]}`, string(l.Resolved)) //nolint:testifylint // the very bytes count
}

func TestUnreadableWritesOfAValidTransaction(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c := connect(t, f)
	f.mine(testTx{id: "t", time: noon, sets: []*rwset.NsReadWriteSet{{Namespace: "assets", Rwset: []byte{0xff}}}})
	l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"type":"write"}`), FromBlock: "1"})
	require.NoError(t, err)
	for _, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: l.Start, Upto: f.ref(1)}) {
		requireKind(t, err, ffcapi.Internal, "transaction t")
	}
	pages, err := readEvents(t, c, ffcapi.Cursor{}, f.ref(1), 0)
	require.NoError(t, err, "who does not ask for writes does not need them")
	require.NotEmpty(t, pages)
}

// TestWritesAgreeWithProtobuf compares the walk over a read-write set with the generated code, for any content.
func TestWritesAgreeWithProtobuf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := &rwset.TxReadWriteSet{}
		var want []*write
		for range rapid.IntRange(0, 4).Draw(t, "namespaces") {
			name := rapid.String().Draw(t, "namespace")
			kv := &kvrwset.KVRWSet{Reads: []*kvrwset.KVRead{{Key: "read"}}}
			for range rapid.IntRange(0, 4).Draw(t, "writes") {
				w := &kvrwset.KVWrite{
					Key: rapid.String().Draw(t, "key"), IsDelete: rapid.Bool().Draw(t, "delete"), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
				}
				kv.Writes = append(kv.Writes, w)
				want = append(want, &write{namespace: name, key: w.GetKey(), value: w.GetValue(), isDelete: w.GetIsDelete() || len(w.GetValue()) == 0})
			}
			ns := namespace(name)
			ns.Rwset = marshal(kv)
			ns.CollectionHashedRwset = []*rwset.CollectionHashedReadWriteSet{{CollectionName: "private", HashedRwset: []byte("hashes")}}
			set.NsRwset = append(set.NsRwset, ns)
		}
		got, err := decodeWrites(marshal(set))
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range got {
			require.Equal(t, want[i].namespace, got[i].namespace)
			require.Equal(t, want[i].key, got[i].key)
			require.Equal(t, string(want[i].value), string(got[i].value))
			require.Equal(t, want[i].isDelete, got[i].isDelete)
		}
	})
}

func FuzzDecodeWrites(f *testing.F) {
	f.Add(marshal(&rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{namespace("a", &kvrwset.KVWrite{Key: "k", Value: []byte("v")})}}))
	f.Add([]byte{0x12, 0x02, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeWrites(b)
		if err != nil {
			return
		}
		for i := range got {
			require.True(t, json.Valid(got[i].full(&room{})))
			require.True(t, json.Valid(got[i].filtered()))
		}
	})
}
