package devledger

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

// digest names a block or a transaction.
type digest [sha256.Size]byte

// text is the form that leaves the package.
func (d digest) text() string {
	b := make([]byte, 2, 2+2*len(d))
	b[0], b[1] = '0', 'x'
	return string(hex.AppendEncode(b, d[:]))
}

// parseDigest reads the text form. ok is false for anything else.
func parseDigest(s string) (d digest, ok bool) {
	if len(s) != 2+2*len(d) || s[:2] != "0x" {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s[2:]))
	return d, err == nil
}

var errShort = errors.New("it ends too early")

// decoder reads what the append functions below wrote. After the first error everything is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || uint64(len(d.b)) < n {
		d.err = errShort
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.err != nil || n <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) digest() (out digest) {
	copy(out[:], d.take(uint64(len(out))))
	return out
}

func appendBytes[T []byte | string](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// Versions of a payload. Only the unsequenced one carries salt, which makes equal calls different transactions; on a
// sequenced ledger the nonce does that.
const (
	payloadSequenced   = 1
	payloadUnsequenced = 2
	saltLen            = 16
)

func encodePayload(c call, sequenced bool) []byte {
	b := make([]byte, 0, 2+saltLen+len(c.from)+len(c.id)+len(c.arg)+12)
	if sequenced {
		b = append(b, payloadSequenced, byte(c.op))
	} else {
		b = append(b, payloadUnsequenced, byte(c.op))
		var salt [saltLen]byte
		_, _ = rand.Read(salt[:]) // never fails: crypto/rand ends the process instead
		b = append(b, salt[:]...)
	}
	b = appendBytes(b, c.from)
	b = appendBytes(b, c.id)
	return appendBytes(b, c.arg)
}

func decodePayload(b []byte, sequenced bool) (c call, err error) {
	d := decoder{b: b}
	version := d.byte()
	c.op = op(d.byte())
	switch {
	case version == payloadSequenced && sequenced:
	case version == payloadUnsequenced && !sequenced:
		d.take(saltLen)
	default:
		return c, fmt.Errorf("it has version %d, which is not of this ledger", version)
	}
	c.from = string(d.bytes())
	c.id = string(d.bytes())
	c.arg = d.bytes()
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%d bytes follow its end", len(d.b))
	}
	return c, d.err
}

// payloadPriced is the version of what is on a chain of a transaction whose submission adds terms to its payload.
const payloadPriced = 3

// sign is what goes on the chain: the payload, with the terms before it if there are any.
func sign(payload []byte, t terms) []byte {
	if t == (terms{}) {
		return payload
	}
	var room [1 + 2*binary.MaxVarintLen64]byte
	head := append(room[:0], payloadPriced)
	head = binary.AppendUvarint(head, t.gas)
	head = binary.AppendUvarint(head, t.price)
	b := make([]byte, 0, len(head)+len(payload)) // it is kept as long as the transaction waits
	return append(append(b, head...), payload...)
}

// unsign takes apart what sign put together.
func unsign(b []byte) (payload []byte, t terms, err error) {
	if len(b) == 0 || b[0] != payloadPriced {
		return b, t, nil
	}
	d := decoder{b: b[1:]}
	t.gas, t.price = d.uvarint(), d.uvarint()
	return d.b, t, d.err
}

// decodeSigned reads what is on the chain of a transaction.
func decodeSigned(b []byte, sequenced bool) (c call, t terms, err error) {
	payload, t, err := unsign(b)
	if err != nil {
		return c, t, err
	}
	c, err = decodePayload(payload, sequenced)
	return c, t, err
}

// opOf is the operation of a transaction on the chain.
func opOf(signed []byte) op {
	payload, _, err := unsign(signed)
	if err != nil || len(payload) < 2 {
		return opNoop
	}
	return op(payload[1])
}

// contractOf is the contract that a transaction on the chain calls, without all the rest that decoding costs.
func contractOf(signed []byte) string {
	payload, _, err := unsign(signed)
	if err != nil {
		return assetsContract
	}
	d := decoder{b: payload}
	version := d.byte()
	d.byte()
	if version == payloadUnsequenced {
		d.take(saltLen)
	}
	d.bytes()
	if id := d.bytes(); bytes.IndexByte(id, contractMark) >= 0 {
		return string(id[:bytes.IndexByte(id, contractMark)])
	}
	return assetsContract
}

// hashTx names a transaction. nonce is nil on an unsequenced ledger.
func hashTx(payload []byte, from string, nonce *uint64) digest {
	if nonce == nil {
		return sha256.Sum256(payload)
	}
	b := make([]byte, 0, len(from)+len(payload)+20)
	b = appendBytes(b, from)
	b = binary.AppendUvarint(b, *nonce)
	return sha256.Sum256(append(b, payload...))
}

// status is what became of a transaction in its block. The values are part of stored blocks.
type status byte

const (
	statusOK status = iota
	statusFailed
	statusDuplicate // refused because its hash was on the chain already; never shown
)

