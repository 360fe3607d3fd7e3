package fabric

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// marshal encodes a message; those of the tests always can be.
func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// testTx describes an entry of a block.
type testTx struct {
	id     string
	kind   common.HeaderType // 0: an endorser transaction
	time   time.Time
	code   peer.TxValidationCode
	event  *peer.ChaincodeEvent
	result string
	raw    []byte // instead of all that
	reads  []string
	writes []string
	sets   []*rwset.NsReadWriteSet // instead of reads and writes
	call   []string                // function and arguments
}

func (t testTx) header() *common.Header {
	kind := t.kind
	if kind == 0 {
		kind = common.HeaderType_ENDORSER_TRANSACTION
	}
	return &common.Header{
		ChannelHeader: marshal(&common.ChannelHeader{
			Type: int32(kind), ChannelId: "ch1", TxId: t.id, Timestamp: timestamppb.New(t.time), Extension: []byte("x"),
		}),
		SignatureHeader: marshal(&common.SignatureHeader{
			Creator: marshal(&msp.SerializedIdentity{Mspid: "Org1MSP", IdBytes: []byte("no certificate")}), Nonce: []byte("nonce"),
		}),
	}
}

func (t testTx) envelope() []byte {
	if t.raw != nil {
		return t.raw
	}
	return marshal(&common.Envelope{Payload: marshal(&common.Payload{Header: t.header(), Data: t.transaction()}), Signature: []byte("signature")})
}

// transaction is the part that peers endorse.
func (t testTx) transaction() []byte {
	kv := &kvrwset.KVRWSet{}
	for _, k := range t.reads {
		kv.Reads = append(kv.Reads, &kvrwset.KVRead{Key: k})
	}
	for _, k := range t.writes {
		kv.Writes = append(kv.Writes, &kvrwset.KVWrite{Key: k, Value: []byte("v")})
	}
	sets := t.sets
	if sets == nil {
		sets = []*rwset.NsReadWriteSet{{Namespace: "assets", Rwset: marshal(kv)}}
	}
	input := &peer.ChaincodeInput{}
	for _, a := range t.call {
		input.Args = append(input.Args, []byte(a))
	}
	proposal := &peer.ChaincodeProposalPayload{Input: marshal(&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{
		ChaincodeId: &peer.ChaincodeID{Name: "assets"}, Input: input,
	}})}
	action := &peer.ChaincodeAction{
		Results:     marshal(&rwset.TxReadWriteSet{NsRwset: sets}),
		Response:    &peer.Response{Status: 200, Payload: []byte(t.result)},
		ChaincodeId: &peer.ChaincodeID{Name: "assets"},
	}
	if t.event != nil {
		action.Events = marshal(t.event)
	}
	return marshal(&peer.Transaction{Actions: []*peer.TransactionAction{{
		Header: []byte("header"),
		Payload: marshal(&peer.ChaincodeActionPayload{
			ChaincodeProposalPayload: marshal(proposal),
			Action: &peer.ChaincodeEndorsedAction{
				ProposalResponsePayload: marshal(&peer.ProposalResponsePayload{ProposalHash: []byte("hash"), Extension: marshal(action)}),
				Endorsements:            []*peer.Endorsement{{Endorser: []byte("peer"), Signature: []byte("signature")}},
			},
		}),
	}}})
}

// decodeTx reads one entry of a block.
func decodeTx(t *tx, envelope []byte) error {
	return (&decoder{events: make([]chaincodeEvent, 1)}).decode(t, envelope)
}

// makeBlock makes the block that follows prev, nil for none, as a peer delivers it.
func makeBlock(prev *common.Block, txs ...testTx) *common.Block {
	b := &common.Block{Header: &common.BlockHeader{}, Data: &common.BlockData{}, Metadata: &common.BlockMetadata{}}
	if prev != nil {
		b.Header.Number = prev.GetHeader().GetNumber() + 1
		b.Header.PreviousHash = hashOf(prev.GetHeader())
	}
	var codes []byte
	for _, t := range txs {
		b.Data.Data = append(b.Data.Data, t.envelope())
		codes = append(codes, byte(t.code))
	}
	sum := sha256.New()
	for _, d := range b.GetData().GetData() {
		sum.Write(d)
	}
	b.Header.DataHash = sum.Sum(nil)
	b.Metadata.Metadata = [][]byte{nil, nil, codes, nil, nil}
	return b
}

// hashOf is the hash of a header as Fabric defines it, written down once more.
func hashOf(h *common.BlockHeader) []byte {
	der, err := asn1.Marshal([]any{new(big.Int).SetUint64(h.GetNumber()), h.GetPreviousHash(), h.GetDataHash()})
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return sum[:]
}

// makeIdentity writes an identity into a wallet.
func makeIdentity(t testing.TB, wallet, name, mspID string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := makeCertificate(t, name, key.Public(), key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writeIdentity(t, wallet, name, mspID, cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func makeCertificate(t testing.TB, name string, public, private any) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func writeIdentity(t testing.TB, wallet, name, mspID string, cert, key []byte) {
	t.Helper()
	dir := filepath.Join(wallet, name)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, certFile), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, keyFile), key, 0o600))
	if mspID != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, mspFile), []byte(mspID+"\n"), 0o600))
	}
}
