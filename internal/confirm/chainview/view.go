package chainview

import (
	"sort"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	// minRetain is the least number of hashes kept.
	minRetain = 128
	// maxMarks bounds the sparse hashes below the dense ones: when there are more, every second one goes.
	maxMarks = 256
)

// Config is what a view is told about its ledger.
type Config struct {
	Instant  bool   // a block never changes
	Required uint64 // blocks that must follow one before it is final; ignored with Instant
	Retain   int    // hashes kept at least; 0: max(2·Required, 128)
}

// View is the canonical chain of one ledger. It is not safe for concurrent use.
type View struct {
	cfg   Config
	refs  []ffcapi.BlockRef // consecutive numbers, the last one is the head; up to 2·Retain
	marks []ffcapi.BlockRef // older ones, ascending, all below refs
	safe  ffcapi.BlockRef   // newest linked block that is final; zero: none
	ahead ffcapi.BlockRef   // announced as final and above the head; zero: none
	deep  search
}

// search is the state of a search for a fork below refs.
type search struct {
	active bool
	number uint64 // asked for
	mark   int    // index of the mark asked for, -1 when it is the assumed fork
}

// New returns a view that continues after base. With the zero base it starts at block 0.
func New(cfg Config, base ffcapi.BlockRef) *View {
	if cfg.Instant {
		cfg.Required = 0
	}
	if cfg.Retain <= 0 {
		cfg.Retain = int(max(2*cfg.Required, minRetain))
	}
	v := &View{cfg: cfg}
	if !base.IsZero() {
		v.refs = []ffcapi.BlockRef{base}
		v.raise()
	}
	return v
}

// Head is the newest linked block; zero before the first.
func (v *View) Head() ffcapi.BlockRef {
	if len(v.refs) == 0 {
		return ffcapi.BlockRef{}
	}
	return v.refs[len(v.refs)-1]
}

// Newest is the newest block known to be canonical: the head, or an announced one above it.
func (v *View) Newest() ffcapi.BlockRef {
	if !v.ahead.IsZero() {
		return v.ahead
	}
	return v.Head()
}

// Safe is the newest block known to be final, linked or announced.
func (v *View) Safe() (ref ffcapi.BlockRef, ok bool) {
	if !v.ahead.IsZero() {
		return v.ahead, true
	}
	return v.safe, !v.safe.IsZero()
}

// Final is the newest linked block that is final.
func (v *View) Final() (ref ffcapi.BlockRef, ok bool) { return v.safe, !v.safe.IsZero() }

// At returns the newest block known to have n others on it: the best that a node with this head can tell, or one below it.
func (v *View) At(n uint64) (ref ffcapi.BlockRef, ok bool) {
	if head := v.Head().Number; len(v.refs) > 0 && head >= n {
		if i, ok := v.index(head - n); ok {
			ref = v.refs[i]
		} else if i := sort.Search(len(v.marks), func(i int) bool { return v.marks[i].Number > head-n }); i > 0 {
			ref = v.marks[i-1]
		}
	}
	if safe, ok := v.Safe(); ok && n <= v.cfg.Required && (ref.IsZero() || safe.Number > ref.Number) {
		ref = safe
	}
	return ref, !ref.IsZero()
}

// Instant reports whether each block is final.
func (v *View) Instant() bool { return v.cfg.Instant }

// Keep has the view retain enough to tell At(n) once so many blocks were seen.
func (v *View) Keep(n uint64) { v.cfg.Retain = max(v.cfg.Retain, int(n)+minRetain) }

// Retained is how many of the newest hashes are kept at least.
func (v *View) Retained() uint64 { return uint64(v.cfg.Retain) }

// Above returns up to n blocks that follow a retained one, with their parents; retained is false when that one is not, by its hash.
func (v *View) Above(of ffcapi.BlockRef, n int) (blocks []ffcapi.Block, retained bool) {
	i, ok := v.index(of.Number)
	if !ok || v.refs[i].Hash != of.Hash {
		return nil, false
	}
	for j := i + 1; j < len(v.refs) && j <= i+n; j++ {
		blocks = append(blocks, ffcapi.Block{BlockRef: v.refs[j], ParentHash: v.refs[j-1].Hash})
	}
	return blocks, true
}

