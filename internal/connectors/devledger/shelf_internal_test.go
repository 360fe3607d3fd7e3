package devledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// kept counts what is on a shelf.
func kept(s *shelf) (n int) {
	for _, b := range s.blocks {
		n += b.kept
	}
	return n
}

// What is put on a shelf comes back as it was, wherever it lies, until it is dropped; and what is dropped makes room.
func TestShelfGivesBackWhatWasPut(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(t.TempDir(), "missing")
	rapid.Check(t, func(t *rapid.T) {
		s := newShelf(rapid.SampledFrom([]string{"", nowhere}).Draw(t, "dir"))
		defer func() { require.NoError(t, s.close()) }()
		model := map[place][]byte{}
		most := 0 // bytes there at once
		held := 0
		number := byte(0)
		put := func(size int) {
			number++
			b := bytes.Repeat([]byte{number}, size)
			at := s.put(b)
			require.NotContains(t, model, at)
			model[at] = bytes.Clone(b)
			clear(b) // it is the caller's
			held += size
			most = max(most, held)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put":   func(t *rapid.T) { put(rapid.IntRange(1, 1000).Draw(t, "size")) },
			"large": func(t *rapid.T) { put(rapid.IntRange(shelfBlock-1, 2*shelfBlock).Draw(t, "size")) },
			"many": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					put(20_000)
				}
			},
			"drop": func(t *rapid.T) {
				for at, b := range model {
					if rapid.Bool().Draw(t, "drop") {
						s.drop(at)
						delete(model, at)
						held -= len(b)
					}
				}
			},
			"": func(t *rapid.T) {
				for at, b := range model {
					got, err := s.get(at)
					require.NoError(t, err)
					require.True(t, bytes.Equal(b, got), "%v", at)
				}
				require.Equal(t, len(model), kept(s))
				require.LessOrEqual(t, len(s.unused), len(s.blocks))
			},
		})
	})
}

// A queue that never ends takes neither memory nor disk beyond what is in it.
func TestShelfIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := newShelf("")
	defer func() { require.NoError(t, s.close()) }()
	var queue []place
	for i := range 20_000 {
		queue = append(queue, s.put(bytes.Repeat([]byte{byte(i)}, 1000)))
		if len(queue) > 5000 {
			s.drop(queue[0])
			queue = queue[1:]
		}
	}
	require.LessOrEqual(t, len(s.blocks), 5000*1000/shelfBlock+10)
	loaded := 0
	for _, b := range s.blocks {
		if b.bytes != nil {
			loaded++
		}
	}
	require.Equal(t, s.loaded, loaded)
	require.LessOrEqual(t, loaded, shelfMemory+2)
	info, err := s.file.Stat()
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(len(s.blocks)*shelfBlock))
}

// What a disk does not give back is an error and not something else, and the pool goes on empty.
func TestPoolLosesWhatItsDiskLoses(t *testing.T) {
	t.Parallel()
	p := newPool(false, "")
	n := byte(0)
	add := func() {
		n++
		p.add(&poolTx{hash: digest{n}, from: "ann", payload: make([]byte, shelfBlock-100)}, 0)
	}
	for range shelfMemory + 3 {
		add()
	}
	require.NoError(t, p.shelf.file.Close())
	_, err := p.take(100)
	require.ErrorIs(t, err, os.ErrClosed)
	require.Empty(t, p.places)
	require.Empty(t, p.ready)
	add()
	txs, err := p.take(100)
	require.NoError(t, err)
	require.Len(t, txs, 1)
	require.Equal(t, digest{n}, txs[0].hash)

	p.shelf.broken = errors.New("no file")
	for range 2 * shelfMemory {
		add()
	}
	txs, err = p.drain()
	require.NoError(t, err, "all of it stayed in memory")
	require.Len(t, txs, 2*shelfMemory+1)
}
