package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// inBytes says which message is in a field of bytes.
var inBytes = map[protoreflect.FullName]proto.Message{
	"common.BlockData.data":                                    &common.Envelope{},
	"common.Envelope.payload":                                  &common.Payload{},
	"common.Payload.data":                                      &peer.Transaction{},
	"common.Header.channel_header":                             &common.ChannelHeader{},
	"common.Header.signature_header":                           &common.SignatureHeader{},
	"protos.TransactionAction.payload":                         &peer.ChaincodeActionPayload{},
	"protos.ChaincodeActionPayload.chaincode_proposal_payload": &peer.ChaincodeProposalPayload{},
	"protos.ChaincodeProposalPayload.input":                    &peer.ChaincodeInvocationSpec{},
	"protos.ChaincodeEndorsedAction.proposal_response_payload": &peer.ProposalResponsePayload{},
	"protos.ProposalResponsePayload.extension":                 &peer.ChaincodeAction{},
	"protos.ChaincodeAction.results":                           &rwset.TxReadWriteSet{},
	"protos.ChaincodeAction.events":                            &peer.ChaincodeEvent{},
	"rwset.NsReadWriteSet.rwset":                               &kvrwset.KVRWSet{},
}

// mangler encodes messages again so that they mean the same for protobuf and look as odd as possible.
type mangler struct{ *rand.Rand }

func (m mangler) often() bool { return m.IntN(3) > 0 }

// varint encodes a number, possibly in more bytes than needed.
func (m mangler) varint(b []byte, v uint64) []byte {
	b = protowire.AppendVarint(b, v)
	if v < 1<<28 && m.often() {
		b[len(b)-1] |= 0x80
		b = append(b, 0x80, 0)
	}
	return b
}

func (m mangler) tag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	return m.varint(b, protowire.EncodeTag(num, typ))
}

func (m mangler) bytes(b []byte, num protowire.Number, value []byte) []byte {
	return append(m.varint(m.tag(b, num, protowire.BytesType), uint64(len(value))), value...)
}

// noise adds something that is not known: a field of another wire type.
func (m mangler) noise(b []byte, num protowire.Number, not protowire.Type) []byte {
	for _, typ := range []protowire.Type{protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType, protowire.StartGroupType} {
		if typ == not || m.often() {
			continue
		}
		b = m.tag(b, num, typ)
		switch typ {
		case protowire.VarintType:
			b = m.varint(b, m.Uint64())
		case protowire.Fixed32Type:
			b = protowire.AppendFixed32(b, m.Uint32())
		case protowire.Fixed64Type:
			b = protowire.AppendFixed64(b, m.Uint64())
		case protowire.BytesType:
			b = protowire.AppendBytes(b, []byte("noise"))
		default:
			b = m.bytes(b, 1, []byte("noise"))
			b = m.tag(b, num, protowire.EndGroupType)
		}
	}
	return b
}

// message mangles a message.
func (m mangler) message(of protoreflect.MessageDescriptor, raw []byte) []byte {
	var out, later []byte
	for f := (fields{rest: raw}); f.next(); {
		field := of.Fields().ByNumber(f.num)
		single := !field.IsList()
		out = m.noise(out, f.num, f.typ)
		if f.typ == protowire.VarintType {
			if m.often() {
				out = m.varint(m.tag(out, f.num, f.typ), m.Uint64()) // another one follows
			}
			out = m.varint(m.tag(out, f.num, f.typ), f.value)
			continue
		}
		content, inner := f.bytes, field.Message()
		if known := inBytes[field.FullName()]; known != nil {
			inner = known.ProtoReflect().Descriptor()
		}
		if inner != nil {
			content = m.message(inner, content)
		}
		switch {
		case single && field.Message() == nil && m.often():
			out = m.bytes(out, f.num, []byte("never seen"))
		case single && field.Message() != nil && m.often(): // in two parts, far from each other
			at := 0
			for g := (fields{rest: content}); g.next() && m.often(); {
				at = len(content) - len(g.rest)
			}
			out = m.bytes(out, f.num, content[:at])
			later = m.bytes(later, f.num, content[at:])
			continue
		}
		out = m.bytes(out, f.num, content)
	}
	return append(out, later...)
}