// txRecord is a transaction in a block, with its outcome.
type txRecord struct {
	hash    digest
	status  status
	from    string
	nonce   uint64 // sequenced ledgers
	payload []byte
	reason  string
	event   event
	data    []byte // of the event
	result  []byte
}

// block is a block as stored. The bytes in it are shared with the buffer it was read from.
type block struct {
	number uint64
	parent digest // of the genesis block: the random identity of the chain
	time   int64  // unix nanoseconds
	mode   string // genesis block only: how the ledger was made
	txs    []txRecord
}

func (b *block) events() (n uint32) {
	for i := range b.txs {
		if b.txs[i].event != noEvent {
			n++
		}
	}
	return n
}

// A frame is a block in the log: a mark, length and CRC of the body, then the body. The block's hash is that of the body.
const (
	frameMark = "PyB1" // lets a whole frame be found behind a damaged one
	frameHead = len(frameMark) + 4 + 4
	maxBody   = 1 << 30
)

// frameLength returns the length of a frame that begins with head, 0 if none does.
func frameLength(head []byte) int64 {
	if len(head) < frameHead || string(head[:len(frameMark)]) != frameMark {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(head[len(frameMark):]))
	if n == 0 || n > maxBody {
		return 0
	}
	return int64(frameHead) + n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeBlock returns the frame of a block, and the block's hash.
func encodeBlock(blk *block) ([]byte, digest) {
	b := make([]byte, frameHead, 128+len(blk.txs)*512)
	b = binary.AppendUvarint(b, blk.number)
	b = append(b, blk.parent[:]...)
	b = binary.AppendVarint(b, blk.time)
	if blk.number == 0 {
		b = appendBytes(b, blk.mode)
	}
	b = binary.AppendUvarint(b, uint64(len(blk.txs)))
	for i := range blk.txs {
		b = appendTx(b, &blk.txs[i])
	}
	sealFrame(b)
	return b, sha256.Sum256(b[frameHead:])
}

// sealFrame fills in the head of a frame whose body is complete.
func sealFrame(frame []byte) {
	body := frame[frameHead:]
	copy(frame, frameMark)
	binary.LittleEndian.PutUint32(frame[len(frameMark):], uint32(len(body)))
	binary.LittleEndian.PutUint32(frame[len(frameMark)+4:], crc32.Checksum(body, castagnoli))
}

func appendTx(b []byte, t *txRecord) []byte {
	b = append(b, t.hash[:]...)
	b = append(b, byte(t.status))
	if t.status == statusDuplicate {
		return b
	}
	b = appendBytes(b, t.from)
	b = binary.AppendUvarint(b, t.nonce)
	b = appendBytes(b, t.payload)
	b = appendBytes(b, t.reason)
	b = append(b, byte(t.event))
	b = appendBytes(b, t.data)
	// Most results are what the event says: then they are stored once.
	if len(t.data) > 0 && string(t.data) == string(t.result) {
		return append(b, 1)
	}
	return appendBytes(append(b, 0), t.result)
}

func decodeTx(d *decoder) (t txRecord) {
	t.hash = d.digest()
	t.status = status(d.byte())
	if t.status == statusDuplicate {
		return t
	}
	t.from = string(d.bytes())
	t.nonce = d.uvarint()
	t.payload = d.bytes()
	t.reason = string(d.bytes())
	t.event = event(d.byte())
	t.data = d.bytes()
	if d.byte() == 1 {
		t.result = t.data
	} else {
		t.result = d.bytes()
	}
	if t.event >= eventCount || t.status > statusDuplicate {
		d.err = fmt.Errorf("it holds event %d and status %d", t.event, t.status)
	}
	return t
}

// checkFrame returns the body of a frame that is whole.
func checkFrame(frame []byte) ([]byte, error) {
	if frameLength(frame) != int64(len(frame)) {
		return nil, errShort
	}
	body := frame[frameHead:]
	if binary.LittleEndian.Uint32(frame[len(frameMark)+4:]) != crc32.Checksum(body, castagnoli) {
		return nil, errors.New("its checksum is wrong")
	}
	return body, nil
}

// decodeBlock reads a whole frame.
func decodeBlock(frame []byte) (*block, digest, error) {
	body, err := checkFrame(frame)
	if err != nil {
		return nil, digest{}, fmt.Errorf("block frame: %w", err)
	}
	d := decoder{b: body}
	blk := &block{number: d.uvarint(), parent: d.digest()}
	t, n := binary.Varint(d.b)
	d.take(uint64(max(n, 0)))
	blk.time = t
	if blk.number == 0 {
		blk.mode = string(d.bytes())
	}
	count := d.uvarint()
	if d.err == nil && count <= uint64(len(d.b)) { // each transaction takes more than a byte
		blk.txs = make([]txRecord, 0, count)
		for range count {
			if d.err == nil {
				blk.txs = append(blk.txs, decodeTx(&d))
			}
		}
	}
	if d.err != nil {
		return nil, digest{}, fmt.Errorf("block %d: %w", blk.number, d.err)
	}
	return blk, sha256.Sum256(body), nil
}
