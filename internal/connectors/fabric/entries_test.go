package fabric

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Peers mark duplicates only among the entries that are valid so far: what counts of an id may come after something of the same id, and before.
func TestOneEntryOfEachIDCounts(t *testing.T) {
	t.Parallel()
	const (
		good   = peer.TxValidationCode_VALID
		forged = peer.TxValidationCode_BAD_PROPOSAL_TXID
		policy = peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE
		again  = peer.TxValidationCode_DUPLICATE_TXID
	)
	for name, test := range map[string]struct {
		codes []peer.TxValidationCode
		want  uint64
	}{
		"forged before":      {[]peer.TxValidationCode{forged, good}, 1},
		"forged after":       {[]peer.TxValidationCode{good, forged}, 0},
		"many":               {[]peer.TxValidationCode{policy, forged, good, again, forged}, 2},
		"none valid":         {[]peer.TxValidationCode{policy, forged}, 0},
		"duplicate of later": {[]peer.TxValidationCode{again, policy}, 1},
	} {
		f := newFakePeer(t)
		c := connect(t, f)
		txs := []testTx{{id: "before", time: noon}}
		for _, code := range test.codes {
			txs = append(txs, testTx{id: "x", time: noon, code: code, event: event, call: []string{"create"}})
		}
		f.mine(append(txs, testTx{id: "after", time: noon})...)
		code := test.codes[test.want]

		b, err := c.Block(t.Context(), "ch1", 1)
		require.NoError(t, err, name)
		require.Len(t, b.Transactions, 3, name)
		require.Equal(t, []string{"before", "x", "after"}, []string{b.Transactions[0].Hash, b.Transactions[1].Hash, b.Transactions[2].Hash})
		require.Equal(t, test.want+1, b.Transactions[1].Index, name)
		require.Equal(t, code == good, b.Transactions[1].Success, name)

		r, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: "x"})
		require.NoError(t, err, name)
		require.Equal(t, test.want+1, r.TxIndex, name)
		require.Equal(t, code == good, r.Success, name)

		l, err := c.Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "1", Options: json.RawMessage(`{"includeInvalid":true}`)})
		require.NoError(t, err)
		for p, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{l}, From: l.Start, Upto: f.ref(1)}) {
			require.NoError(t, err)
			require.Len(t, p.Events, 1, name)
			require.Equal(t, test.want+1, p.Events[0].Cursor.Tx, name)
		}
	}
}

// An invalid entry has the id under which peers index it: one that they cannot read leaves its id free for a valid one in a later block.
func TestIDsOfInvalidEntries(t *testing.T) {
	t.Parallel()
	entry := func(h *common.Header) testTx {
		return testTx{raw: marshal(&common.Envelope{Payload: marshal(&common.Payload{Header: h})}), code: peer.TxValidationCode_BAD_COMMON_HEADER}
	}
	named := (testTx{id: "x", time: noon}).header()
	unreadable := append(marshal(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), TxId: "free"}), 0x22, 1, 0xff) // a channel that is not UTF-8
	nameless := (testTx{time: noon}).header()
	b, err := decodeBlock(marshal(makeBlock(
		nil,
		entry(&common.Header{ChannelHeader: named.GetChannelHeader(), SignatureHeader: []byte{0xff}}),
		entry(&common.Header{ChannelHeader: unreadable}),
		entry(nameless),
		entry(&common.Header{ChannelHeader: nameless.GetChannelHeader(), SignatureHeader: []byte{0xff}}),
		testTx{raw: marshal(&common.Envelope{}), code: peer.TxValidationCode_BAD_PAYLOAD},
	)))
	require.NoError(t, err)
	require.Len(t, b.txs, 2)
	require.Equal(t, "x", b.txs[0].id)
	require.Equal(t, idInIndex(entry(nameless).raw), b.txs[1].id)
	require.Len(t, b.txs[1].id, 64)
}