// reading is all that is read of an entry.
type reading struct {
	kind                common.HeaderType
	id, creator, result string
	time                time.Time
	event               [3]string
	hasEvent            bool
	chaincode, function string
	args                []string
	writes              []string
}

// read is what the connector reads of a valid entry.
func read(t *tx, envelope []byte) (out reading, err error) {
	if err := decodeTx(t, envelope); err != nil {
		return out, err
	}
	out = reading{kind: t.kind, id: t.id, time: t.time, creator: string(t.creator), result: string(t.result), hasEvent: t.event != nil}
	if t.kind != common.HeaderType_ENDORSER_TRANSACTION {
		return out, nil
	}
	if t.event != nil {
		out.event = [3]string{t.event.chaincode, t.event.name, string(t.event.payload)}
	}
	out.chaincode, out.function = t.invoked()
	for _, a := range t.args() {
		out.args = append(out.args, string(a))
	}
	writes, err := t.writeSet(&room{})
	for i := range writes {
		out.writes = append(out.writes, string(writes[i].filtered())+string(writes[i].value))
	}
	return out, err
}

// readByProtobuf is what the generated code reads of it.
func readByProtobuf(envelope []byte) (out reading, err error) {
	unmarshal := func(b []byte, m proto.Message) { err = errors.Join(err, proto.Unmarshal(b, m)) }
	var e common.Envelope
	unmarshal(envelope, &e)
	var p common.Payload
	unmarshal(e.GetPayload(), &p)
	var ch common.ChannelHeader
	unmarshal(p.GetHeader().GetChannelHeader(), &ch)
	var sh common.SignatureHeader
	unmarshal(p.GetHeader().GetSignatureHeader(), &sh)
	out = reading{kind: common.HeaderType(ch.GetType()), id: ch.GetTxId(), creator: string(sh.GetCreator())}
	if at := ch.GetTimestamp(); at.IsValid() {
		out.time = at.AsTime()
	}
	if out.kind != common.HeaderType_ENDORSER_TRANSACTION {
		return out, err
	}
	var t peer.Transaction
	unmarshal(p.GetData(), &t)
	if len(t.GetActions()) != 1 {
		return out, errors.New("a transaction has one action")
	}
	var action peer.ChaincodeActionPayload
	unmarshal(t.GetActions()[0].GetPayload(), &action)
	var response peer.ProposalResponsePayload
	unmarshal(action.GetAction().GetProposalResponsePayload(), &response)
	var done peer.ChaincodeAction
	unmarshal(response.GetExtension(), &done)
	out.result = string(done.GetResponse().GetPayload())
	if b := done.GetEvents(); len(b) > 0 {
		var ev peer.ChaincodeEvent
		unmarshal(b, &ev)
		out.hasEvent, out.event = true, [3]string{ev.GetChaincodeId(), ev.GetEventName(), string(ev.GetPayload())}
	}
	var proposal peer.ChaincodeProposalPayload
	unmarshal(action.GetChaincodeProposalPayload(), &proposal)
	var call peer.ChaincodeInvocationSpec
	unmarshal(proposal.GetInput(), &call)
	out.chaincode = call.GetChaincodeSpec().GetChaincodeId().GetName()
	for i, a := range call.GetChaincodeSpec().GetInput().GetArgs() {
		if i == 0 {
			out.function = string(a)
		}
		out.args = append(out.args, string(a))
	}
	var sets rwset.TxReadWriteSet
	unmarshal(done.GetResults(), &sets)
	for _, ns := range sets.GetNsRwset() {
		var kv kvrwset.KVRWSet
		unmarshal(ns.GetRwset(), &kv)
		for _, w := range kv.GetWrites() {
			one := write{namespace: ns.GetNamespace(), key: w.GetKey(), isDelete: w.GetIsDelete() || len(w.GetValue()) == 0}
			out.writes = append(out.writes, string(one.filtered())+string(w.GetValue()))
		}
	}
	return out, err
}

