package devledger

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// The pool against what it is for: per signer, nonces leave in order, without a gap, once; nothing else leaves.
func TestPoolKeepsNonceOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPool(true, "")
		chain := map[string]uint64{}              // next nonce on the chain
		waiting := map[string]map[uint64]digest{} // what the model has in the pool
		number := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				signer := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "signer")
				number++
				tx := &poolTx{nonce: chain[signer] + uint64(rapid.IntRange(0, 4).Draw(t, "ahead")), from: signer, payload: []byte("p")}
				binary.BigEndian.PutUint64(tx.hash[:], number)
				if waiting[signer] == nil {
					waiting[signer] = map[uint64]digest{}
				}
				key, waits := p.rival(tx)
				_, known := waiting[signer][tx.nonce]
				require.Equal(t, known, waits)
				if waits {
					old, err := p.get(key)
					require.NoError(t, err)
					require.Equal(t, waiting[signer][tx.nonce], old.hash)
					p.replace(old, tx)
				} else {
					p.add(tx, chain[signer])
				}
				waiting[signer][tx.nonce] = tx.hash
			},
			"block": func(t *rapid.T) {
				taken, err := p.take(rapid.IntRange(1, 3).Draw(t, "most"))
				require.NoError(t, err)
				for _, tx := range taken {
					signer := tx.from
					require.Equal(t, chain[signer], tx.nonce)
					require.Equal(t, waiting[signer][tx.nonce], tx.hash)
					delete(waiting[signer], tx.nonce)
					chain[signer]++
				}
				p.remove(taken)
			},
			"drain": func(t *rapid.T) {
				txs, err := p.drain()
				require.NoError(t, err)
				for _, tx := range txs {
					p.add(tx, chain[tx.from])
				}
			},
			"": func(t *rapid.T) {
				count, ready := 0, 0
				for signer, txs := range waiting {
					count += len(txs)
					next := chain[signer]
					for ; ; next++ {
						if _, ok := txs[next]; !ok {
							break
						}
						ready++
					}
					require.Equal(t, next, p.pending(signer, chain[signer]), signer)
				}
				require.Len(t, p.places, count)
				require.Len(t, p.ready, ready)
				require.Equal(t, count, kept(p.shelf))
			},
		})
	})
}

func TestFullPoolSaysSo(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Durable = false
	l := newLedger(t, cfg, "")
	l.pool.bytes = maxPoolBytes
	p, err := l.Prepare(t.Context(), createRequest("a"))
	require.NoError(t, err)
	_, err = l.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "ann", Nonce: new(uint64)})
	require.Equal(t, ffcapi.RateLimited, ffcapi.KindOf(err))
	require.Equal(t, ffcapi.SentNo, ffcapi.AsError(err).Sent)
}

// TestWhatWaitsIsSmall: there may be a hundred thousand of them, beside the application. Their payloads are on the disk.
func TestWhatWaitsIsSmall(t *testing.T) { //nolint:paralleltest // others would be measured too
	cfg := DefaultConfig()
	cfg.Durable, cfg.BlockPeriod = false, time.Hour
	l := newLedger(t, cfg, "")
	const n = 20_000
	before := heapInUse()
	for i := range uint64(n) {
		from := strings.Clone("0x00000000000000000000000000000000000000aa") // each submission has its own
		req := createRequest(fmt.Sprintf("asset-%028d", i))
		req.From = from
		p, err := l.Prepare(t.Context(), req)
		require.NoError(t, err)
		p.Payload = append(make([]byte, 0, 4096), p.Payload...) // a buffer that is larger than what is in it
		_, err = l.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: from, Nonce: &i, Gas: p.Gas})
		require.NoError(t, err)
	}
	each := int64(heapInUse()-before) / n
	runtime.KeepAlive(l)
	require.Less(t, each, int64(150), "bytes for each")
}

func heapInUse() uint64 {
	var m runtime.MemStats
	for range 2 { // the second takes what the first has made free
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := call{
			op: op(rapid.IntRange(0, 6).Draw(t, "op")), from: rapid.String().Draw(t, "from"), id: rapid.String().Draw(t, "id"),
			arg: rapid.SliceOf(rapid.Byte()).Draw(t, "arg"),
		}
		sequenced := rapid.Bool().Draw(t, "sequenced")
		raw := encodePayload(c, sequenced)
		got, err := decodePayload(raw, sequenced)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(c), fmt.Sprint(got))
		_, err = decodePayload(raw, !sequenced)
		require.Error(t, err)
		for n := range raw {
			_, err := decodePayload(raw[:n], sequenced)
			require.Error(t, err, "%d of %d bytes", n, len(raw))
		}
		_, err = decodePayload(append(raw, 0), sequenced)
		require.Error(t, err)

		terms := terms{gas: rapid.Uint64Range(0, maxGas).Draw(t, "gas"), price: rapid.Uint64().Draw(t, "price")}
		signed := sign(raw, terms)
		got, terms2, err := decodeSigned(signed, sequenced)
		require.NoError(t, err)
		require.Equal(t, terms, terms2)
		require.Equal(t, fmt.Sprint(c), fmt.Sprint(got))
		require.Equal(t, c.op, opOf(signed))
		key := contractKey(c.id)
		require.Equal(t, cmp.Or(strings.TrimSuffix(key, "\x00"), assetsContract), cmp.Or(contractOf(signed), assetsContract))
	})
}

func FuzzDecodeBlock(f *testing.F) {
	frame, _ := encodeBlock(&block{number: 3, parent: digest{1}, time: 7, txs: []txRecord{
		{hash: digest{2}, from: "ann", nonce: 4, payload: []byte("p"), event: assetCreated, data: []byte("{}"), result: []byte("{}")},
		{hash: digest{2}, status: statusDuplicate},
		{hash: digest{3}, status: statusFailed, from: "bob", reason: "no"},
	}})
	f.Add(frame[frameHead:])
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed := seal(body)
		b, hash, err := decodeBlock(sealed)
		if err != nil {
			return
		}
		again, sum := encodeBlock(b)
		if string(again) == string(sealed) {
			require.Equal(t, hash, sum)
		}
		back, _, err := decodeBlock(again)
		require.NoError(t, err)
		require.Equal(t, b.number, back.number)
		require.Len(t, back.txs, len(b.txs))
	})
}

// seal makes a frame of a body, whatever is in it.
func seal(body []byte) []byte {
	b := append(make([]byte, frameHead), body...)
	sealFrame(b)
	return b
}
