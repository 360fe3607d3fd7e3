package txn

import (
	"hash/maphash"
	"sync"
)

const (
	recentSets = 1 << 15 // of idempotency keys
	recentWays = 4       // keys of a set
)

// recent remembers the idempotency keys of a while: of those that fall into one set, the newest few. A key that is not here is not looked up
// before its request is prepared, which most requests are spared so: if it was used before, long ago or before the process began, the store
// says so when the request is to be stored, and only the preparation was for nothing. A key that is here for no reason costs a look.
type recent struct {
	mu   sync.Mutex
	seed maphash.Seed
	sets [recentSets][recentWays]uint64 // hashes, the newest one first; 0: none
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

func (r *recent) hash(key string) uint64 { return maphash.String(r.seed, key) | 1 } // never 0

func (r *recent) add(key string) {
	h := r.hash(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	set := &r.sets[h>>1%recentSets]
	at := 0
	for at < recentWays-1 && set[at] != h {
		at++
	}
	copy(set[1:at+1], set[:at])
	set[0] = h
}

func (r *recent) has(key string) bool {
	h := r.hash(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.sets[h>>1%recentSets] {
		if known == h {
			return true
		}
	}
	return false
}
