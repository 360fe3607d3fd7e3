package expr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
)

// The bounds of one evaluation. A unit of work is one step of the interpreter, or about as much memory as a step can take (at most some
// 70 bytes were seen), so that the bound of work is one of time and of memory, and the same on every machine.
const (
	maxWork = 1_000_000
	// lightWork is done at any time; what needs more waits for its turn, so that not every stream takes the memory of a heavy one at once.
	lightWork = 16_384
	// look is how often the clock and the context are looked at. The dearest steps that were seen take some 30 ms.
	look = 128
	// maxTime ends what makes steps dear: calls within calls, thousands of levels deep, and errors about huge values that are caught again and
	// again. It is far beyond what maxWork takes otherwise, so that no busy machine makes an event fail.
	maxTime = 10 * time.Second
	// maxDepth is how deep values that are compared, copied or put out may be nested.
	maxDepth = 1000
	// maxDigits is how long a number may be to be calculated with. One that is only passed on may be longer.
	maxDigits = 4096
	// maxCounted is how long the numbers of range may be.
	maxCounted = 100
)

// ErrTime is the one error of an evaluation that says nothing about the event: on another day the machine may be quick enough.
var ErrTime = fmt.Errorf("takes longer than %s", maxTime)

var (
	errWork    = fmt.Errorf("takes more than %d steps or the memory for them; it must do less, or the event is too large for it", maxWork)
	errDepth   = fmt.Errorf("makes or reads a value that is nested deeper than %d levels", maxDepth)
	errDigits  = fmt.Errorf("calculates with a number of more than %d digits", maxDigits)
	errCounted = fmt.Errorf("counts with a number of more than %d digits", maxCounted)
	errKey     = errors.New("looks into a value by something else than a string or a number")
)

// meter counts the work of an evaluation and ends it. It is the context that the interpreter asks before each step, from the
// goroutine of the evaluation alone.
type meter struct {
	work   int             // maxWork; less in tests
	run    int             // counts the evaluations
	parent context.Context //nolint:containedctx // that of the one evaluation under way
	left   int             // work left
	next   int             // look at clock and context when no more than this is left
	began  time.Time       // when the clock was looked at first
	heavy  chan struct{}   // slots for what is heavy; shared by all programs of a compiler
	held   bool            // it has one
	why    error           // it ended
	ended  chan struct{}   // closed from the beginning
}

func newMeter(heavy chan struct{}) *meter {
	m := &meter{work: maxWork, heavy: heavy, ended: make(chan struct{})}
	close(m.ended)
	return m
}

// begin starts an evaluation; finish ends it.
func (m *meter) begin(ctx context.Context) {
	m.run++
	m.parent, m.left, m.next, m.began, m.why = ctx, m.work, m.work-look, time.Time{}, nil
}

func (m *meter) finish() {
	if m.held {
		m.held = false
		<-m.heavy
	}
	m.parent = nil
}

// Done counts a step. It is asked before each of them.
func (m *meter) Done() <-chan struct{} {
	if m.left--; m.left > m.next || m.stop() == nil {
		return nil
	}
	return m.ended
}

// Err says why the evaluation ended.
func (m *meter) Err() error { return m.why }

// Deadline makes it a context; the meter has no deadline of its own.
func (m *meter) Deadline() (time.Time, bool) { return m.parent.Deadline() }

// Value makes it a context.
func (m *meter) Value(key any) any { return m.parent.Value(key) }

// spend counts work that is about to be done at once. After an error it must not be done.
func (m *meter) spend(n int) error {
	if m.left -= min(n, maxWork+1); m.left > m.next {
		return nil
	}
	return m.stop()
}

// stop looks whether the evaluation must end.
func (m *meter) stop() error {
	now := time.Now()
	if m.began.IsZero() {
		m.began = now
	}
	switch {
	case m.why != nil:
	case m.parent.Err() != nil:
		m.why = context.Cause(m.parent)
	case m.left <= 0:
		m.why = errWork
	case now.Sub(m.began) > maxTime:
		m.why = ErrTime
	case !m.held && m.left < m.work-lightWork:
		m.wait()
	}
	m.next = m.left - look
	if m.why != nil {
		m.next = math.MaxInt // whatever the expression does about it, no step follows
	}
	return m.why
}

// wait waits for a slot. The time does not count.
func (m *meter) wait() {
	select {
	case m.heavy <- struct{}{}:
		m.held = true
		m.began = time.Now()
	case <-m.parent.Done():
		m.why = context.Cause(m.parent)
	}
}

// fail ends the evaluation for another reason.
func (m *meter) fail(err error) error {
	if m.why == nil {
		m.why = err
	}
	m.next = math.MaxInt
	return m.why
}

// digits is the price of calculating with a number of n digits.
func (m *meter) digits(n int) error {
	if n > maxDigits {
		return m.fail(errDigits)
	}
	return m.spend(n*n/maxDigits + n/32)
}

// flat counts what a copy of a value takes that shares what is in it.
func (m *meter) flat(v any) error {
	switch v := v.(type) {
	case string:
		return m.spend(len(v) / 32)
	case json.Number:
		return m.digits(len(v))
	case *big.Int:
		return m.digits(v.BitLen() * 3 / 10)
	case []any:
		return m.spend(len(v) / 2)
	case map[string]any:
		return m.spend(2 * len(v))
	default:
		return nil
	}
}

// tree counts everything in a value, as often as it is in it.
func (m *meter) tree(v any, depth int) error {
	if err := m.spend(1); err != nil {
		return err
	}
	if err := m.flat(v); err != nil {
		return err
	}
	if depth > maxDepth {
		return m.fail(errDepth)
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := m.tree(e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if err := m.spend(len(k) / 32); err != nil {
				return err
			}
			if err := m.tree(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// priced is tree, and says how much it was.
func (m *meter) priced(v any) (int, error) {
	before := m.left
	err := m.tree(v, 1)
	return before - m.left, err
}
