package devledger

import (
	"errors"
	"fmt"
	"os"
)

const (
	shelfBlock  = 64 << 10 // bytes that go to the disk together
	shelfMemory = 16       // blocks that stay in memory: what most ledgers ever need
)

// shelf keeps the payloads of what waits, past the first megabyte in a file, so that a full pool does not take the memory of the application
// that it is there to try out. The file has no name and goes with the process, as the pool does; without one, or if it cannot be written, all
// stays in memory. The ledger's lock guards it.
type shelf struct {
	dir    string // for the file; empty: the system's directory for such
	file   *os.File
	broken error // why there is no file, or none that is written
	blocks []shelfPart
	unused []uint32 // blocks of which nothing is kept
	open   int      // the block that is being filled; -1: none
	loaded int      // blocks in memory
	spare  []byte   // of a block that went to the file
}

// shelfPart is one block: in memory, or at its place in the file.
type shelfPart struct {
	bytes []byte // nil: in the file, or unused
	kept  int    // payloads in it
}

// place says where a payload is.
type place struct{ block, offset, size uint32 }

func newShelf(dir string) *shelf { return &shelf{dir: dir, open: -1} }

// put keeps a copy.
func (s *shelf) put(payload []byte) place {
	if s.open < 0 || len(s.blocks[s.open].bytes)+len(payload) > shelfBlock {
		s.fill(len(payload))
	}
	b := &s.blocks[s.open]
	p := place{block: uint32(s.open), offset: uint32(len(b.bytes)), size: uint32(len(payload))}
	b.bytes = append(b.bytes, payload...)
	b.kept++
	return p
}

// fill begins a block with room for so many bytes. A payload that is larger than a block has one of its own, which stays in memory.
func (s *shelf) fill(room int) {
	s.turn()
	bytes := s.spare
	s.spare = nil
	if cap(bytes) < room {
		bytes = make([]byte, 0, max(shelfBlock, room))
	}
	s.loaded++
	if n := len(s.unused); n > 0 {
		s.open, s.unused = int(s.unused[n-1]), s.unused[:n-1]
	} else {
		s.open, s.blocks = len(s.blocks), append(s.blocks, shelfPart{})
	}
	s.blocks[s.open] = shelfPart{bytes: bytes[:0]}
}

// turn closes the block that is being filled.
func (s *shelf) turn() {
	if s.open < 0 {
		return
	}
	at := s.open
	b := &s.blocks[at]
	s.open = -1
	switch {
	case b.kept == 0:
		s.release(at)
	case s.loaded > shelfMemory && len(b.bytes) <= shelfBlock && s.write(b.bytes, int64(at)*shelfBlock):
		s.spare, b.bytes = b.bytes, nil
		s.loaded--
	}
}

// write reports whether the bytes are in the file now.
func (s *shelf) write(b []byte, at int64) bool {
	if s.broken != nil {
		return false
	}
	if s.file == nil {
		if s.file, s.broken = unnamedFile(s.dir); s.broken != nil {
			return false
		}
	}
	_, s.broken = s.file.WriteAt(b, at)
	return s.broken == nil
}

// unnamedFile makes a file that is gone when it is closed.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "pool-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// get returns a copy of what is kept at a place.
func (s *shelf) get(p place) ([]byte, error) {
	b := make([]byte, p.size)
	if kept := s.blocks[p.block].bytes; kept != nil {
		copy(b, kept[p.offset:])
		return b, nil
	}
	if _, err := s.file.ReadAt(b, int64(p.block)*shelfBlock+int64(p.offset)); err != nil {
		return nil, fmt.Errorf("what waits for a block cannot be read: %w", err)
	}
	return b, nil
}

// drop forgets what is kept at a place.
func (s *shelf) drop(p place) {
	b := &s.blocks[p.block]
	if b.kept--; b.kept == 0 && int(p.block) != s.open {
		s.release(int(p.block))
	}
}

// release lets a block be used again.
func (s *shelf) release(at int) {
	b := &s.blocks[at]
	if b.bytes != nil {
		if cap(b.bytes) == shelfBlock {
			s.spare = b.bytes
		}
		b.bytes = nil
		s.loaded--
	}
	s.unused = append(s.unused, uint32(at))
}

// size is how many bytes the blocks have in which anything is kept.
func (s *shelf) size() int { return (len(s.blocks) - len(s.unused)) * shelfBlock }

func (s *shelf) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
