package fabric

import (
	"slices"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// ringBlocks bounds how many blocks a ring holds, however small they are.
const ringBlocks = 1024

// ring holds the newest blocks of a channel: each follows the one before it by number and hash. It counts the bytes of the messages that
// its blocks came in and of what is kept that was made of them, and lets go of the oldest when they are too many. The newest block is kept, however large.
type ring struct {
	blocks []*block
	size   int // bytes, when the newest came
	limit  int // bytes
}

// follows tells whether b is the block after the newest one. Anything follows nothing.
func (r *ring) follows(b *block) bool {
	last := r.newest()
	return last == nil || b.Number == last.Number+1 && b.parent == last.Hash
}

// push takes in a block that follows. What is made of blocks grows while they are here, so all are counted afresh.
func (r *ring) push(b *block) {
	r.blocks = append(r.blocks, b)
	r.size = b.memory()
	first := len(r.blocks) - 1
	for ; first > 0 && len(r.blocks)-first < ringBlocks; first-- {
		more := r.blocks[first-1].memory()
		if r.size+more > r.limit {
			break
		}
		r.size += more
	}
	r.blocks = slices.Delete(r.blocks, 0, first)
}

// newest returns the newest block, nil when there is none.
func (r *ring) newest() *block {
	if len(r.blocks) == 0 {
		return nil
	}
	return r.blocks[len(r.blocks)-1]
}

// next is the number after the newest block, or first if there is none.
func (r *ring) next(first uint64) uint64 {
	if last := r.newest(); last != nil {
		return last.Number + 1
	}
	return first
}

// at returns the block with a number, nil when it is not there.
func (r *ring) at(number uint64) *block {
	if len(r.blocks) == 0 || number < r.blocks[0].Number || number-r.blocks[0].Number >= uint64(len(r.blocks)) {
		return nil
	}
	return r.blocks[number-r.blocks[0].Number]
}

// holds tells whether a block is there, with its hash. Then all blocks of the ring below it are its ancestors.
func (r *ring) holds(ref ffcapi.BlockRef) bool {
	b := r.at(ref.Number)
	return b != nil && b.BlockRef == ref
}

// clear lets go of all blocks.
func (r *ring) clear() { r.blocks, r.size = nil, 0 }
