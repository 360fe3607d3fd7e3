package fabric

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// room is what a block keeps, beside the message it came in, of what is made of it for listeners: not more than the message itself takes, so that
// blocks with a great many small writes do not take many times what they are counted for. The zero room has no place.
type room struct {
	limit int

	mu   sync.Mutex
	used int // guarded by mu
}

// taken is how many bytes are kept.
func (r *room) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

// made is something that is made of a part of a block when somebody asks first, and kept for those who ask next while there is room. Else it is made
// each time. Those who ask at once may each make it, and get the one that is kept.
type made[T any] struct{ kept atomic.Pointer[T] }

// get returns what is kept, or makes it. produce also tells how many bytes it is.
func (m *made[T]) get(r *room, produce func() (T, int, error)) (T, error) {
	if kept := m.kept.Load(); kept != nil {
		return *kept, nil
	}
	out, size, err := produce()
	if err != nil {
		return out, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if kept := m.kept.Load(); kept != nil {
		return *kept, nil // another was faster
	}
	if r.used+size <= r.limit {
		r.used += size
		m.kept.Store(&out)
	}
	return out, nil
}

// shownBytes is what JSON takes in memory besides its text.
const shownBytes = 32

// show is get for JSON.
func show(m *made[json.RawMessage], r *room, produce func() json.RawMessage) json.RawMessage {
	out, _ := m.get(r, func() (json.RawMessage, int, error) {
		b := produce()
		return b, len(b) + shownBytes, nil
	})
	return out
}
