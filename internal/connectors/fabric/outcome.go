package fabric

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// reason is why a transaction failed, "" when it did not.
func (t *tx) reason() string {
	if t.valid() {
		return ""
	}
	return t.code.String()
}

// retryable tells whether a fresh proposal may pass: what was read changed meanwhile, or the definition of the chaincode did.
func (t *tx) retryable() bool {
	switch t.code {
	case peer.TxValidationCode_MVCC_READ_CONFLICT, peer.TxValidationCode_PHANTOM_READ_CONFLICT,
		peer.TxValidationCode_EXPIRED_CHAINCODE, peer.TxValidationCode_CHAINCODE_VERSION_CONFLICT:
		return true
	default:
		return false
	}
}

// block is the form of the contract.
func (b *block) block() *ffcapi.Block {
	out := &ffcapi.Block{
		BlockRef: b.BlockRef, ParentHash: b.parent, Timestamp: b.time,
		Outcomes: true, Transactions: make([]ffcapi.TxOutcome, 0, len(b.txs)),
	}
	for _, t := range b.txs {
		if t.id == "" {
			continue
		}
		out.Transactions = append(out.Transactions, ffcapi.TxOutcome{
			Hash: t.id, Index: t.index, Success: t.valid(), Reason: t.reason(), Retryable: t.retryable(), Result: asJSON(t.result),
		})
	}
	return out
}

// asJSON shows bytes of a chaincode: JSON as it is, text as a string, anything else in base64, nothing as nil. The result is a copy: a few
// bytes must not keep a whole block in memory.
func asJSON(b []byte) json.RawMessage {
	switch {
	case len(b) == 0:
		return nil
	case isJSON(b):
		return bytes.Clone(b)
	case utf8.Valid(b):
		return mustJSON(string(b))
	default:
		return mustJSON(b)
	}
}

// isJSON tells whether bytes are JSON as everybody reads it: json.Valid alone lets through text that is not UTF-8.
func isJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// mustJSON encodes text or bytes, for which there is no error.
func mustJSON[T string | []byte](v T) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
