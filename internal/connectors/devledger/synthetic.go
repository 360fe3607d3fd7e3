package devledger

import (
	"encoding/binary"
	"strconv"
	"time"
)

// syntheticEvent is the name of the made-up events, and syntheticAddress where they say they come from.
const (
	syntheticEvent   = "E"
	syntheticAddress = "0x3333333333333333333333333333333333333333"
)

// synthetic makes up blocks and events. The history is the same in each process; blocks made since the start are not, because
// a ledger in memory that starts again is another chain from there on.
type synthetic struct {
	cfg  Synthetic
	salt uint64 // of blocks after the history
}

// liveEntry is what is kept of a block made since the start.
type liveEntry struct {
	time, pos int64
	size      uint32 // 0: no transactions, nothing in the log
	events    uint32 // of its transactions
}

// count is the number of made-up events in a block.
func (s *synthetic) count(n uint64) int {
	switch {
	case n > s.cfg.HistoryBlocks:
		return s.cfg.LiveEventsPerBlock
	case n >= 1 && n <= s.cfg.EventBlocks:
		return s.cfg.EventsPerBlock
	default:
		return 0
	}
}

// Seeds of hashes: disjoint ranges for blocks and events, and two bits free for fill. The salt is below both.
const (
	blockSeed = 1 << 60
	eventSeed = 1 << 61
)

func (s *synthetic) hash(n uint64) (d digest) {
	seed := n | blockSeed
	if n > s.cfg.HistoryBlocks {
		seed ^= s.salt
	}
	fill(&d, seed)
	return d
}

// fill spreads a seed over a digest: not for security, only to look like a hash and to be different for each seed.
func fill(d *digest, seed uint64) {
	for i := range uint64(len(d) / 8) {
		binary.LittleEndian.PutUint64(d[i*8:], scramble(seed*4+i))
	}
}

// scramble is the finaliser of splitmix64, a bijection in which every input bit moves half of the output bits.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// hexPairs[b] is b in two hex digits: half the steps of doing it digit by digit, once per event and byte.
var hexPairs = func() (t [256][2]byte) {
	const digits = "0123456789abcdef"
	for i := range t {
		t[i] = [2]byte{digits[i>>4], digits[i&15]}
	}
	return t
}()

const eventHashLen = 2 + 2*len(digest{})

// appendEventHash appends the made-up hash of the transaction of event i of block n.
func appendEventHash(b []byte, n uint64, i int) []byte {
	var d digest
	fill(&d, n<<txPosBits|uint64(i)|eventSeed)
	var text [eventHashLen]byte
	text[0], text[1] = '0', 'x'
	for k, v := range d {
		copy(text[2+2*k:], hexPairs[v][:])
	}
	return append(b, text[:]...)
}

// The data of an event, a token transfer: head, value, tail.
const (
	eventDataHead = `{"from":"0x1111111111111111111111111111111111111111","to":"0x2222222222222222222222222222222222222222","value":"`
	eventDataTail = `","ts":"`
	eventDataCap  = len(eventDataHead) + len(eventDataTail) + 20 + 20 + 2 // the longest numbers, the closing `"}`
	valuesInBlock = 1_000_000
)

// dataTail is what the data of all events of a block made at that time end with.
func dataTail(b []byte, nanos int64) []byte {
	b = append(b, eventDataTail...)
	b = strconv.AppendInt(b, nanos, 10)
	return append(b, `"}`...)
}

func appendEventData(b []byte, n uint64, i int, tail []byte) []byte {
	b = append(b, eventDataHead...)
	b = strconv.AppendUint(b, n*valuesInBlock+uint64(i), 10)
	return append(b, tail...)
}

func timeOf(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
