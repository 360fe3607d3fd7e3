package fabric

import (
	"encoding/json"
	"sync/atomic"
)

// room is what a block keeps, beside the message it came in, of what is made of it for listeners: not more than the message itself takes, so that
// blocks with a great many small writes do not take many times what they are counted for. The zero room has no place.
type room struct {
	limit int64
	used  atomic.Int64
}

// take takes some of the room; false if there is not enough.
func (r *room) take(n int) bool {
	if r.used.Add(int64(n)) > r.limit {
		r.give(n)
		return false
	}
	return true
}

func (r *room) give(n int) { r.used.Add(int64(-n)) }

// taken is how many bytes are kept.
func (r *room) taken() int { return int(r.used.Load()) }

// made is something that is made of a part of a block when somebody asks first, and kept for those who ask next while there is room. Else it is made
// each time.
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
	if r.take(size) && !m.kept.CompareAndSwap(nil, &out) {
		r.give(size) // another was faster
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
