package fabric

import (
	"bytes"
	"encoding/json"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

var null = json.RawMessage("null")

// info are the fields of an event that only Fabric has, beside those of every event. What invalid transactions would have given is marked.
func (m *matcher) info(key itemKey) json.RawMessage {
	b := append(make([]byte, 0, 128), `{"channel":`...)
	b = append(b, mustJSON(m.channel)...)
	if key.kind != typeEvent {
		b = append(append(append(b, `,"type":"`...), key.kind...), '"')
	}
	if key.chaincode != "" || key.kind == typeEvent {
		b = append(b, `,"chaincodeId":`...)
		b = append(b, mustJSON(key.chaincode)...)
	}
	if key.kind == typeEvent {
		b = append(b, `,"eventName":`...)
		b = append(b, mustJSON(key.name)...)
	}
	if key.code != peer.TxValidationCode_VALID {
		b = append(append(append(b, `,"validationCode":"`...), key.code.String()...), '"')
	}
	return append(b, '}')
}

// full shows the payload: JSON as it is, anything else in base64, so that it can be told what it was.
func (e *chaincodeEvent) full(r *room) json.RawMessage {
	switch {
	case len(e.payload) == 0:
		return null
	case isJSON(e.payload):
		return show(&e.shown, r, func() json.RawMessage { return bytes.Clone(e.payload) })
	default:
		return show(&e.shown, r, func() json.RawMessage { return mustJSON(e.payload) })
	}
}

func (e *chaincodeEvent) filtered() json.RawMessage { return null }

// transactionContent is what a listener gets of a transaction.
type transactionContent struct {
	Chaincode      string            `json:"chaincode"`
	Function       string            `json:"function"`
	ValidationCode string            `json:"validationCode"`
	Signer         string            `json:"signer,omitempty"`
	Args           []json.RawMessage `json:"args,omitempty"`
	Result         json.RawMessage   `json:"result,omitempty"`
}

func (t *tx) full(r *room) json.RawMessage {
	return show(&t.shown, r, func() json.RawMessage {
		d := t.brief()
		d.Signer, d.Result = signerName(t.creator), asJSON(t.result)
		if args := t.args(); len(args) > 1 {
			for _, a := range args[1:] {
				d.Args = append(d.Args, shownArgument(a))
			}
		}
		return encode(d)
	})
}

func (t *tx) filtered() json.RawMessage { return encode(t.brief()) }

func (t *tx) brief() transactionContent {
	d := transactionContent{ValidationCode: t.code.String()}
	d.Chaincode, d.Function = t.invoked()
	return d
}

// shownArgument shows an argument as it would be given in a request.
func shownArgument(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage(`""`)
	}
	return asJSON(b)
}

// writeContent is what a listener gets of a write.
type writeContent struct {
	Namespace string          `json:"namespace"`
	Key       string          `json:"key"`
	IsDelete  bool            `json:"isDelete"`
	Value     json.RawMessage `json:"value,omitempty"`       // that is JSON
	Base64    []byte          `json:"valueBase64,omitempty"` // any other
}

func (w *write) full(r *room) json.RawMessage {
	return show(&w.shown, r, func() json.RawMessage {
		d := writeContent{Namespace: w.namespace, Key: w.key, IsDelete: w.isDelete}
		if isJSON(w.value) {
			d.Value = w.value
		} else {
			d.Base64 = w.value
		}
		return encode(d)
	})
}

func (w *write) filtered() json.RawMessage {
	return encode(writeContent{Namespace: w.namespace, Key: w.key, IsDelete: w.isDelete})
}

// blockContent is what a listener gets of a block.
type blockContent struct {
	ParentHash   string             `json:"parentHash"`
	Count        int                `json:"transactionCount"` // of all entries
	Transactions []blockTransaction `json:"transactions,omitempty"`
}

type blockTransaction struct {
	ID             string `json:"id"`
	Index          uint64 `json:"index"`
	ValidationCode string `json:"validationCode"`
}

func (b *block) full(*room) json.RawMessage {
	d := blockContent{ParentHash: b.parent, Count: b.count}
	for _, t := range b.txs {
		if t.id != "" {
			d.Transactions = append(d.Transactions, blockTransaction{t.id, t.index, t.code.String()})
		}
	}
	return encode(d)
}

func (b *block) filtered() json.RawMessage {
	return encode(blockContent{ParentHash: b.parent, Count: b.count})
}

// configuration is the entry of a block that configures the channel.
type configuration tx

// configContent is what a listener gets of a configuration.
type configContent struct {
	Sequence uint64 `json:"sequence"`
	Config   []byte `json:"config,omitempty"` // a common.Config message
}

// Field numbers of a configuration.
const (
	envelopeConfig = 1
	configSequence = 1
)

func (c *configuration) content() configContent {
	var d configContent
	var err error
	if d.Config, err = in(c.payload()).message(envelopeConfig).get(); err == nil {
		d.Sequence, _ = varintField(d.Config, configSequence) // 0 for one that cannot be read: its bytes are shown
	}
	return d
}

func (c *configuration) payload() []byte { return (*tx)(c).data }

func (c *configuration) full(*room) json.RawMessage { return encode(c.content()) }

func (c *configuration) filtered() json.RawMessage {
	return encode(configContent{Sequence: c.content().Sequence})
}

// encode is for what can always be encoded: text, numbers, and JSON that was checked.
func encode[T transactionContent | writeContent | blockContent | configContent](v T) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return null
	}
	return b
}
