package stream

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
)

const (
	// clockMarks is how many blocks' times a clock remembers for a ledger.
	clockMarks = 512
	// clockPause is the shortest time between two look-ups of a block's time.
	clockPause = time.Second
	// clockFailurePause is the time between two look-ups of a block when the first fails, so that other blocks get their turn.
	clockFailurePause = time.Minute
	// clockFailures is how many failed look-ups are remembered.
	clockFailures = 64
)

// clock knows about when the blocks of ledgers were made. It remembers some whose time was seen in passing, and takes the time of others to
// be in proportion between their neighbours: a status must not ask the node for a thousand blocks. Where that may be far off, one
// block at a time is looked up in the background.
type clock struct {
	mu     sync.Mutex
	marks  map[string][]blockMark   // guarded by mu; by ledger, ascending
	busy   bool                     // guarded by mu; a look-up is under way
	next   time.Time                // guarded by mu; none begins before
	failed map[blockAsked]time.Time // guarded by mu; what the node did not tell is not asked for again before
}

type blockAsked struct {
	ledger string
	number uint64
}

type blockMark struct {
	number uint64
	at     time.Time
}

func (m blockMark) compare(number uint64) int { return cmp.Compare(m.number, number) }

// note remembers when a block was made.
func (c *clock) note(ledger string, number uint64, at time.Time) {
	if at.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marks == nil {
		c.marks = make(map[string][]blockMark)
	}
	marks := c.marks[ledger]
	i, found := slices.BinarySearchFunc(marks, number, blockMark.compare)
	if found {
		marks[i].at = at
		return
	}
	marks = slices.Insert(marks, i, blockMark{number, at})
	if len(marks) > clockMarks {
		i := dispensable(marks)
		marks = slices.Delete(marks, i, i+1)
	}
	c.marks[ledger] = marks
}

// dispensable is the mark without which the times between its neighbours are still known best, compared to how far they are behind the last.
func dispensable(marks []blockMark) int {
	top, which, least := marks[len(marks)-1].number, 0, math.Inf(1)
	for i := 1; i < len(marks)-1; i++ {
		if gap := float64(marks[i+1].number-marks[i-1].number) / float64(top-marks[i].number); gap < least {
			which, least = i, gap
		}
	}
	return which
}

// at says when a block below head was made, as well as is known, and how much it may be off; known is false if nothing at or below it is.
func (c *clock) at(ledger string, number uint64, head blockMark) (at time.Time, off time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks := c.marks[ledger]
	i, found := slices.BinarySearchFunc(marks, number, blockMark.compare)
	if found {
		return marks[i].at, 0, true
	}
	if i == 0 {
		return time.Time{}, 0, false
	}
	below, above := marks[i-1], head
	if i < len(marks) && marks[i].number < head.number {
		above = marks[i]
	}
	span := max(above.at.Sub(below.at), 0)
	share := float64(number-below.number) / float64(above.number-below.number)
	return below.at.Add(time.Duration(share * float64(span))), span, true
}

// exact is the time of a block that is remembered.
func (c *clock) exact(ledger string, number uint64) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks := c.marks[ledger]
	if i, found := slices.BinarySearchFunc(marks, number, blockMark.compare); found {
		return marks[i].at, true
	}
	return time.Time{}, false
}

// begin says whether a block may be looked up now; the caller then calls end.
func (c *clock) begin(of blockAsked, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || now.Before(c.next) || now.Before(c.failed[of]) {
		return false
	}
	c.busy, c.next = true, now.Add(clockPause)
	return true
}

func (c *clock) end(of blockAsked, now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if err == nil {
		delete(c.failed, of)
		return
	}
	if c.failed == nil || len(c.failed) >= clockFailures {
		c.failed = make(map[blockAsked]time.Time)
	}
	c.failed[of] = now.Add(clockFailurePause)
}

// timeLag is about the time between the position, a block not yet delivered, and the head; ok is false while it is not known.
func (m *Manager) timeLag(ledger string, position, head uint64) (lag time.Duration, ok bool) {
	if position >= head {
		return 0, true
	}
	top, known := m.opts.Chain.Time(ledger, head)
	if !known {
		top, known = m.clock.exact(ledger, head)
	}
	if !known {
		m.lookUp(ledger, head)
		return 0, false
	}
	at, known := m.opts.Chain.Time(ledger, position)
	var off time.Duration
	if !known {
		at, off, known = m.clock.at(ledger, position, blockMark{head, top})
	}
	lag = max(top.Sub(at), 0)
	if !known || off > lag/8 {
		m.lookUp(ledger, position)
	}
	return lag, known
}

// lookUp asks for the time of a block in the background, if nothing else is being asked for.
func (m *Manager) lookUp(ledger string, number uint64) {
	of := blockAsked{ledger, number}
	if !m.clock.begin(of, m.opts.Now()) {
		return
	}
	began := m.group.Go("time of a block", func(ctx context.Context) {
		ctx, cancel := call(ctx)
		defer cancel()
		b, err := survive.Ask(survive.Log(m.opts.Log), func() (*ffcapi.Block, error) { return m.opts.Connector.Block(ctx, ledger, number) })
		if err == nil {
			m.clock.note(ledger, number, b.Timestamp)
		}
		m.clock.end(of, m.opts.Now(), err)
	})
	if !began {
		m.clock.end(of, time.Time{}, nil)
	}
}
