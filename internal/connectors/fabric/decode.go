package fabric

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
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
	time   time.Time // newest of the valid transactions' times: a Fabric block has none of its own. Zero: none
	size   int       // bytes that it keeps in memory, but for what is made of it: see memory
	count  int       // entries, of all kinds
	txs    []*tx     // what counts of them, in order: one of each transaction id, and configurations, which may have none
	room   room
}

// tx is one entry of a block.
type tx struct {
	index   uint64 // position in the block
	id      string // "" for a configuration without one
	kind    common.HeaderType
	code    peer.TxValidationCode
	time    time.Time // as the client wrote it into the channel header; zero: none that makes sense
	creator []byte    // serialised identity
	data    []byte    // what the entry is about, by its kind
	result  []byte    // what the chaincode returned; valid transactions only
	event   *chaincodeEvent

	writes made[[]write]         // see writeSet
	shown  made[json.RawMessage] // see full
}

func (t *tx) valid() bool { return t.code == peer.TxValidationCode_VALID }

// chaincodeEvent is the one event that a transaction may have.
type chaincodeEvent struct {
	chaincode string
	name      string
	payload   []byte

	shown made[json.RawMessage] // see full
}

// entryBytes is about what an entry of a block takes, besides the message that it is in.
const entryBytes = 384

// memory is how many bytes the block keeps in memory at present.
func (b *block) memory() int { return b.size + b.room.taken() }

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
			header = f.merge(header)
		case f.isBytes(blockData):
			data = f.merge(data)
		case f.isBytes(blockMetadata):
			metadata = f.merge(metadata)
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("a block makes no sense: %w", f.err)
	}
	if header == nil {
		return nil, errors.New("a block has no header")
	}
	out := &block{size: len(raw)}
	out.room.limit = len(raw)
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
	b.size += len(entries) * entryBytes
	all := make([]tx, len(entries))
	b.txs = make([]*tx, 0, len(entries))
	d := decoder{events: make([]chaincodeEvent, len(entries))}
	settled := true
	for i, entry := range entries {
		t := &all[i]
		t.index, t.code = uint64(i), peer.TxValidationCode(codes[i])
		if err := d.decode(t, entry); err != nil {
			if t.valid() {
				return fmt.Errorf("transaction %d: %w", i, err)
			}
			continue
		}
		if t.valid() && t.time.After(b.time) {
			b.time = t.time
		}
		// A duplicate is not what became of its id.
		if t.code == peer.TxValidationCode_DUPLICATE_TXID || t.id == "" && t.kind != common.HeaderType_CONFIG {
			continue
		}
		settled = settled && t.valid()
		b.txs = append(b.txs, t)
	}
	if !settled {
		b.settle()
	}
	return nil
}

// settle leaves one entry of each id: the valid one, or else the first. Peers find duplicates only among those that are valid so far, and anybody who may
// write to the channel can send something of another's id ahead of it, or after it. In a later block an id that was there is never valid: peers index
// all that they can read, whatever they think of it.
func (b *block) settle() {
	counts := make(map[string]*tx, len(b.txs))
	for _, t := range b.txs {
		if other := counts[t.id]; other == nil || t.valid() && !other.valid() {
			counts[t.id] = t
		}
	}
	b.txs = slices.DeleteFunc(b.txs, func(t *tx) bool { return t.id != "" && counts[t.id] != t })
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
