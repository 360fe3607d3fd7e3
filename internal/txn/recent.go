package txn

import (
	"hash/maphash"
	"sync"
)

// recentKeys is how many idempotency keys each half of recent holds.
const recentKeys = 65536

// recent remembers the idempotency keys of a while. A key that is not here is not looked up before its request is prepared, which most
// requests are spared so: if it was used before, long ago or before the process began, the store says so when the request is to be stored,
// and only the preparation was for nothing. A key that is here for no reason costs a look.
type recent struct {
	mu       sync.Mutex
	seed     maphash.Seed
	now, old map[uint64]struct{}
}

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), now: map[uint64]struct{}{}}
}

func (r *recent) add(key string) {
	h := maphash.String(r.seed, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) >= recentKeys {
		r.old, r.now = r.now, make(map[uint64]struct{}, recentKeys)
	}
	r.now[h] = struct{}{}
}

func (r *recent) has(key string) bool {
	h := maphash.String(r.seed, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, found := r.now[h]
	if !found {
		_, found = r.old[h]
	}
	return found
}