// CatchingUp reports whether a final block above the head is known.
func (v *View) CatchingUp() bool { return !v.ahead.IsZero() }

// Canonical returns the hash of a canonical block, if it is still, or already, known.
func (v *View) Canonical(number uint64) (hash string, known bool) {
	if i, ok := v.index(number); ok {
		return v.refs[i].Hash, true
	}
	if !v.ahead.IsZero() && v.ahead.Number == number {
		return v.ahead.Hash, true
	}
	if i, ok := v.markAt(number); ok {
		return v.marks[i].Hash, true
	}
	return "", false
}

// Announce tells the view that a block is final in the eyes of a node that holds the head of this view, or will. The effect is Broken where that
// contradicts a final block, else Repeated.
func (v *View) Announce(ref ffcapi.BlockRef) Effect {
	hash, known := v.Canonical(ref.Number)
	switch {
	case ref.IsZero():
	case known && hash != ref.Hash && v.cfg.Instant:
		return changed(ref, hash)
	case len(v.refs) == 0 || ref.Number > v.Head().Number:
		if ref.Number >= v.ahead.Number {
			v.ahead = ref
		}
	case known && hash == ref.Hash && ref.Number >= v.safe.Number:
		v.safe = ref
	}
	return Repeated{}
}

// index returns the place of a number in refs.
func (v *View) index(number uint64) (int, bool) {
	if len(v.refs) == 0 || number < v.refs[0].Number || number > v.Head().Number {
		return 0, false
	}
	return int(number - v.refs[0].Number), true
}

// markAt returns the place of a number in marks.
func (v *View) markAt(number uint64) (int, bool) {
	i := sort.Search(len(v.marks), func(i int) bool { return v.marks[i].Number >= number })
	return i, i < len(v.marks) && v.marks[i].Number == number
}

// raise lifts the safe head to what the confirmations allow.
func (v *View) raise() {
	head := v.Head().Number
	if head < v.cfg.Required {
		return
	}
	i, ok := v.index(head - v.cfg.Required)
	if ok && (v.safe.IsZero() || v.refs[i].Number > v.safe.Number) {
		v.safe = v.refs[i]
	}
}

// push makes ref the head and forgets what need not be retained.
func (v *View) push(ref ffcapi.BlockRef) {
	v.refs = append(v.refs, ref)
	if len(v.refs) > 2*v.cfg.Retain {
		old := len(v.refs) - v.cfg.Retain
		if len(v.marks) == 0 {
			v.mark(v.refs[0])
		}
		v.mark(v.refs[old-1])
		v.refs = append(make([]ffcapi.BlockRef, 0, 2*v.cfg.Retain+1), v.refs[old:]...)
	}
	v.raise()
}

// mark keeps one of the hashes that are forgotten. The spacing doubles as the chain grows; the oldest and the newest stay.
func (v *View) mark(ref ffcapi.BlockRef) {
	v.marks = append(v.marks, ref)
	if len(v.marks) <= maxMarks {
		return
	}
	kept := v.marks[:0]
	for i, m := range v.marks {
		if i%2 == 0 || i == len(v.marks)-1 {
			kept = append(kept, m)
		}
	}
	v.marks = kept
}

// cut makes fork the head. It is one of refs, or takes the place of all of them.
func (v *View) cut(fork ffcapi.BlockRef) {
	if i, ok := v.index(fork.Number); ok {
		v.refs = v.refs[:i+1]
	} else {
		i, _ := v.markAt(fork.Number)
		v.marks = v.marks[:i]
		v.refs = append(v.refs[:0], fork)
	}
	if v.safe.Number > fork.Number {
		v.safe = fork
	}
	v.ahead = ffcapi.BlockRef{}
}
