package stream

import (
	"cmp"
	"slices"
	"sync"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	// trailLength is how many blocks a trail remembers; older ones are thinned out first.
	trailLength = 1024
	// trailStored is how many of them are stored, at most.
	trailStored = 16
)

// trail remembers blocks that were canonical when they were read, per ledger, so that the place where a chain forked can be found
// again. It outlives the runs of a stream. Only ledgers without instant finality have one.
type trail struct {
	mu   sync.Mutex
	refs map[string][]ffcapi.BlockRef // guarded by mu; by ledger, ascending
}

func byNumber(r ffcapi.BlockRef, number uint64) int { return cmp.Compare(r.Number, number) }

func (t *trail) add(ledger string, ref ffcapi.BlockRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refs == nil {
		t.refs = make(map[string][]ffcapi.BlockRef)
	}
	refs := t.refs[ledger]
	i, found := slices.BinarySearchFunc(refs, ref.Number, byNumber)
	if found {
		refs[i] = ref
		return
	}
	refs = slices.Insert(refs, i, ref)
	if len(refs) > trailLength {
		kept := refs[:0]
		for i, r := range refs {
			if i%2 == 0 || i > trailLength/2 {
				kept = append(kept, r)
			}
		}
		refs = kept
	}
	t.refs[ledger] = refs
}

// upTo returns the newest block remembered at or below number.
func (t *trail) upTo(ledger string, number uint64) (ffcapi.BlockRef, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refs := t.refs[ledger]
	i, found := slices.BinarySearchFunc(refs, number, byNumber)
	if found {
		return refs[i], true
	}
	if i == 0 {
		return ffcapi.BlockRef{}, false
	}
	return refs[i-1], true
}

// below returns blocks remembered below number, newest first, at distances that double. It is never nil.
func (t *trail) below(ledger string, number uint64) []ffcapi.BlockRef {
	list := make([]ffcapi.BlockRef, 0, trailStored)
	for distance := uint64(1); distance <= number && len(list) < trailStored; distance *= 2 {
		ref, ok := t.upTo(ledger, number-distance)
		if !ok {
			break
		}
		if n := len(list); n == 0 || list[n-1] != ref {
			list = append(list, ref)
		}
		distance = max(distance, (number-ref.Number+1)/2)
	}
	return list
}

// cut forgets everything from number on.
func (t *trail) cut(ledger string, number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refs := t.refs[ledger]
	i, _ := slices.BinarySearchFunc(refs, number, byNumber)
	if i < len(refs) {
		t.refs[ledger] = refs[:i]
	}
}
