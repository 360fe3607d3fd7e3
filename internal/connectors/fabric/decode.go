package fabric

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// block is a decoded block. Its byte slices point into the block it was decoded from.
type block struct {
	ffcapi.BlockRef
	parent string
	time   time.Time // newest of the transactions' times: a Fabric block has none of its own
	txs    []tx
}

// tx is one entry of a block that has a transaction id and is its first occurrence.
type tx struct {
	index   uint64 // position in the block
	id      string
	code    peer.TxValidationCode
	time    time.Time // as the client wrote it into the channel header
	creator []byte    // serialised identity
	result  []byte    // what the chaincode returned; valid transactions only
	event   *chaincodeEvent
}

func (t *tx) valid() bool { return t.code == peer.TxValidationCode_VALID }

// chaincodeEvent is the one event that a transaction may have.
type chaincodeEvent struct {
	chaincode string
	name      string
	payload   []byte
}

// decodeBlock reads a block as a peer delivers it. It fails when something is missing that every block of a peer's ledger has, or when a transaction
// that the peer found valid cannot be read. What the peer found invalid may be anything.
func decodeBlock(b *common.Block) (*block, error) {
	if b.GetHeader() == nil {
		return nil, errors.New("a block has no header")
	}
	number := b.GetHeader().GetNumber()
	hash, err := headerHash(b.GetHeader())
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	out := &block{BlockRef: ffcapi.BlockRef{Number: number, Hash: hash}, parent: hex.EncodeToString(b.GetHeader().GetPreviousHash())}
	entries := b.GetData().GetData()
	codes, err := validationCodes(b, len(entries))
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	out.txs = make([]tx, 0, len(entries))
	for i, entry := range entries {
		t := tx{index: uint64(i), code: peer.TxValidationCode(codes[i])}
		err := t.decode(entry)
		if err != nil && t.valid() {
			return nil, fmt.Errorf("block %d: transaction %d: %w", number, i, err)
		}
		if t.time.After(out.time) {
			out.time = t.time
		}
		// A configuration has no id. A duplicate is not what became of its id.
		if t.id != "" && t.code != peer.TxValidationCode_DUPLICATE_TXID {
			out.txs = append(out.txs, t)
		}
	}
	return out, nil
}

// validationCodes are the peer's verdicts, one byte for each transaction.
func validationCodes(b *common.Block, count int) ([]byte, error) {
	at := int(common.BlockMetadataIndex_TRANSACTIONS_FILTER)
	if m := b.GetMetadata().GetMetadata(); len(m) > at && len(m[at]) == count {
		return m[at], nil
	}
	return nil, errors.New("the verdicts on its transactions are missing")
}

// headerHash is the hash that the next block refers to: SHA-256 of the header's ASN.1 form.
func headerHash(h *common.BlockHeader) (string, error) {
	der, err := asn1.Marshal(struct {
		Number       *big.Int
		PreviousHash []byte
		DataHash     []byte
	}{new(big.Int).SetUint64(h.GetNumber()), h.GetPreviousHash(), h.GetDataHash()})
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Field numbers of the messages around a transaction, outermost first.
const (
	envelopePayload  = 1
	payloadHeader    = 1
	payloadData      = 2
	headerChannel    = 1
	headerSignature  = 2
	channelType      = 1
	channelTimestamp = 3
	channelTxID      = 5
	signatureCreator = 1

	transactionActions  = 1
	actionPayload       = 2 // of TransactionAction
	actionEndorsed      = 2 // of ChaincodeActionPayload
	endorsedResponse    = 1
	responseExtension   = 2
	ccActionResults     = 1
	ccActionEvent       = 2
	ccActionResponse    = 3
	responsePayload     = 3
	fieldEventChaincode = 1
	fieldEventName      = 3
	fieldEventPayload   = 4

	timestampSeconds = 1
	timestampNanos   = 2
)

// decode reads an envelope. Walking the wire format touches the few fields that count, and copies nothing: a block is mostly
// certificates and signatures.
func (t *tx) decode(envelope []byte) error {
	payload, err := bytesField(envelope, envelopePayload)
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	header, err := bytesField(payload, payloadHeader)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	channel, err := bytesField(header, headerChannel)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	kind, err := t.channelHeader(channel)
	if err != nil {
		return fmt.Errorf("channel header: %w", err)
	}
	signature, err := bytesField(header, headerSignature)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if t.creator, err = bytesField(signature, signatureCreator); err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	if kind != common.HeaderType_ENDORSER_TRANSACTION || !t.valid() {
		return nil
	}
	data, err := bytesField(payload, payloadData)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	return t.chaincodeAction(data)
}

// channelHeader reads id and time, and returns what the entry is.
func (t *tx) channelHeader(b []byte) (common.HeaderType, error) {
	kind, err := varintField(b, channelType)
	if err != nil {
		return 0, err
	}
	id, err := bytesField(b, channelTxID)
	if err != nil {
		return 0, err
	}
	stamp, err := bytesField(b, channelTimestamp)
	if err != nil {
		return 0, err
	}
	seconds, err := varintField(stamp, timestampSeconds)
	if err != nil {
		return 0, err
	}
	nanos, err := varintField(stamp, timestampNanos)
	if err != nil {
		return 0, err
	}
	t.id = string(id)
	if stamp != nil { // one of no length is the epoch
		t.time = time.Unix(int64(seconds), int64(nanos)).UTC()
	}
	return common.HeaderType(kind), nil
}

// chaincodeAction reads result and event of a transaction's action; there is always exactly one.
func (t *tx) chaincodeAction(transaction []byte) error {
	action, err := pathField(transaction, transactionActions, actionPayload, actionEndorsed, endorsedResponse, responseExtension)
	if err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if t.result, err = pathField(action, ccActionResponse, responsePayload); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	ev, err := bytesField(action, ccActionEvent)
	if err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if len(ev) == 0 {
		return nil
	}
	e := &chaincodeEvent{}
	err = eachField(ev, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if typ != protowire.BytesType {
			return nil
		}
		v, n := protowire.ConsumeBytes(value)
		switch num {
		case fieldEventChaincode:
			e.chaincode = string(v)
		case fieldEventName:
			e.name = string(v)
		case fieldEventPayload:
			e.payload = v
		default: // the transaction id again
		}
		return protowire.ParseError(min(n, 0))
	})
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	t.event = e
	return nil
}

// pathField follows fields of nested messages.
func pathField(b []byte, path ...protowire.Number) ([]byte, error) {
	for _, num := range path {
		var err error
		if b, err = bytesField(b, num); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// bytesField returns the last field of a number with bytes in it, nil when there is none, as protobuf has it.
func bytesField(b []byte, want protowire.Number) (found []byte, err error) {
	err = eachField(b, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if num != want {
			return nil
		}
		if typ != protowire.BytesType {
			return fmt.Errorf("field %d is not made of bytes", num)
		}
		v, n := protowire.ConsumeBytes(value)
		found = v
		return protowire.ParseError(min(n, 0))
	})
	return found, err
}

// varintField returns the last field of a number that is an integer, 0 when there is none.
func varintField(b []byte, want protowire.Number) (found uint64, err error) {
	err = eachField(b, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if num != want {
			return nil
		}
		if typ != protowire.VarintType {
			return fmt.Errorf("field %d is not an integer", num)
		}
		v, n := protowire.ConsumeVarint(value)
		found = v
		return protowire.ParseError(min(n, 0))
	})
	return found, err
}

// eachField calls f with each field of a message and the bytes of its value.
func eachField(b []byte, f func(protowire.Number, protowire.Type, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if err := f(num, typ, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}