// Clients write the times, and the time of a block is that of what is valid in it.
func TestTimesOfClients(t *testing.T) {
	t.Parallel()
	at := func(stamp *timestamppb.Timestamp, code peer.TxValidationCode) testTx {
		header := testTx{id: fmt.Sprint("t", stamp, code)}.header()
		header.ChannelHeader = marshal(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), TxId: fmt.Sprint("t", stamp, code), Timestamp: stamp})
		return testTx{raw: marshal(&common.Envelope{Payload: marshal(&common.Payload{Header: header, Data: testTx{event: event}.transaction()})}), code: code}
	}
	const lost = peer.TxValidationCode_MVCC_READ_CONFLICT
	newest := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	for name, test := range map[string]struct {
		txs          []testTx
		block, event time.Time // of the first transaction
	}{
		"none":           {[]testTx{at(nil, 0)}, time.Time{}, time.Time{}},
		"before year 1":  {[]testTx{at(&timestamppb.Timestamp{Seconds: -62135596801}, 0)}, time.Time{}, time.Time{}},
		"year 10000":     {[]testTx{at(&timestamppb.Timestamp{Seconds: 253402300800}, 0)}, time.Time{}, time.Time{}},
		"far away":       {[]testTx{at(&timestamppb.Timestamp{Seconds: 1<<63 - 1}, 0)}, time.Time{}, time.Time{}},
		"nanos below 0":  {[]testTx{at(&timestamppb.Timestamp{Seconds: 1, Nanos: -1}, 0)}, time.Time{}, time.Time{}},
		"the last one":   {[]testTx{at(timestamppb.New(newest), 0)}, newest, newest},
		"the epoch":      {[]testTx{at(&timestamppb.Timestamp{}, 0)}, time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()},
		"of the block":   {[]testTx{at(nil, 0), at(timestamppb.New(noon), 0)}, noon, time.Time{}},
		"invalid, newer": {[]testTx{at(timestamppb.New(noon), 0), at(timestamppb.New(newest), lost)}, noon, noon},
		"invalid alone":  {[]testTx{at(timestamppb.New(noon), lost)}, time.Time{}, noon},
	} {
		b, err := decodeBlock(marshal(makeBlock(nil, test.txs...)))
		require.NoError(t, err, name)
		require.Equal(t, test.block, b.block().Timestamp, name)
		_, err = json.Marshal(b.block().Timestamp)
		require.NoError(t, err, name)
		m := newMatcher("ch1")
		filters, err := compileFilters([]filter{{Chaincode: "assets"}, {Type: typeBlock}})
		require.NoError(t, err)
		m.add(rule{invalid: true}, filters)
		events, err := m.read(nil, b, ffcapi.Cursor{})
		require.NoError(t, err)
		for i, want := range map[int]time.Time{0: test.event, len(events) - 1: test.block} {
			if want.IsZero() {
				require.Nil(t, events[i].Timestamp, name)
				continue
			}
			require.Equal(t, want, *events[i].Timestamp, name)
		}
	}
}

// A configuration comes at its place, and an invalid one only for who asks for it, marked.
func TestConfigurationsInOrder(t *testing.T) {
	t.Parallel()
	b, err := decodeBlock(marshal(makeBlock(nil,
		testTx{kind: common.HeaderType_CONFIG, time: noon, code: peer.TxValidationCode_INVALID_CONFIG_TRANSACTION},
		testTx{id: "x", time: noon, event: event},
		testTx{id: "c", kind: common.HeaderType_CONFIG, time: noon},
	)))
	require.NoError(t, err)
	for invalid, want := range map[bool][]string{
		false: {`1 {"channel":"ch1","chaincodeId":"assets","eventName":"AssetCreated"}`, `2 {"channel":"ch1","type":"config"}`},
		true: {
			`0 {"channel":"ch1","type":"config","validationCode":"INVALID_CONFIG_TRANSACTION"}`,
			`1 {"channel":"ch1","chaincodeId":"assets","eventName":"AssetCreated"}`, `2 {"channel":"ch1","type":"config"}`,
		},
	} {
		m := newMatcher("ch1")
		filters, err := compileFilters([]filter{{Type: typeConfig}, {Chaincode: "assets"}})
		require.NoError(t, err)
		m.add(rule{invalid: invalid}, filters)
		events, err := m.read(nil, b, ffcapi.Cursor{})
		require.NoError(t, err)
		var got []string
		for _, ev := range events {
			got = append(got, fmt.Sprintf("%d %s", ev.Cursor.Tx, ev.Info))
		}
		require.Equal(t, want, got)
	}
}

// In one session an event of an invalid transaction goes to those who asked for it, and to nobody else.
func TestInvalidEventsBesideOthers(t *testing.T) {
	t.Parallel()
	b, err := decodeBlock(marshal(makeBlock(nil,
		testTx{id: "a", time: noon, event: event},
		testTx{id: "b", time: noon, event: event, code: peer.TxValidationCode_MVCC_READ_CONFLICT},
	)))
	require.NoError(t, err)
	m := newMatcher("ch1")
	filters, err := compileFilters([]filter{{Chaincode: "assets"}})
	require.NoError(t, err)
	m.add(rule{listener: 0}, filters)
	m.add(rule{listener: 1, invalid: true}, filters)
	events, err := m.read(nil, b, ffcapi.Cursor{})
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, []int{0, 1}, events[0].Matches)
	require.Equal(t, []int{1}, events[1].Matches)
}

// JSON is UTF-8: what only looks like it must not go out as it is.
func TestJSONThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	const odd = "{\"name\":\"M\xfcller\"}"
	inBase64 := `"eyJuYW1lIjoiTfxsbGVyIn0="`
	require.JSONEq(t, inBase64, string((&chaincodeEvent{payload: []byte(odd)}).full(&room{})))
	require.JSONEq(t, inBase64, string(asJSON([]byte(odd))))
	require.JSONEq(t, `{"namespace":"a","key":"k","isDelete":false,"valueBase64":`+inBase64+`}`, string((&write{namespace: "a", key: "k", value: []byte(odd)}).full(&room{})))
}

