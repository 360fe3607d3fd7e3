package confirm

import (
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// timesKept is how many of the newest blocks' timestamps a follower remembers.
const timesKept = 1024

// times are the timestamps of the newest blocks that were seen. A block takes the place of one that it replaced.
type times [timesKept]struct {
	number uint64
	at     time.Time // zero: none
}

func (t *times) note(b *ffcapi.Block) {
	if one := &t[b.Number%timesKept]; b.Number >= one.number || one.at.IsZero() {
		one.number, one.at = b.Number, b.Timestamp
	}
}

// Time returns the timestamp of a block; known is false for those that were not seen lately, or have none.
func (e *Engine) Time(ledger string, number uint64) (at time.Time, known bool) {
	f := e.ledger(ledger)
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.times[number%timesKept]
	return one.at, one.number == number && !one.at.IsZero()
}