// idInIndex is the id under which a peer indexes an entry, whatever it thinks of it; "" when it does not.
func idInIndex(envelope []byte) string {
	var e common.Envelope
	var p common.Payload
	var ch common.ChannelHeader
	if proto.Unmarshal(envelope, &e) != nil || proto.Unmarshal(e.GetPayload(), &p) != nil || p.GetHeader() == nil ||
		proto.Unmarshal(p.GetHeader().GetChannelHeader(), &ch) != nil {
		return ""
	}
	if ch.GetTxId() != "" {
		return ch.GetTxId()
	}
	var sh common.SignatureHeader
	if common.HeaderType(ch.GetType()) == common.HeaderType_CONFIG || proto.Unmarshal(p.GetHeader().GetSignatureHeader(), &sh) != nil {
		return ""
	}
	sum := sha256.Sum256(append(sh.GetNonce(), sh.GetCreator()...))
	return hex.EncodeToString(sum[:])
}

// Who signs a transaction also chooses how it is encoded, and peers find it valid however odd that is.
func TestDecodeAgreesWithProtobufOnOddEncodings(t *testing.T) {
	t.Parallel()
	made := []testTx{
		{
			id: "t0", time: noon, event: event, result: "result", call: []string{"create", "a", ""},
			sets: []*rwset.NsReadWriteSet{
				namespace("assets", &kvrwset.KVWrite{Key: "a", Value: []byte("1")}, &kvrwset.KVWrite{Key: "b", IsDelete: true}),
				namespace("other", &kvrwset.KVWrite{Key: "c", Value: []byte("2")}),
			},
		},
		{id: "t1", time: noon.Add(time.Second), code: peer.TxValidationCode_MVCC_READ_CONFLICT, event: event, call: []string{"create"}},
		{id: "cfg", time: noon, kind: common.HeaderType_CONFIG},
	}
	plain := makeBlock(nil, made...)
	want, err := decodeBlock(marshal(plain))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		m := mangler{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
		raw := m.message(plain.ProtoReflect().Descriptor(), marshal(plain))
		var odd common.Block
		require.NoError(t, proto.Unmarshal(raw, &odd))
		require.Len(t, odd.GetData().GetData(), len(made))
		got, err := decodeBlock(raw)
		require.NoError(t, err)
		require.Equal(t, want.BlockRef, got.BlockRef)
		require.Equal(t, want.block(), got.block())
		for i, envelope := range odd.GetData().GetData() {
			wanted, err := readByProtobuf(envelope)
			require.NoError(t, err)
			require.Equal(t, wanted.id, made[i].id, "the test mangles the meaning, too")
			var one tx
			read, err := read(&one, envelope)
			require.NoError(t, err)
			require.Equal(t, wanted, read)
		}
		require.Equal(t, string(want.txs[1].full(&room{})), string(got.txs[1].full(&room{})))
	})
}

func FuzzDecode(f *testing.F) {
	plain := testTx{id: "a", time: noon, event: event, result: "x", call: []string{"f", "a"}}.envelope()
	f.Add(plain)
	f.Add(testTx{time: noon, kind: common.HeaderType_MESSAGE}.envelope())
	f.Add([]byte{0x0a})
	for seed := range uint64(4) {
		f.Add(mangler{rand.New(rand.NewPCG(seed, 0))}.message((&common.Envelope{}).ProtoReflect().Descriptor(), plain))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var valid tx
		got, err := read(&valid, b)
		if want, e := readByProtobuf(b); e == nil {
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		bad := tx{code: peer.TxValidationCode_BAD_RWSET}
		if err := decodeTx(&bad, b); err != nil {
			bad.id = ""
		}
		require.Equal(t, idInIndex(b), bad.id)
		bad.full(&room{})
	})
}