func TestVerdictsThatNothingHas(t *testing.T) {
	t.Parallel()
	for code, why := range neverSeen {
		_, err := parseFilter("filters[0]", json.RawMessage(`{"type":"transaction","validationCode":["VALID","`+code.String()+`"]}`), "ch1")
		requireKind(t, err, ffcapi.InvalidInput, "filters[0].validationCode: nothing would ever match "+code.String()+": "+why)
	}
	for code, name := range peer.TxValidationCode_name {
		_, err := parseFilter("filters[0]", json.RawMessage(`{"type":"transaction","validationCode":"`+name+`"}`), "ch1")
		require.Equal(t, neverSeen[peer.TxValidationCode(code)] == "", err == nil, name)
	}
}

// What is made of a block is shared while there is room, and counted.
func TestWhatIsMadeOfABlockIsCounted(t *testing.T) {
	t.Parallel()
	var writes []*kvrwset.KVWrite
	for i := range 2000 { // each takes many times the bytes of its message
		writes = append(writes, &kvrwset.KVWrite{Key: fmt.Sprint(i), Value: []byte("1")})
	}
	raw := marshal(makeBlock(nil,
		testTx{id: "a", time: noon, event: event, call: []string{"create"}},
		testTx{id: "b", time: noon, sets: []*rwset.NsReadWriteSet{namespace("assets", writes...)}},
	))
	b, err := decodeBlock(raw)
	require.NoError(t, err)
	before := b.memory()
	require.GreaterOrEqual(t, before, len(raw))
	m := matcherOf(t, filter{Type: typeTransaction}, filter{Type: typeWrite}, filter{Chaincode: "assets"})
	first, err := m.read(nil, b, ffcapi.Cursor{})
	require.NoError(t, err)
	require.Equal(t, 2000+2+1, len(first)) //nolint:testifylint // they are too many to show
	after := b.memory()
	require.Greater(t, after, before)
	require.LessOrEqual(t, after, before+len(raw), "no more than the message takes")
	second, err := m.read(nil, b, ffcapi.Cursor{})
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, after, b.memory())
	require.Same(t, &first[0].Data[0], &second[0].Data[0], "shared")

	r := ring{limit: after + 200}
	fresh, err := decodeBlock(raw)
	require.NoError(t, err)
	r.push(fresh)
	next := func(n uint64) *block { return &block{BlockRef: ffcapi.BlockRef{Number: n}, size: 100} }
	r.push(next(1))
	require.Len(t, r.blocks, 2)
	_, err = m.read(nil, fresh, ffcapi.Cursor{})
	require.NoError(t, err)
	r.push(next(2))
	require.Len(t, r.blocks, 3)
	r.push(next(3))
	require.Len(t, r.blocks, 3, "the first block has grown since it came")
}

func TestLongNamesAreNotRemembered(t *testing.T) {
	t.Parallel()
	m := matcherOf(t, filter{Type: typeTransaction, Function: "/^x/"})
	for range 2 {
		require.Equal(t, []int{0}, m.transaction("assets", strings.Repeat("x", maxKnownName+1), 0).full)
		require.Empty(t, m.known)
	}
	m.transaction("assets", "short", 0)
	require.Len(t, m.known, 1)
}

// Sessions have the listeners of the one before: their expressions are compiled once.
func TestListenersAreCompiledOnce(t *testing.T) {
	t.Parallel()
	var rs rules
	text := func(name string) json.RawMessage {
		return json.RawMessage(`{"filters":[{"channel":"ch1","chaincode":"a","event":"/^` + name + `$/"}]}`)
	}
	one, err := rs.compile(text("a"))
	require.NoError(t, err)
	again, err := rs.compile(text("a"))
	require.NoError(t, err)
	require.Same(t, one, again)
	require.True(t, again.filters[0].event("a"))
	require.False(t, again.filters[0].event("b"))
	other, err := rs.compile(text("b"))
	require.NoError(t, err)
	require.True(t, other.filters[0].event("b"))
	_, err = rs.compile(text(strings.Repeat("c", maxRulesText)))
	require.NoError(t, err)
	require.Len(t, rs.known, 2, "a long one is not remembered")
	for i := range maxRules + 10 {
		_, err := rs.compile(text(fmt.Sprint("n", i)))
		require.NoError(t, err)
		require.LessOrEqual(t, len(rs.known), maxRules)
	}
	for want, text := range map[string]string{
		`listener 0: there are no filters of type "log"`: `{"filters":[{"type":"log"}]}`,
		"listener 0: event /(/":                          `{"filters":[{"event":"/(/"}]}`,
		"listener 0: function /(/":                       `{"filters":[{"type":"transaction","function":"/(/"}]}`,
		"listener 0: unexpected end":                     `{`,
	} {
		_, err := rs.matcher("ch1", []*ffcapi.Listener{{Resolved: json.RawMessage(text)}})
		requireKind(t, err, ffcapi.Internal, want)
	}
}
