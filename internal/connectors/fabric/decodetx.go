package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

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
	actionProposal      = 1 // of ChaincodeActionPayload
	actionEndorsed      = 2
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

// decoder reads the entries of one block.
type decoder struct {
	events          []chaincodeEvent // room for those of the block
	chaincode, name string           // of the event before: mostly those of the next one
}

// decode reads an envelope. Walking the wire format touches the few fields that count, and copies nothing: a block is mostly
// certificates and signatures.
func (d *decoder) decode(t *tx, envelope []byte) error {
	signature, err := t.headers(envelope)
	if err != nil {
		return err
	}
	if !t.valid() {
		return t.invalidHeaders(envelope, signature)
	}
	if t.creator, err = bytesField(signature, signatureCreator); err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	if t.kind != common.HeaderType_ENDORSER_TRANSACTION {
		return nil
	}
	return d.chaincodeAction(t)
}

// headers reads what is in the channel header, and returns the signature header.
func (t *tx) headers(envelope []byte) (signature []byte, err error) {
	payload, err := bytesField(envelope, envelopePayload)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	var header []byte
	f := fields{rest: payload}
	for f.next() {
		switch {
		case f.isBytes(payloadHeader):
			header = f.merge(header)
		case f.isBytes(payloadData):
			t.data = f.bytes
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("payload: %w", f.err)
	}
	var channel []byte
	f = fields{rest: header}
	for f.next() {
		switch {
		case f.isBytes(headerChannel):
			channel = f.bytes
		case f.isBytes(headerSignature):
			signature = f.bytes
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("header: %w", f.err)
	}
	if err := t.channelHeader(channel); err != nil {
		return nil, fmt.Errorf("channel header: %w", err)
	}
	return signature, nil
}

// invalidHeaders makes sure that an invalid entry has its id for peers as well. The index of a peer has what the generated code can read, under the id
// that it says or that follows from its signer. An id that is not in the index may still come, and be valid.
func (t *tx) invalidHeaders(envelope, signature []byte) error {
	var e common.Envelope
	var p common.Payload
	var channel common.ChannelHeader
	if err := proto.Unmarshal(envelope, &e); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if err := proto.Unmarshal(e.GetPayload(), &p); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if p.GetHeader() == nil {
		return errors.New("payload: there is no header")
	}
	if err := proto.Unmarshal(p.GetHeader().GetChannelHeader(), &channel); err != nil {
		return fmt.Errorf("channel header: %w", err)
	}
	var s common.SignatureHeader
	err := proto.Unmarshal(signature, &s)
	if err == nil {
		t.creator = s.GetCreator()
	}
	if t.id != "" || t.kind == common.HeaderType_CONFIG {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	sum := sha256.New()
	sum.Write(s.GetNonce())
	sum.Write(s.GetCreator())
	t.id = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// channelHeader reads what the entry is, its id and its time.
func (t *tx) channelHeader(b []byte) error {
	var stamp, id []byte
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.isInteger(channelType):
			t.kind = common.HeaderType(f.value)
		case f.isBytes(channelTimestamp):
			stamp = f.merge(stamp)
		case f.isBytes(channelTxID):
			id = f.bytes
		}
	}
	if f.err != nil {
		return f.err
	}
	t.id = string(id)
	if stamp == nil { // one of no length is the epoch
		return nil
	}
	var seconds, nanos uint64
	f = fields{rest: stamp}
	for f.next() {
		switch {
		case f.isInteger(timestampSeconds):
			seconds = f.value
		case f.isInteger(timestampNanos):
			nanos = f.value
		}
	}
	if at := (&timestamppb.Timestamp{Seconds: int64(seconds), Nanos: int32(nanos)}); at.IsValid() { // clients write what they like
		t.time = at.AsTime()
	}
	return f.err
}

// chaincodeAction reads result and event of a transaction's action; there is always exactly one.
func (d *decoder) chaincodeAction(t *tx) error {
	action, err := t.action()
	if err != nil {
		return fmt.Errorf("action: %w", err)
	}
	var response, event []byte
	f := fields{rest: action}
	for f.next() {
		switch {
		case f.isBytes(ccActionResponse):
			response = f.merge(response)
		case f.isBytes(ccActionEvent):
			event = f.bytes
		}
	}
	if f.err != nil {
		return fmt.Errorf("action: %w", f.err)
	}
	if t.result, err = bytesField(response, responsePayload); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	if len(event) == 0 {
		return nil
	}
	e := &d.events[0]
	d.events = d.events[1:]
	if err := d.event(e, event); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	t.event = e
	return nil
}

// action finds the chaincode action, the part of a transaction that peers endorse.
func (t *tx) action() ([]byte, error) {
	return in(t.data).first(transactionActions).bytes(actionPayload).message(actionEndorsed).bytes(endorsedResponse).bytes(responseExtension).get()
}

// event reads a chaincode event. Names that come again and again are made once.
func (d *decoder) event(e *chaincodeEvent, b []byte) error {
	var chaincode, name []byte
	f := fields{rest: b}
	for f.next() { // the transaction id comes again, and is left out
		switch {
		case f.isBytes(fieldEventChaincode):
			chaincode = f.bytes
		case f.isBytes(fieldEventName):
			name = f.bytes
		case f.isBytes(fieldEventPayload):
			e.payload = f.bytes
		}
	}
	if string(chaincode) != d.chaincode {
		d.chaincode = string(chaincode)
	}
	if string(name) != d.name {
		d.name = string(name)
	}
	e.chaincode, e.name = d.chaincode, d.name
	return f.err
}

// invalidEvent is the event that an invalid transaction would have had; nil when there is none that can be read.
func (t *tx) invalidEvent() *chaincodeEvent {
	action, err := t.action()
	if err != nil {
		return nil
	}
	b, err := bytesField(action, ccActionEvent)
	if err != nil || len(b) == 0 {
		return nil
	}
	e := &chaincodeEvent{}
	if (&decoder{}).event(e, b) != nil {
		return nil
	}
	return e
}
