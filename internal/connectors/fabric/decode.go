package fabric

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// block is a decoded block. It is shared by all who read it, and not changed. Its byte slices point into the message it came in, so that
// what nobody asks for costs nothing; who keeps a few of its bytes for long copies them.
type block struct {
	ffcapi.BlockRef
	parent string
	time   time.Time // newest of the transactions' times: a Fabric block has none of its own
	size   int       // bytes of the message, which the block keeps in memory
	count  int       // entries, of all kinds
	txs    []tx
	config *tx // of a block with a configuration in it
}

// tx is one entry of a block. block.txs has those with a transaction id, at their first occurrence.
type tx struct {
	index   uint64 // position in the block
	id      string
	kind    common.HeaderType
	code    peer.TxValidationCode
	time    time.Time // as the client wrote it into the channel header
	creator []byte    // serialised identity
	data    []byte    // what the entry is about, by its kind
	result  []byte    // what the chaincode returned; valid transactions only
	event   *chaincodeEvent

	writesOnce sync.Once
	writes     []write // see writeSet
	writesErr  error
	shownOnce  sync.Once
	shown      json.RawMessage // see full
}

func (t *tx) valid() bool { return t.code == peer.TxValidationCode_VALID }

// chaincodeEvent is the one event that a transaction may have.
type chaincodeEvent struct {
	chaincode string
	name      string
	payload   []byte

	once  sync.Once
	shown json.RawMessage // see full
}

// Field numbers of a block and of the answer it comes in.
const (
	responseStatus   = 1 // of DeliverResponse
	responseBlock    = 2
	blockHeader      = 1
	blockData        = 2
	blockMetadata    = 3
	headerNumber     = 1
	headerPrevious   = 2
	headerData       = 3
	repeatedElements = 1 // of BlockData and BlockMetadata
)

// decodeBlock reads a block as a peer delivers it. It fails when something is missing that every block of a peer's ledger has, or when a transaction
// that the peer found valid cannot be read. What the peer found invalid may be anything.
func decodeBlock(raw []byte) (*block, error) {
	var header, data, metadata []byte
	f := fields{rest: raw}
	for f.next() {
		switch {
		case f.isBytes(blockHeader):
			header = f.bytes
		case f.isBytes(blockData):
			data = f.bytes
		case f.isBytes(blockMetadata):
			metadata = f.bytes
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("a block makes no sense: %w", f.err)
	}
	if header == nil {
		return nil, errors.New("a block has no header")
	}
	out := &block{size: len(raw)}
	if err := out.decodeHeader(header); err != nil {
		return nil, err
	}
	if err := out.decodeEntries(data, metadata); err != nil {
		return nil, fmt.Errorf("block %d: %w", out.Number, err)
	}
	return out, nil
}

func (b *block) decodeHeader(header []byte) error {
	h := &common.BlockHeader{}
	f := fields{rest: header}
	for f.next() {
		switch {
		case f.isInteger(headerNumber):
			h.Number = f.value
		case f.isBytes(headerPrevious):
			h.PreviousHash = f.bytes
		case f.isBytes(headerData):
			h.DataHash = f.bytes
		}
	}
	if f.err != nil {
		return fmt.Errorf("header of a block: %w", f.err)
	}
	hash, err := headerHash(h)
	b.BlockRef, b.parent = ffcapi.BlockRef{Number: h.GetNumber(), Hash: hash}, hex.EncodeToString(h.GetPreviousHash())
	return err
}

func (b *block) decodeEntries(data, metadata []byte) error {
	entries, err := elements(data)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	codes, err := validationCodes(metadata, len(entries))
	if err != nil {
		return err
	}
	b.count = len(entries)
	b.txs = make([]tx, 0, len(entries))
	d := decoder{events: make([]chaincodeEvent, len(entries))}
	for i, entry := range entries {
		b.txs = append(b.txs, tx{index: uint64(i), code: peer.TxValidationCode(codes[i])})
		t := &b.txs[len(b.txs)-1]
		if err := d.decode(t, entry); err != nil && t.valid() {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		if t.time.After(b.time) {
			b.time = t.time
		}
		if t.kind == common.HeaderType_CONFIG {
			b.config = t
		}
		// A configuration may have no id. A duplicate is not what became of its id.
		if t.id == "" || t.code == peer.TxValidationCode_DUPLICATE_TXID {
			if b.config == t {
				b.config = &tx{index: t.index, kind: t.kind, code: t.code, time: t.time, creator: t.creator, data: t.data}
			}
			b.txs = b.txs[:len(b.txs)-1]
		}
	}
	return nil
}

// elements returns the elements of a message that is a list of bytes.
func elements(b []byte) (out [][]byte, err error) {
	f := fields{rest: b}
	for f.next() {
		if f.isBytes(repeatedElements) {
			out = append(out, f.bytes)
		}
	}
	return out, f.err
}

// validationCodes are the peer's verdicts, one byte for each transaction.
func validationCodes(metadata []byte, count int) ([]byte, error) {
	m, err := elements(metadata)
	at := int(common.BlockMetadataIndex_TRANSACTIONS_FILTER)
	if err == nil && len(m) > at && len(m[at]) == count {
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
		return "", fmt.Errorf("header of block %d: %w", h.GetNumber(), err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
