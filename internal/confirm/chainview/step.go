package chainview

import (
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Step takes a block that a node says is canonical.
func (v *View) Step(b *ffcapi.Block) Effect {
	deep := v.deep
	v.deep = search{}
	if b.Hash == "" {
		return Broken{Reason: fmt.Sprintf("block %d has no hash", b.Number)}
	}
	if deep.active && b.Number == deep.number {
		return v.deeper(b, deep)
	}
	if len(v.refs) == 0 {
		if b.Number > 0 {
			return Gap{From: 0}
		}
		return v.extend(b)
	}
	switch head, low := v.Head().Number, v.refs[0].Number; {
	case b.Number > head+1:
		return Gap{From: head + 1}
	case b.Number == head+1:
		return v.next(b)
	case b.Number < low:
		return v.below(b)
	default:
		return v.again(b)
	}
}

// next takes a block with the number after the head's.
func (v *View) next(b *ffcapi.Block) Effect {
	head := v.Head()
	if b.ParentHash == head.Hash {
		return v.extend(b)
	}
	if v.cfg.Instant {
		return Broken{Reason: fmt.Sprintf("block %d (%s) follows block %s, and block %d was %s", b.Number, b.Hash, b.ParentHash, head.Number, head.Hash)}
	}
	return Fetch{Number: head.Number}
}

// again takes a block with a number in refs.
func (v *View) again(b *ffcapi.Block) Effect {
	i, _ := v.index(b.Number)
	known := v.refs[i]
	fits := i > 0 && v.refs[i-1].Hash == b.ParentHash
	switch {
	case b.Hash == known.Hash && i > 0 && !fits:
		return Broken{Reason: fmt.Sprintf("block %d (%s) has two parents, %s and %s", b.Number, b.Hash, v.refs[i-1].Hash, b.ParentHash)}
	case b.Hash == known.Hash:
		return Repeated{}
	case v.cfg.Instant || b.Number == 0:
		return changed(b.BlockRef, known.Hash)
	case fits:
		v.cut(v.refs[i-1])
		v.push(b.BlockRef)
		return Reorganised{Fork: b.Number - 1}
	case i > 0:
		return Fetch{Number: b.Number - 1}
	default:
		return v.search(len(v.marks) - 1)
	}
}

// below takes a block below refs. Only a mark can tell something about it.
func (v *View) below(b *ffcapi.Block) Effect {
	i, ok := v.markAt(b.Number)
	if !ok || v.marks[i].Hash == b.Hash {
		return Repeated{}
	}
	if v.cfg.Instant || b.Number == 0 {
		return changed(b.BlockRef, v.marks[i].Hash)
	}
	return v.search(i - 1)
}

// search asks for a mark, or, when there is none left, for the block at the assumed fork.
func (v *View) search(mark int) Effect {
	v.deep = search{active: true, mark: mark}
	if mark >= 0 {
		v.deep.number = v.marks[mark].Number
		return Fetch{Number: v.deep.number}
	}
	low := v.refs[0].Number
	if len(v.marks) > 0 {
		low = v.marks[0].Number
	}
	v.deep.number = low - min(low, uint64(v.cfg.Retain))
	return Fetch{Number: v.deep.number}
}

// deeper takes the block that a search below refs asked for.
func (v *View) deeper(b *ffcapi.Block, s search) Effect {
	if s.mark >= 0 && v.marks[s.mark].Hash != b.Hash {
		if b.Number == 0 {
			return changed(b.BlockRef, v.marks[s.mark].Hash)
		}
		return v.search(s.mark - 1)
	}
	v.cut(b.BlockRef)
	return Reorganised{Fork: b.Number}
}

// extend makes a block the head that follows it.
func (v *View) extend(b *ffcapi.Block) Effect {
	if !v.ahead.IsZero() && b.Number >= v.ahead.Number {
		ahead := v.ahead
		switch {
		case ahead.Hash == b.Hash:
			v.ahead, v.safe = ffcapi.BlockRef{}, ahead
		case v.cfg.Instant:
			return changed(b.BlockRef, ahead.Hash)
		default:
			v.ahead = ffcapi.BlockRef{}
		}
	}
	v.push(b.BlockRef)
	return Extended{}
}

func changed(now ffcapi.BlockRef, before string) Broken {
	return Broken{Reason: fmt.Sprintf("block %d is %s, and was %s", now.Number, now.Hash, before)}
}
