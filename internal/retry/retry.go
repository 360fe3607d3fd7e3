package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// longest is the largest Duration that float64 holds exactly, so that converting back cannot overflow.
const longest = time.Duration(1<<63 - 1024)

// Backoff says how long to wait between attempts. The zero value waits not at all.
type Backoff struct {
	Initial time.Duration // wait after the first attempt; 0 or less: no wait, ever
	Max     time.Duration // no wait is longer; 0: no limit
	Factor  float64       // growth from one wait to the next; 1 or less: constant
	Jitter  bool          // full jitter: each wait is drawn evenly from 0 to the computed one, so that a herd spreads out
}

// Delay is the wait after the attempt with this number, counted from 1. rnd yields values in [0,1) and is called only when
// jitter is on; nil means math/rand.
func (b Backoff) Delay(attempt int, rnd func() float64) time.Duration {
	ceiling := b.Max
	if ceiling <= 0 || ceiling > longest {
		ceiling = longest
	}
	limit := float64(ceiling)
	d := min(float64(max(b.Initial, 0)), limit)
	if b.Factor > 1 {
		for i := 1; i < attempt && d > 0 && d < limit; i++ {
			d = min(d*b.Factor, limit)
		}
	}
	if b.Jitter && d > 0 {
		if rnd == nil {
			rnd = rand.Float64
		}
		d *= rnd()
	}
	return min(time.Duration(d), ceiling) // float64 may have rounded up
}

// permanent marks an error that no further attempt can cure.
type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

// Permanent wraps err so that Do gives up at once and returns err. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err: err}
}

// Do calls fn until it returns nil or an error marked Permanent, which is returned as it was before the marking. attempt counts from 1.
// When ctx ends, Do returns an error that wraps both ctx's cause and the last error of fn; fn is not called with a
// context that is already done.
func Do(ctx context.Context, b Backoff, fn func(ctx context.Context, attempt int) error) error {
	var last error
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return interrupted(ctx, attempt-1, last)
		}
		if last = fn(ctx, attempt); last == nil {
			return nil
		}
		var p *permanent
		if errors.As(last, &p) {
			if direct, ok := last.(*permanent); ok { //nolint:errorlint // only the outermost marking is taken off; what wraps it is kept
				return direct.err
			}
			return last
		}
		if Sleep(ctx, b.Delay(attempt, nil)) != nil {
			return interrupted(ctx, attempt, last)
		}
	}
}

func interrupted(ctx context.Context, attempts int, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w after %d attempts: %w", context.Cause(ctx), attempts, last)
}

// Sleep waits for d, or until ctx is done: then it returns ctx's cause. A d of 0 or less only looks at ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil || d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
