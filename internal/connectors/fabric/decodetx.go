package fabric

import (
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
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
	ccActionChaincode   = 4
	responsePayload     = 3
	chaincodeName       = 2
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
	payload, err := bytesField(envelope, envelopePayload)
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	var header []byte
	f := fields{rest: payload}
	for f.next() {
		switch {
		case f.isBytes(payloadHeader):
			header = f.bytes
		case f.isBytes(payloadData):
			t.data = f.bytes
		}
	}
	if f.err != nil {
		return fmt.Errorf("payload: %w", f.err)
	}
	var channel, signature []byte
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
		return fmt.Errorf("header: %w", f.err)
	}
	if err := t.channelHeader(channel); err != nil {
		return fmt.Errorf("channel header: %w", err)
	}
	if t.creator, err = bytesField(signature, signatureCreator); err != nil {
		return fmt.Errorf("signature header: %w", err)
	}
	if t.kind != common.HeaderType_ENDORSER_TRANSACTION || !t.valid() {
		return nil
	}
	return d.chaincodeAction(t)
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
			stamp = f.bytes
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
	t.time = time.Unix(int64(seconds), int64(nanos)).UTC()
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
			response = f.bytes
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
	return pathField(t.data, transactionActions, actionPayload, actionEndorsed, endorsedResponse, responseExtension)
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
